"""Compose files and units, read by docker-compose and systemd themselves where they are."""

from __future__ import annotations

import csv
import shutil
import subprocess
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from vllm_preflight.artifacts.deployment import Deployment
from vllm_preflight.artifacts.documents import unit_command
from vllm_preflight.artifacts.machine import compose_file, systemd_unit
from vllm_preflight.artifacts.shell_files import docker_words, environment_file

from .conftest import deployment, documents

COMPOSE = shutil.which("docker-compose")
ANALYZE = shutil.which("systemd-analyze")


def service_of(text: str) -> dict[str, Any]:
    (document,) = documents(text)
    (service,) = document["services"].values()
    return service


def test_compose_gets_the_words_of_the_plan(hostile: Deployment) -> None:
    service = service_of(compose_file(hostile))
    assert all("$" not in word.replace("$$", "") for word in service["command"])
    words = [word.replace("$$", "$") for word in service["command"]]
    assert words == list(hostile.serve_words(port=8000))
    bind = service["volumes"][1]
    assert bind["source"].replace("$$", "$") == hostile.model == words[0]
    assert bind["source"] == bind["target"] and bind["read_only"] is True


@pytest.mark.skipif(COMPOSE is None, reason="docker-compose is not installed")
def test_docker_compose_reads_the_same_words(everything: Deployment, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(compose_file(everything), encoding="utf-8")
    (tmp_path / "vllm.env").write_text(environment_file(everything), encoding="utf-8")
    done = subprocess.run(
        [str(COMPOSE), "-f", "compose.yaml", "config"],
        cwd=tmp_path,
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
        env={"HOME": "/home/wrong", "PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"},
    )
    assert done.returncode == 0, done.stderr
    service = service_of(done.stdout)
    # What it prints is a compose file again, with dollars doubled.
    words = [word.replace("$$", "$") for word in service["command"]]
    assert words == list(everything.serve_words(port=8000))
    assert service["environment"] == {"HF_TOKEN": ""}
    device = service["deploy"]["resources"]["reservations"]["devices"][0]
    assert (device["driver"], device["count"]) == ("nvidia", 2)


def test_weights_go_where_the_hub_keeps_them_on_the_machine() -> None:
    cache, *_ = service_of(compose_file(deployment()))["volumes"]
    assert cache == "${HF_HOME:-~/.cache/huggingface}:/root/.cache/huggingface"
    unit = systemd_unit(deployment())
    # systemd makes /var/cache/NAME for CacheDirectory=NAME (systemd.exec(5)).
    assert "CacheDirectory=huggingface\n" in unit
    assert "--volume /var/cache/huggingface:/root/.cache/huggingface" in unit


def test_compose_waits_as_long_as_weights_take() -> None:
    slow = deployment(weights_bytes=125 * 10**9)
    assert slow.load_seconds == 600 + 1000
    assert service_of(compose_file(slow))["healthcheck"]["start_period"] == "1600s"


@pytest.mark.skipif(ANALYZE is None, reason="systemd-analyze is not installed")
def test_systemd_accepts_the_unit(everything: Deployment, tmp_path: Path) -> None:
    unit = tmp_path / "vllm.service"
    unit.write_text(systemd_unit(everything), encoding="utf-8")
    done = subprocess.run(
        [str(ANALYZE), "verify", "--man=no", str(unit)],
        capture_output=True,
        encoding="utf-8",
        timeout=60,
        check=False,
    )
    ours = [line for line in done.stderr.splitlines() if "vllm.service" in line]
    assert done.returncode == 0 and ours == [], done.stderr


def test_a_unit_has_its_container_on_one_logical_line(hostile: Deployment) -> None:
    unit = systemd_unit(hostile).replace(" \\\n", " ")
    (start,) = [line for line in unit.split("\n") if line.startswith("ExecStart=")]
    assert start.endswith("--port 8000")


@pytest.mark.parametrize(
    ("word", "written"),
    [
        ("plain/word:1", "plain/word:1"),
        ("", '""'),
        ("a b", '"a b"'),
        ("100%", '"100%%"'),
        ("$HOME", '"$$HOME"'),
        ('say "hi"', '"say \\"hi\\""'),
        ("it's", '"it\'s"'),
        ("a\\b", '"a\\\\b"'),
        ("a\nb\tc\r", '"a\\nb\\tc\\r"'),
        (";", '";"'),
        ("模型", "模型"),
    ],
)
def test_words_of_units_are_escaped_as_systemd_reads_them(word: str, written: str) -> None:
    assert unit_command([word]) == written


def test_docker_mounts_are_records_of_csv() -> None:
    odd = deployment(model='/m/a,b="c"', is_local=True)
    words = docker_words(odd, "vllm.env", "/cache")
    (mount,) = [words[place + 1] for place, word in enumerate(words) if word == "--mount"]
    assert next(csv.reader([mount])) == [
        "type=bind", 'source=/m/a,b="c"', 'target=/m/a,b="c"', "readonly",
    ]  # fmt: skip


def test_no_file_has_anchors(everything: Deployment) -> None:
    tokens = cast(Any, yaml).scan(compose_file(everything))
    assert not any(isinstance(token, yaml.AnchorToken | yaml.AliasToken) for token in tokens)
