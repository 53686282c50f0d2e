"""The live page makes the engine ready, but never while a question is answered."""

from __future__ import annotations

import anyio
import pytest

from vllm_preflight.contract.find import FindRequest
from vllm_preflight.hardware.catalog import find_gpu
from vllm_preflight.hardware.select import Hardware
from vllm_preflight.recommend import discovery
from vllm_preflight_server.mcp.app import make_tools
from vllm_preflight_server.web import warm
from vllm_preflight_server.web.warm import WarmUp

READ: list[str] = []
CARDS = warm._GPUS  # pyright: ignore[reportPrivateUsage]


@pytest.fixture(autouse=True)
def two_models(monkeypatch: pytest.MonkeyPatch) -> None:
    READ.clear()
    monkeypatch.setattr(warm, "_AFTER_S", 0)
    monkeypatch.setattr(warm, "_LOOKS_AGAIN_S", 0.001)
    monkeypatch.setattr(warm, "catalog_ids", lambda: ("one", "two"))
    monkeypatch.setattr(warm, "_GPUS", ("L4",))
    monkeypatch.setattr(discovery, "prepare", _note)


def _note(identifier: str, request: FindRequest, hardware: Hardware) -> None:
    assert request.gpu == hardware.gpu.name == "L4"
    READ.append(identifier)


def test_it_judges_every_model_once() -> None:
    async def opened() -> None:
        made = WarmUp(())
        made.begin()
        made.begin()
        await anyio.sleep(0.1)

    anyio.run(opened)
    assert READ == ["one", "two"]


def test_it_waits_while_a_question_is_answered() -> None:
    async def asked() -> None:
        made = WarmUp(())
        with made.waiting():
            made.begin()
            await anyio.sleep(0.1)
            assert READ == []
        await anyio.sleep(0.1)

    anyio.run(asked)
    assert READ == ["one", "two"]


def test_what_it_judges_on_is_in_the_catalogue() -> None:
    assert len({find_gpu(name).compute_capability for name in CARDS}) == len(CARDS) > 1


def test_what_it_asks_the_tools_take() -> None:
    questions = warm._QUESTIONS  # pyright: ignore[reportPrivateUsage]
    tools = {tool.name: tool for tool in make_tools()}
    for name, arguments in questions.items():
        assert tools[name].read(dict(arguments))
