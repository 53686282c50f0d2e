"""check -f: files, folders, standard input, the formats of pipelines and their exit codes."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import jsonschema
import pytest
import yaml

from vllm_preflight_server.cli.main import main

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "tests" / "data" / "manifests"
GOOD, BAD = str(FOLDER / "good.yaml"), str(FOLDER / "bad.yaml")
# The part of SARIF 2.1.0's schema that is written here.
SARIF = {
    "type": "object",
    "required": ["version", "runs"],
    "properties": {
        "$schema": {"type": "string", "format": "uri"},
        "version": {"const": "2.1.0"},
        "runs": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["tool"],
                "properties": {
                    "tool": {
                        "type": "object",
                        "required": ["driver"],
                        "properties": {"driver": {"type": "object", "required": ["name"]}},
                    },
                    "results": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["message"],
                            "additionalProperties": False,
                            "properties": {
                                "ruleId": {"type": "string"},
                                "ruleIndex": {"type": "integer", "minimum": -1},
                                "level": {"enum": ["none", "note", "warning", "error"]},
                                "message": {
                                    "type": "object",
                                    "required": ["text"],
                                    "properties": {"text": {"type": "string"}},
                                },
                                "locations": {"type": "array", "items": {"$ref": "#/$defs/place"}},
                            },
                        },
                    },
                },
            },
        },
    },
    "$defs": {
        "place": {
            "type": "object",
            "required": ["physicalLocation"],
            "properties": {
                "physicalLocation": {
                    "type": "object",
                    "required": ["artifactLocation", "region"],
                    "properties": {
                        "artifactLocation": {
                            "type": "object",
                            "properties": {"uri": {"type": "string", "format": "uri-reference"}},
                        },
                        "region": {
                            "type": "object",
                            "properties": {"startLine": {"type": "integer", "minimum": 1}},
                        },
                    },
                }
            },
        }
    },
}


def test_one_answer_for_each_server(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "-f", GOOD, BAD]) == 1
    shown = capsys.readouterr().out
    assert "good/vllm: starts" in shown and "bad/vllm: does not start" in shown
    assert f"bad.yaml:{_line(BAD, 'max-model-len')}" in shown
    assert main(["check", "-f", GOOD]) == 0


def _line(file: str, words: str) -> int:
    lines = Path(file).read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, 1) if words in line)


def test_json_has_the_reading_and_the_answers(capsys: pytest.CaptureFixture[str]) -> None:
    main(["check", "-f", BAD, "--json"])
    (server,) = json.loads(capsys.readouterr().out)["servers"]
    assert server["args"] == {"max_model_len": 40960, "gpu_memory_utilization": 0.8}
    assert server["decides"] == _line(BAD, "max-model-len")
    assert server["answers"][0]["startup"]["failure"]["kind"] == "kv_cache_too_small"


def test_sarif_points_at_the_argument(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "-f", str(FOLDER), "--format", "sarif"]) == 1
    log = json.loads(capsys.readouterr().out)
    jsonschema.validate(log, SARIF)
    (result,) = log["runs"][0]["results"]
    place = result["locations"][0]["physicalLocation"]
    assert place["region"]["startLine"] == _line(BAD, "max-model-len")
    assert place["artifactLocation"]["uri"].endswith("bad.yaml")
    rules = log["runs"][0]["tool"]["driver"]["rules"]
    assert rules[result["ruleIndex"]]["id"] == result["ruleId"] == "does-not-start"


def test_github_and_junit(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", "-f", str(FOLDER), "--format", "github"]) == 1
    shown = capsys.readouterr().out
    (error,) = re.findall(r"^::error file=(\S+),line=(\d+),title=[^:]+::(.+)$", shown, re.MULTILINE)
    assert error[0].endswith("bad.yaml") and int(error[1]) == _line(BAD, "max-model-len")
    assert main(["check", "-f", str(FOLDER), "--format", "junit"]) == 1
    suite = ElementTree.fromstring(capsys.readouterr().out)
    assert (suite.get("tests"), suite.get("failures"), suite.get("errors")) == ("2", "1", "0")


def _run(arguments: list[str], stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "vllm_preflight_server.cli", *arguments]
    return subprocess.run(command, input=stdin, capture_output=True, text=True, check=False)


def test_standard_input() -> None:
    done = _run(["check", "-f", "-", "--format", "github"], Path(BAD).read_text(encoding="utf-8"))
    assert done.returncode == 1 and "::error file=-,line=" in done.stdout


def test_a_folder_leaves_others_files_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copy(GOOD, tmp_path / "a.yaml")
    (tmp_path / "package.json").write_text('{"name": "vllm-client"}', encoding="utf-8")
    (tmp_path / "chart.yaml").write_text("image: {{ .Values.vllm }}\n{{- if x }}", encoding="utf-8")
    (tmp_path / ".git").mkdir()
    shutil.copy(BAD, tmp_path / ".git" / "b.yaml")
    assert main(["check", "-f", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    assert "chart.yaml is left out" in shown and "Render it first" in shown
    assert "package.json" not in shown


def test_compose_takes_the_env_file_beside_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".env").write_text("# x\nLEN='4096'\nHF_TOKEN=hf_secretsecret\n", encoding="utf-8")
    text = (
        "services: {llm: {image: 'vllm/vllm-openai:v0.19.0', environment: [HF_TOKEN], "
        "command: '--model Qwen/Qwen3-8B --max-model-len ${LEN} --port ${PORT}'}}"
    )
    (tmp_path / "compose.yaml").write_text(text, encoding="utf-8")
    assert main(["check", "-f", str(tmp_path / "compose.yaml"), "--gpu", "H100"]) == 0
    shown = capsys.readouterr().out
    assert "max_model_len=4096" in shown and "hf_secret" not in shown


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["-f", "no-such-file.yaml"], "cannot be read"),
        (["-f", GOOD, "--set", "x"], "names no value"),
        (["-f", GOOD, "--only", "other"], "No vLLM server is called 'other'"),
        (["-f", GOOD, "--", "vllm", "serve", "x"], "go not together"),
        (["Qwen/Qwen3-8B", "-f", GOOD], "model is given beside -f"),
        (["-f", str(ROOT / "pyproject.toml")], "no YAML"),
    ],
)
def test_bad_uses_are_one_sentence(arguments: list[str], says: str) -> None:
    done = _run(["check", *arguments])
    assert done.returncode == 2
    assert says in done.stderr + done.stdout and "Traceback" not in done.stderr


def test_the_hook_runs_on_a_good_and_a_bad_manifest(tmp_path: Path) -> None:
    (hook,) = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    assert re.search(hook["files"], "deploy/a.yaml") and re.search(hook["files"], "Dockerfile.gpu")
    assert not re.search(hook["files"], "a.py")
    program, *entry = hook["entry"].split()
    assert program == "vllm-preflight"
    other = tmp_path / "other.yaml"
    other.write_text("a: 1\n", encoding="utf-8")
    assert _run([*entry, GOOD, str(other)]).returncode == 0
    assert _run([*entry, str(other)]).returncode == 0
    done = _run([*entry, GOOD, BAD])
    assert done.returncode == 1 and "bad/vllm: does not start" in done.stdout


@pytest.mark.skipif(shutil.which("bash") is None, reason="the action's steps are bash")
def test_the_action_annotates_and_writes_sarif(tmp_path: Path) -> None:
    action = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    install, check = action["runs"]["steps"]
    assert "pip install" in install["run"] and action["runs"]["using"] == "composite"
    # The program as a runner would find it installed.
    program = tmp_path / "bin" / "vllm-preflight"
    program.parent.mkdir()
    program.write_text(
        f'#!/bin/sh\nexec "{sys.executable}" -m vllm_preflight_server.cli "$@"\n', encoding="utf-8"
    )
    program.chmod(0o755)
    sarif = tmp_path / "out.sarif"
    values = {"files": str(FOLDER), "gpu": "", "set": "X=1\n", "sarif": str(sarif)}
    inputs = {
        name: values[re.findall(r"inputs\.(\w+)", text)[0]] for name, text in check["env"].items()
    }
    environment = {**os.environ, **inputs, "PATH": f"{program.parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        ["bash", "-eo", "pipefail", "-c", check["run"]],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert done.stdout.count("::error ") == 1 and "good/vllm: starts" in done.stdout
    assert len(json.loads(sarif.read_text(encoding="utf-8"))["runs"][0]["results"]) == 1
    environment["FILES"] = GOOD
    done = subprocess.run(["bash", "-e", "-c", check["run"]], env=environment, check=False)
    assert done.returncode == 0


@pytest.mark.skipif(shutil.which("bash") is None, reason="the action's steps are bash")
@pytest.mark.parametrize(
    ("version", "wanted"), [("", "/own"), ("==0.1.0", "vllm-preflight==0.1.0")]
)
def test_the_action_installs_itself_or_the_release_asked_for(
    tmp_path: Path, version: str, wanted: str
) -> None:
    action = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    install = action["runs"]["steps"][0]
    python = tmp_path / "python3"
    python.write_text('#!/bin/sh\necho "$@"\n', encoding="utf-8")
    python.chmod(0o755)
    given = {"VERSION": version, "OWN": "/own", "PATH": f"{tmp_path}:{os.environ['PATH']}"}
    assert set(install["env"]) == {"VERSION", "OWN"}
    done = subprocess.run(
        ["bash", "-e", "-c", install["run"]], env=given, capture_output=True, text=True, check=True
    )
    assert done.stdout.split()[-1] == wanted
