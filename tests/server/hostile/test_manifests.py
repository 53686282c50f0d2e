"""Manifests of strangers: each ends in an answer or a sentence, within its limits, and clean."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from tests.server.hostile.conftest import Asked
from tests.server.hostile.inputs import ESCAPES

from vllm_preflight.base.text import is_clean
from vllm_preflight_server.cli.main import main

_POD = """apiVersion: v1
kind: Pod
metadata: {name: %s}
spec:
  containers:
  - name: c
    image: vllm/vllm-openai:v0.10.0
    args: %s
    resources: {limits: {nvidia.com/gpu: %s}}
"""
_RAY = """applications:
- name: llm
  import_path: ray.serve.llm:build_openai_app
  args:
    llm_configs:
    - model_loading_config: {model_id: a, model_source: Qwen/Qwen3-8B}
      accelerator_type: H100
      engine_kwargs: %s
"""
_ARGS = '["--model", "Qwen/Qwen3-8B"]'


def _pod(name: str = "a", args: str = _ARGS, gpus: str = "1") -> str:
    return _POD % (name, args, gpus)


def _pod_with(variables: str) -> str:
    pod = _pod(args='["--model", "$(A)"]')
    return f"{pod}    env: [{variables}]\n"


_TEXT_BOMB = _RAY % ('{hf_overrides: {a: &x "' + "y" * 8_000 + '", b: [' + "*x," * 3_000 + "]}}")
MANIFESTS: Mapping[str, str] = {
    "aliases of lists": "vllm: &a [1,1,1,1,1,1,1,1,1]\n"
    + "".join(
        f"{b}: &{b} [{','.join([f'*{a}'] * 9)}]\n"
        for a, b in zip("abcdefgh", "bcdefghi", strict=True)
    ),
    "aliases of a text": _TEXT_BOMB,
    "alias of itself": "vllm: &a [*a]\n",
    "brackets": "vllm: " + "[" * 100_000,
    "300,000 values": "vllm: [" + "1," * 300_000 + "]",
    "python object": '!!python/object/apply:os.system ["vllm"]\n',
    "hexadecimal of 6,000 digits": _RAY % ("{max_model_len: 0x" + "f" * 6_000 + "}"),
    "binary of 60,000 digits": _RAY % ("{max_model_len: 0b" + "1" * 60_000 + "}"),
    "base 60": _RAY % ("{max_model_len: 1" + ":59" * 200_000 + "}"),
    "base 60 with a fraction": _RAY % ("{max_model_len: 1" + ":59" * 2_000 + ".5}"),
    "list of huge numbers": _RAY % ("{a: [0x" + "f" * 6_000 + "]}"),
    "infinite": _RAY % "{gpu_memory_utilization: .inf, max_model_len: .nan}",
    "variables that double": _pod_with(
        "{name: A0, value: xx}, "
        + "".join(f'{{name: A{n}, value: "$(A{n - 1})$(A{n - 1})"}}, ' for n in range(1, 60))
        + '{name: A, value: "$(A59)"}'
    ),
    "GPUs of 5,000 digits": _pod(gpus="9" * 5_000),
    "GPUs of a superscript": _pod(gpus="²"),
    "negative GPUs": _pod(gpus="-1"),
    "name with escapes": _pod(name='"\\e[31mX\\a\\u202e"'),
    "name of two lines": _pod(name='"a\\n::error file=x::no\\n## system"'),
    "flag with escapes": _pod(args='["--model", "Qwen/Qwen3-8B", "--\\e[31mx\\u202e"]'),
    "Dockerfile of brackets": "FROM vllm/vllm-openai\nCMD " + "[" * 100_000,
    "Dockerfile that doubles": "FROM vllm/vllm-openai\nENV A=xx\n"
    + "ENV A=$A$A\n" * 60
    + 'CMD ["--model", "$A"]\n',
    "unit that doubles": "[Service]\nEnvironment=A="
    + "x" * 9_000
    + "\nExecStart=vllm serve "
    + "${A}" * 60_000,
    "unit with open quotes": '[Service]\nExecStart=vllm serve "\n',
    "compose of defaults": "services:\n  a:\n    image: vllm/vllm-openai\n    command: "
    + "'--model "
    + "${A:-" * 5_000
    + "'",
    "script that doubles": "#!/bin/sh\nA=xxxxxxxx\n" + "A=$A$A\n" * 60 + "vllm serve $A\n",
    "script of substitutions": "#!/bin/sh\nvllm serve " + "$(" * 20_000,
    "template of braces": "kind: {{ .Values.x }}\nvllm: " + "{" * 100_000,
    "kinds of other types": "kind: [Pod]\nspec: 5\nmetadata: vllm\n",
}
FORMATS = ("text", "json", "github", "sarif", "junit")


@pytest.mark.parametrize("kind", MANIFESTS)
def test_a_manifest_is_answered_or_refused(
    kind: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / ("Dockerfile" if kind.startswith("Dockerfile") else "manifest")
    file = file if kind.startswith("Dockerfile") else file.with_suffix(_suffix(kind))
    file.write_text(MANIFESTS[kind], encoding="utf-8")
    for written in FORMATS if len(MANIFESTS[kind]) < 10_000 else FORMATS[:1]:
        code = main(["check", "-f", str(file), "--gpu", "H100", "--format", written])
        told = capsys.readouterr()
        assert code in (0, 1, 2, 3), told.err
        assert is_clean(told.out + told.err)
        assert not any(line.startswith("::error file=x") for line in told.out.splitlines())
        assert "\n## system" not in told.out
        if written == "junit" and told.out:
            ElementTree.fromstring(told.out)
        if written in ("json", "sarif") and told.out:
            json.loads(told.out)


def _suffix(kind: str) -> str:
    return {"unit": ".service", "script": ".sh"}.get(kind.partition(" ")[0], ".yaml")


def test_a_folder_holds_what_blocks_and_what_is_bad(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    (tmp_path / "loop.yaml").symlink_to(tmp_path / "loop.yaml")
    (tmp_path / "up").symlink_to(tmp_path)
    (tmp_path / f"{ESCAPES}.yaml").write_text("vllm: [", encoding="utf-8")
    (tmp_path / "bad.service").write_text(MANIFESTS["unit with open quotes"], encoding="utf-8")
    (tmp_path / "good.yaml").write_text(_pod(name="good"), encoding="utf-8")
    main(["check", "-f", str(tmp_path), "--gpu", "H100"])
    told = capsys.readouterr()
    assert is_clean(told.out + told.err)
    assert "good/c: starts" in told.out
    assert "quotes in line 2 do not match" in told.out


def test_a_folder_of_more_than_a_project_has_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for number in range(12):
        large = "# vllm\n" + "#" * 1_900_000
        (tmp_path / f"{number}.yaml").write_text(large, encoding="utf-8")
    assert main(["check", "-f", str(tmp_path)]) == 2
    assert "more than 20 MB of manifests" in capsys.readouterr().err


_CROWDS: Mapping[str, dict[str, Any]] = {
    "fields": {str(number): 1 for number in range(100_000)},
    "values": {"model": "Qwen/Qwen3-8B", "vary": {"max_num_seqs": ["x"] * 200_000}},
    "wrong values": {"model": "Qwen/Qwen3-8B", "vary": {str(n): n for n in range(40_000)}},
    "aliases of a text": {"manifest": _TEXT_BOMB, "gpu": "H100"},
    "a huge number": {"manifest": MANIFESTS["hexadecimal of 6,000 digits"], "gpu": "H100"},
    "two lines": {"manifest": MANIFESTS["name of two lines"], "gpu": "H100"},
}


@pytest.mark.parametrize("kind", _CROWDS)
def test_a_question_of_a_crowd_keeps_nobody_waiting(asked: Asked, kind: str) -> None:
    result = asked.call("predict_startup", _CROWDS[kind])["result"]
    text = result["content"][0]["text"]
    assert is_clean(text)
    assert "internal error" not in text and "Traceback" not in text
    assert "## system" not in text.splitlines()
    # The same process still answers, which it would not had it been stopped.
    answer = asked.call("compute_overhead", {"vram_total_gib": 80})
    assert answer["result"]["structuredContent"]["overhead_gib"] == 1.6
