"""Detection of AMD's GPUs: the real AMD SMI binding on a stand-in library."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vllm_preflight.base.units import BYTES_TO_MIB
from vllm_preflight.hardware import amd
from vllm_preflight.hardware.detect import as_gpu, catalog_match
from vllm_preflight.hardware.detected import DetectedGpu

Run = Callable[..., dict[str, Any]]
ASK = """
import dataclasses, json, sys
from vllm_preflight.hardware.detect import detect_gpus
from vllm_preflight.hardware.report import detect_report
found = detect_gpus(include_uuid=sys.argv[1] == "uuid")
print(json.dumps({**dataclasses.asdict(found), "report": detect_report(found).to_json_dict()}))
"""
MI300X = (
    "name.{0}=AMD_Instinct_MI300X total.{0}=196592 used.{0}=283 uuid.{0}=GPU-{0}bbb "
    "compute.{0}=SPX memory.{0}=NPS1"
)
TWO = f"driver=6.12.12 count=2 {MI300X.format(0)} {MI300X.format(1)}"


@pytest.fixture(scope="session")
def library_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a stand-in libamd_smi.so that has every name the binding looks for."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    found = importlib.util.find_spec("amdsmi")
    if compiler is None or found is None or not sys.platform.startswith("linux"):
        pytest.skip("the stand-in library needs Linux, a C compiler and the package amdsmi")
    folder = tmp_path_factory.mktemp("amd")
    source = Path(__file__).with_name("fake_amdsmi.c").read_text(encoding="utf-8")
    assert found.origin is not None
    binding = Path(found.origin).with_name("amdsmi_wrapper.py").read_text(encoding="utf-8")
    wanted = set(re.findall(r"_libraries\['libamd_smi\.so'\]\.(\w+)", binding))
    there = set(re.findall(r"^int (amdsmi_\w+)\(", source, re.M))
    rest = [f"int {name}(void) {{ return NOT_SUPPORTED; }}" for name in sorted(wanted - there)]
    program = folder / "fake.c"
    program.write_text("\n".join([source, *rest]), encoding="utf-8")
    library = folder / "libamd_smi.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(library), str(program)], check=True)
    return folder


@pytest.fixture
def run(library_folder: Path) -> Run:
    """Ask detect_gpus in a process of its own, with the stand-in library in `scenario`."""

    def ask(scenario: str, *, uuid: bool = False, **variables: str) -> dict[str, Any]:
        hiding = ("CUDA_", "HIP_", "ROC")
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith(hiding)},
            "LD_LIBRARY_PATH": str(library_folder),
            "FAKE_AMDSMI": scenario,
            **variables,
        }
        done = subprocess.run(
            [sys.executable, "-c", ASK, "uuid" if uuid else ""],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        return json.loads(done.stdout)

    return ask


def test_two_gpus_are_described_in_full(run: Run) -> None:
    found = run(TWO)
    assert found["reason"] is None
    assert found["driver_version"] == "6.12.12"
    first, second = found["report"]["gpus"]
    assert first == {
        "name": "AMD Instinct MI300X",
        "vendor": "AMD",
        "architecture": "gfx942",
        "partition": "SPX, NPS1",
        "vram_mib": 196592,
        "free_mib": 196309,
        "used_mib": 283,
        "visible_gib": 191.83,
        "driver_version": "6.12.12",
        "index": 0,
        "catalog_name": "Instinct MI300X",
        "nvlink_peers": [1],
        "process_mib": 0,
    }
    assert (second["index"], second["nvlink_peers"]) == (1, [0])
    assert any("ROCm are not modelled" in step for step in found["report"]["next_steps"])


def test_uuids_only_when_asked_for(run: Run) -> None:
    assert [gpu["uuid"] for gpu in run(TWO)["gpus"]] == [None, None]
    assert [gpu["uuid"] for gpu in run(TWO, uuid=True)["gpus"]] == ["GPU-0bbb", "GPU-1bbb"]


def test_hips_order_is_used(run: Run) -> None:
    found = run(TWO + " hip.0=1 hip.1=0")
    assert [(gpu["index"], gpu["nvlink_peers"]) for gpu in found["gpus"]] == [(0, [1]), (1, [0])]


@pytest.mark.parametrize(
    ("variables", "left", "reason"),
    [
        ({"HIP_VISIBLE_DEVICES": "1"}, [1], "HIP_VISIBLE_DEVICES hides 1 of 2 GPUs."),
        ({"CUDA_VISIBLE_DEVICES": "0"}, [0], "CUDA_VISIBLE_DEVICES hides 1 of 2 GPUs."),
        ({"ROCR_VISIBLE_DEVICES": "1"}, [0], "ROCR_VISIBLE_DEVICES hides 1 of 2 GPUs."),
        (
            {"ROCR_VISIBLE_DEVICES": "1", "HIP_VISIBLE_DEVICES": "1"},
            [],
            "names no usable GPU of this machine",
        ),
        ({"HIP_VISIBLE_DEVICES": ""}, [], "HIP_VISIBLE_DEVICES is empty, which hides every GPU."),
    ],
)
def test_rocms_variables_hide(
    run: Run, variables: dict[str, str], left: list[int], reason: str
) -> None:
    found = run(TWO, **variables)
    assert [gpu["index"] for gpu in found["gpus"]] == left
    assert reason in found["reason"]


def test_partitions_are_named(run: Run) -> None:
    part = "name.0=AMD_Instinct_MI300X total.0=24574 compute.0=CPX memory.0=NPS4"
    found = run(f"count=1 {part}")
    (gpu,) = found["report"]["gpus"]
    assert "catalog_name" not in gpu
    assert gpu["visible_gib"] == 24.0
    assert "one of a card's partitions (CPX, NPS4)" in found["reason"]


@pytest.mark.parametrize(
    ("scenario", "reason"),
    [
        ("init=34", "The AMD driver (amdgpu) is not loaded"),
        ("init=10", "join the groups video and render"),
        ("init=13", 'it says "AMDSMI_STATUS_ADDRESS_FAULT - Bad address"'),
        ("count=0", "The AMD driver is loaded but sees no GPU."),
        (TWO + " fail_total.1=10", "GPU 1 cannot be read: this user or container may not use it."),
    ],
)
def test_what_is_missing_is_a_sentence(run: Run, scenario: str, reason: str) -> None:
    assert reason in run(scenario)["reason"]


def test_a_lost_gpu_leaves_the_other(run: Run) -> None:
    found = run(TWO + " fail_total.0=30 fail_used.1=2 fail_numbers.1=2")
    assert [gpu["name"] for gpu in found["gpus"]] == ["AMD Instinct MI300X"]


@pytest.mark.parametrize(
    ("door", "installed", "reason"),
    [
        (True, False, amd.NOT_INSTALLED),
        (True, True, amd.NO_LIBRARY),
        (False, False, None),
        (False, True, None),
    ],
)
def test_without_the_package_or_its_library(
    door: bool,
    installed: bool,
    reason: str | None,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if importlib.util.find_spec("amdsmi") is None:
        pytest.skip("the package amdsmi is not installed")
    place = tmp_path / "kfd"
    if door:
        place.touch()
    monkeypatch.setattr(amd, "KFD", place)
    if not installed:

        def nothing(name: str) -> None:
            del name

        monkeypatch.setattr("importlib.util.find_spec", nothing)
    monkeypatch.setenv("ROCM_PATH", str(tmp_path))
    assert amd.read_amd_gpus().reason == reason
    # The package prints when its library is missing; standard output may be a protocol's.
    assert capsys.readouterr().out == ""


def test_facts_of_a_card_come_from_the_catalogue_and_memory_from_the_driver() -> None:
    card = DetectedGpu(
        0, "AMD Instinct MI325X", 262128, 262000, 128, vendor="AMD", architecture="gfx942"
    )
    gpu = as_gpu(card)
    assert (gpu.vendor, gpu.architecture, gpu.compute_capability) == ("AMD", "gfx942", None)
    assert gpu.visible_bytes == 262128 * BYTES_TO_MIB
    assert gpu.memory_bandwidth_gb_s == 6000
    other = dataclasses.replace(card, name="AMD Radeon Graphics", total_mib=8192)
    assert catalog_match(other) is None
    assert (as_gpu(other).vendor, as_gpu(other).visible_bytes) == ("AMD", 2**33)
