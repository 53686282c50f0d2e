"""Dockerfiles: stages, variables of the build and of the container, forms of its words."""

from __future__ import annotations

import time
from typing import Any

import pytest

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.launch.arguments import parse_server
from vllm_preflight.manifests.read import read_manifest
from vllm_preflight.manifests.servers import ManifestServer

IMAGE = "FROM vllm/vllm-openai:v0.19.0\n"


def _one(text: str, **given: str) -> ManifestServer:
    (server,) = read_manifest(text, "Dockerfile", given)
    assert server.command is not None, server.problem
    return server


def _args(text: str, **given: str) -> dict[str, Any]:
    command = _one(text, **given).command
    assert command is not None
    fields = parse_server(command, "0.19.0").fields
    return {k: v for k, v in fields.items() if k != "vllm_version"}


@pytest.mark.parametrize(
    "text",
    [
        f'{IMAGE}CMD ["--model", "a/b", "--max-model-len", "4096"]',
        f'{IMAGE}ENTRYPOINT ["vllm", "serve"]\nCMD ["a/b", "--max-model-len", "4096"]',
        f'{IMAGE}CMD ["a/b", "--max-model-len", "4096"]\nENTRYPOINT ["vllm", "serve"]',
        f'{IMAGE}ENV L=4096\nENTRYPOINT vllm serve a/b --max-model-len $L\nCMD ["c/d"]',
        f"{IMAGE}ENV M a/b\nENTRYPOINT vllm serve $M --max-model-len ${{L:-4096}}",
        # All values of one instruction see what was before it.
        f"{IMAGE}ENV L=4096\nENV L=1 K=$L\nENTRYPOINT vllm serve a/b --max-model-len $K",
        # What the build knows is in ENV only where it is put there.
        f"{IMAGE}ARG L=4096\nENV K=$L\nENTRYPOINT vllm serve a/b --max-model-len $K",
        # Variables of another stage are not of this one; those of the one it begins from are.
        f"FROM x AS one\nENV L=1\n{IMAGE}ENTRYPOINT vllm serve a/b --max-model-len ${{L:-4096}}",
        f"{IMAGE[:-1]} AS one\nENV L=4096\nFROM one\nENTRYPOINT vllm serve a/b --max-model-len $L",
        # So are its words, of which CMD ends with a new entry point.
        f'{IMAGE[:-1]} AS base\nENTRYPOINT ["vllm", "serve"]\nFROM base\n'
        'CMD ["a/b", "--max-model-len", "4096"]',
        f'{IMAGE[:-1]} AS base\nCMD ["c/d"]\nFROM base\n'
        'ENTRYPOINT ["vllm", "serve", "a/b", "--max-model-len", "4096"]',
        f'{IMAGE}SHELL ["/bin/bash", "-ec"]\nENTRYPOINT exec vllm serve a/b --max-model-len 4096',
        # A here-document holds no instructions.
        f'{IMAGE}COPY <<EOF /x.sh\nCMD ["c/d"]\nEOF\n'
        'CMD ["--model", "a/b", "--max-model-len", "4096"]',
        f"{IMAGE}RUN <<-'A' cat <<B\nENTRYPOINT x\n\tA\nCMD y\nB\n"
        'CMD ["--model=a/b", "--max-model-len=4096"]',
    ],
)
def test_words_and_variables_are_those_of_the_last_stage(text: str) -> None:
    assert _args(text) == {"model": "a/b", "max_model_len": 4096}


def test_what_only_the_build_knows_is_open_when_it_runs() -> None:
    text = f"{IMAGE}ARG L=4096\nENTRYPOINT vllm serve a/b --max-model-len $L"
    with pytest.raises(InvalidRequest, match="leaves open"):
        _args(text)
    assert _args(text, L="8192")["max_model_len"] == 8192


@pytest.mark.parametrize(
    ("head", "image", "release"),
    [
        ("ARG V=v0.18.0\nFROM vllm/vllm-openai:${V}", "vllm/vllm-openai:v0.18.0", "0.18.0"),
        ("FROM --platform=linux/amd64 vllm/vllm-openai:v0.18.0 AS x", None, "0.18.0"),
        ("FROM vllm/vllm-openai:v0.18.0 AS x\nFROM x", "vllm/vllm-openai:v0.18.0", "0.18.0"),
        ("FROM python\nARG V=0.17.1\nRUN pip install vllm==${V}", "python", "0.17.1"),
        ("ARG V=0.17.1\nFROM python\nARG V\nRUN pip install vllm==$V", "python", "0.17.1"),
        ("FROM python\nRUN <<EOF\npip install vllm==0.17.1\nEOF", "python", "0.17.1"),
        ("FROM python AS a\nRUN pip install vllm==0.17.1\nFROM python", "python", None),
    ],
)
def test_the_release_is_the_last_stages(head: str, image: str | None, release: str | None) -> None:
    server = _one(f"{head}\nENTRYPOINT vllm serve a/b")
    assert server.release == release
    assert image is None or server.image == image


def test_very_many_variables_take_linear_time() -> None:
    lines = "".join(f"ENV A{i}=b$A{i - 1}\n" for i in range(1, 5_000))
    begun = time.process_time()
    assert _args(f"{IMAGE}{lines}ENTRYPOINT vllm serve a/b") == {"model": "a/b"}
    # Copies of all variables for each of them would take half a minute and more.
    assert time.process_time() - begun < 5
