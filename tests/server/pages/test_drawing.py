"""Pictures on request: PNG, last, and a clear sentence without the library."""

from __future__ import annotations

import base64
import sys
from typing import Any

import pytest
from mcp.types import ImageContent, TextContent
from tests.server.conftest import Ask, Era, text_of

from vllm_preflight_server.pages.drawing import draw_png
from vllm_preflight_server.pages.panels import logarithmic_steps

PLAN = {"model": "Qwen/Qwen3-32B", "gpu": "H100", "concurrency": 16}


@pytest.mark.design("5: images are PNG")
@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({}, id="fits"),
        pytest.param({"gpu": "RTX 4090"}, id="does not fit"),
        pytest.param(
            {"model": "BAAI/bge-large-en-v1.5", "prompt_tokens": 200, "gen_tokens": 1},
            id="keeps no cache",
        ),
    ],
)
def test_a_picture_comes_last_and_is_a_png(ask: Ask, era: Era, changes: dict[str, Any]) -> None:
    pytest.importorskip("matplotlib")
    plain = ask("plan_deployment", {**PLAN, **changes}, era)
    drawn = ask("plan_deployment", {**PLAN, **changes, "chart": "png"}, era)
    text, image = drawn.content
    assert isinstance(text, TextContent) and text.text == text_of(plain)
    assert drawn.structured_content == plain.structured_content
    assert isinstance(image, ImageContent) and image.mime_type == "image/png"
    data = base64.b64decode(image.data)
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    assert 10_000 < len(data) < 200_000


def test_the_picture_has_the_curve_whatever_the_answer_says(ask: Ask) -> None:
    pytest.importorskip("matplotlib")
    heights: list[int] = []
    for detail in ("concise", "full"):
        question = {**PLAN, "target_latency_ms": 5000, "detail": detail, "chart": "png"}
        image = ask("plan_deployment", question).content[-1]
        assert isinstance(image, ImageContent)
        heights.append(int.from_bytes(base64.b64decode(image.data)[20:24]))
    assert heights[0] == heights[1] > 1200


@pytest.mark.parametrize("values", [[0.03], [5.0, 10.0], [40.8, 986.0], [1.0, 1e6]])
def test_ends_of_an_axis_lie_outside_its_values(values: list[float]) -> None:
    ticks = logarithmic_steps(values)
    assert ticks[0] < min(values) and max(values) < ticks[-1]
    assert ticks == sorted(ticks)
    assert {f"{tick:e}"[0] for tick in ticks} <= {"1", "2", "5"}


def test_names_are_drawn_as_text(ask: Ask) -> None:
    pytest.importorskip("matplotlib")
    answer = ask("plan_deployment", {**PLAN, "detail": "full"}).structured_content
    assert answer is not None
    hostile = {**answer["model"], "model": r"/models/$\frac{$ \日本 " + "x" * 200}
    assert draw_png({**answer, "model": hostile})


def test_without_the_library_the_answer_comes_without_its_picture(
    ask: Ask, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result = ask("plan_deployment", {**PLAN, "concurrency": 17, "chart": "png"})
    assert not result.is_error
    assert "vllm-preflight[charts]" in text_of(result)
    assert all(part.type == "text" for part in result.content)


def test_the_library_is_not_read_unless_asked() -> None:
    import subprocess

    code = (
        "import sys, vllm_preflight_server.mcp.app as app; app.build_server(); "
        "sys.exit('matplotlib' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
