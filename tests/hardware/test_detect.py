"""Detection: the real NVML binding on a stand-in driver, and the facts made of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from vllm_preflight.base.errors import NoGpuDetected
from vllm_preflight.base.units import BYTES_TO_GIB, BYTES_TO_MIB
from vllm_preflight.hardware import detect, nvml
from vllm_preflight.hardware.catalog import find_gpu, load_catalog
from vllm_preflight.hardware.detect import as_gpu, catalog_match, detect_gpus, smallest
from vllm_preflight.hardware.detected import DetectedGpu, Detection, MigInstance
from vllm_preflight.hardware.report import detect_report, to_gpu_info
from vllm_preflight.hardware.visible_devices import visible_gpus
from vllm_preflight.hardware.visible_memory import visible_bytes_from_total

Run = Callable[..., dict[str, Any]]
ASK = """
import dataclasses, json, sys
from vllm_preflight.hardware.detect import detect_gpus
from vllm_preflight.hardware.report import detect_report
found = detect_gpus(include_uuid=sys.argv[1] == "uuid")
print(json.dumps({**dataclasses.asdict(found), "report": detect_report(found).to_json_dict()}))
"""
# FAKE_NVML's words; see fake_nvml.c.
H100 = (
    "name.{0}=NVIDIA_H100_80GB_HBM3 uuid.{0}=GPU-{0}aaa total.{0}=81559 reserved.{0}=500 "
    "used.{0}=59 capability.{0}=90 mig.{0}=0 nvlink.{0}=1"
)
TWO_H100 = f"driver=580.65.06 cuda=12080 count=2 {H100.format(0)} {H100.format(1)}"
MIXED = (
    "driver=570.1 count=2 name.0=NVIDIA_GeForce_RTX_4090 uuid.0=GPU-4090 total.0=24564 "
    "capability.0=89 name.1=NVIDIA_GeForce_RTX_3060 uuid.1=GPU-3060 total.1=12288 capability.1=86"
)
MIG = (
    "driver=580.65.06 count=1 name.0=NVIDIA_A100-SXM4-80GB uuid.0=GPU-a100 total.0=81920 "
    "capability.0=80 mig.0=1 "
    "name.100=NVIDIA_A100-SXM4-80GB_MIG_3g.40gb uuid.100=MIG-one total.100=40192 used.100=192 "
    "name.102=NVIDIA_A100-SXM4-80GB_MIG_1g.10gb uuid.102=MIG-two total.102=9728"
)


@pytest.fixture(scope="session")
def driver_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a stand-in libnvidia-ml.so.1."""
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None or not sys.platform.startswith("linux"):
        pytest.skip("the stand-in driver needs Linux and a C compiler")
    folder = tmp_path_factory.mktemp("driver")
    source = Path(__file__).with_name("fake_nvml.c")
    library = folder / "libnvidia-ml.so.1"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", str(library), str(source)], check=True)
    return folder


@pytest.fixture
def run(driver_folder: Path, tmp_path: Path) -> Run:
    """Ask detect_gpus in a process of its own, with the stand-in driver in `scenario`."""

    def ask(scenario: str, *, uuid: bool = False, **variables: str) -> dict[str, Any]:
        trace = tmp_path / "trace"
        trace.unlink(missing_ok=True)
        environment = {
            **{key: value for key, value in os.environ.items() if not key.startswith("CUDA_")},
            "LD_LIBRARY_PATH": str(driver_folder),
            "FAKE_NVML": scenario,
            "FAKE_NVML_TRACE": str(trace),
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
        steps = trace.read_text(encoding="utf-8").split() if trace.exists() else []
        # Whatever happens between, what was started is stopped.
        assert steps in ([], ["start", "stop"])
        return {**json.loads(done.stdout), "steps": steps}

    return ask


def test_two_gpus_are_described_in_full(run: Run) -> None:
    found = run(TWO_H100 + " compute.0=20 graphics.0=20")
    assert found["steps"] == ["start", "stop"]
    assert found["reason"] is None
    assert (found["driver_version"], found["cuda_version"]) == ("580.65.06", "12.8")
    first, second = found["gpus"]
    assert first == {
        "index": 0,
        "name": "NVIDIA H100 80GB HBM3",
        "total_mib": 81559,
        "free_mib": 81000,
        "used_mib": 59,
        "reserved_mib": 500,
        "compute_capability": [9, 0],
        "driver_version": "580.65.06",
        "cuda_version": "12.8",
        "uuid": None,
        "mig_enabled": False,
        "mig_instances": [],
        "nvlink_peers": [1],
        "process_mib": 20,
        "unified": False,
        "shows_total": first["shows_total"],
        "vendor": "NVIDIA",
        "architecture": None,
        "partition": None,
    }
    assert (second["index"], second["nvlink_peers"], second["process_mib"]) == (1, [0], 0)


def test_the_report_says_what_cuda_shows_and_which_card_it_is(run: Run) -> None:
    report = run(TWO_H100 + " compute.1=300")["report"]
    first, second = report["gpus"]
    assert first["visible_gib"] == 79.19
    assert first["catalog_name"] == "H100 SXM5 80GB"
    assert first["compute_capability"] == "9.0"
    assert first["vram_mib"] == 81559
    assert "uuid" not in first and "reason" not in report
    assert second["process_mib"] == 300
    assert "GPU 1" in report["next_steps"][1]


def test_uuids_appear_only_when_asked_for(run: Run) -> None:
    assert "GPU-0aaa" not in json.dumps(run(TWO_H100, CUDA_VISIBLE_DEVICES="GPU-0,7"))
    assert "MIG-one" not in json.dumps(run(MIG))
    assert [gpu["uuid"] for gpu in run(TWO_H100, uuid=True)["gpus"]] == ["GPU-0aaa", "GPU-1aaa"]
    instances = run(MIG, uuid=True)["gpus"][0]["mig_instances"]
    assert [instance["uuid"] for instance in instances] == ["MIG-one", "MIG-two"]


def test_an_old_driver_tells_memory_without_the_reserve(run: Run) -> None:
    found = run(TWO_H100 + " fail_memory_v2=13")
    assert found["gpus"][0]["reserved_mib"] is None
    assert found["gpus"][0]["used_mib"] == 559


def test_mig_instances_carry_their_own_memory(run: Run) -> None:
    found = run(MIG)
    (gpu,) = found["gpus"]
    assert gpu["mig_enabled"]
    assert [(i["index"], i["total_mib"], i["free_mib"]) for i in gpu["mig_instances"]] == [
        (0, 40192, 40000),
        (2, 9728, 9728),
    ]
    assert "MIG" in found["reason"] and "CUDA_VISIBLE_DEVICES" in found["reason"]
    info = found["report"]["gpus"][0]
    assert info["visible_gib"] < 40192 / 1024
    assert "catalog_name" not in info
    assert info["mig_instances"][1] == (
        "NVIDIA A100-SXM4-80GB MIG 1g.10gb: 9728 MiB, 9728 MiB free"
    )


def test_one_mig_instance_can_be_chosen(run: Run) -> None:
    found = run(MIG, CUDA_VISIBLE_DEVICES="MIG-two")
    assert [i["total_mib"] for i in found["gpus"][0]["mig_instances"]] == [9728]
    assert found["reason"] is None


def test_a_container_may_know_its_instances_only(run: Run) -> None:
    found = run(MIG + " fail_memory.0=4")
    assert found["gpus"][0]["total_mib"] == 40192 + 9728


def test_mig_mode_without_instances_leaves_nothing(run: Run) -> None:
    bare = MIG.split(" name.100")[0]
    found = run(bare)
    assert found["gpus"] == []
    assert "without an instance" in found["reason"]


def test_a_lost_gpu_does_not_hide_the_others(run: Run) -> None:
    found = run(TWO_H100 + " fail_handle.0=15")
    assert [gpu["index"] for gpu in found["gpus"]] == [1]
    assert found["gpus"][0]["nvlink_peers"] == []
    assert found["reason"].startswith("GPU 0 cannot be read: it has fallen off the bus")
    later = run(TWO_H100 + " fail_memory.1=999")
    assert [gpu["index"] for gpu in later["gpus"]] == [0]
    assert 'GPU 1 cannot be read: NVML says "Unknown Error"' in later["reason"]


def test_unified_memory_is_the_systems(run: Run) -> None:
    spark = "driver=580.95 count=1 name.0=NVIDIA_GB10 capability.0=121 fail_memory.0=3"
    found = run(spark)
    (gpu,) = found["gpus"]
    assert gpu["unified"]
    with Path("/proc/meminfo").open(encoding="utf-8") as lines:
        assert gpu["total_mib"] == int(next(lines).split()[1]) // 1024
    assert 0 < gpu["free_mib"] <= gpu["total_mib"]
    assert "shares the system's memory" in found["reason"]
    assert found["report"]["gpus"][0]["catalog_name"] == "GB10"


@pytest.mark.parametrize(
    ("scenario", "reason"),
    [
        ("init=9", "not loaded"),
        ("init=4", "permissions"),
        ("init=18", "different versions"),
        ("init=999", '"Unknown Error"'),
        ("init=1234", "a fault of its own"),
        ("count=0", "sees no GPU"),
        ("count=1 fail_count=1", '"Uninitialized"'),
        ("count=1 fail_handle.0=4", "GPU 0 cannot be read: this user or container"),
        ("count=0 shutdown=999", "sees no GPU"),
    ],
)
def test_a_driver_in_trouble_gives_a_reason(run: Run, scenario: str, reason: str) -> None:
    found = run(scenario)
    assert found["gpus"] == []
    assert reason in found["reason"]
    assert reason in found["report"]["reason"]
    assert 'gpu="H100"' in found["report"]["next_steps"][0]


def test_no_library_gives_a_reason(run: Run, tmp_path: Path) -> None:
    found = run("", LD_LIBRARY_PATH=str(tmp_path))
    if found["gpus"]:
        pytest.skip("this machine has a driver of its own")
    assert found["steps"] == []


def test_what_a_driver_does_not_say_is_left_open(run: Run) -> None:
    found = run("count=1 total.0=8192 fail_cuda=13 fail_processes=3")
    (gpu,) = found["gpus"]
    assert (gpu["name"], gpu["compute_capability"]) == ("NVIDIA GPU", None)
    assert (gpu["process_mib"], gpu["driver_version"], gpu["cuda_version"]) == (None, None, None)


def test_different_gpus_are_told_to_be_numbered_alike(run: Run) -> None:
    assert "CUDA_DEVICE_ORDER=PCI_BUS_ID" in run(MIXED)["reason"]
    assert run(MIXED, CUDA_DEVICE_ORDER="PCI_BUS_ID")["reason"] is None


@pytest.mark.parametrize(
    ("value", "indices", "remark"),
    [
        ("0", [0], "hides 1 of 2"),
        ("1,0", [1, 0], None),
        (" 1 , 0 ", [1, 0], None),
        ("GPU-1", [1], "hides 1 of 2"),
        ("GPU-1aaa,GPU-0aaa", [1, 0], None),
        ("", [], "is empty"),
        ("-1", [], "Entry 1"),
        ("NoDevFiles", [], "Entry 1"),
        ("0,7,1", [0], "Entry 2"),
        ("0,-1,1", [0], "Entry 2"),
        ("0,GPU-1aaa", [0], "Entry 2"),
        ("GPU-1aaa,0", [1], "Entry 2"),
        ("GPU-", [], "Entry 1"),
        ("1,1", [], "twice"),
        ("MIG-none", [], "Entry 1"),
    ],
)
def test_cuda_visible_devices_is_honoured(
    run: Run, value: str, indices: list[int], remark: str | None
) -> None:
    found = run(TWO_H100, CUDA_VISIBLE_DEVICES=value)
    assert [gpu["index"] for gpu in found["gpus"]] == indices
    assert (found["reason"] is None) if remark is None else (remark in found["reason"])


def gpu(index: int = 0, name: str = "NVIDIA L4", total: int = 23034, **more: Any) -> DetectedGpu:
    return DetectedGpu(index, name, total, total - 100, 100, **more)


def test_instances_of_one_gpu_are_joined() -> None:
    instances = tuple(MigInstance(i, f"i{i}", 100, 90, 10, f"MIG-{i}") for i in range(3))
    whole = gpu(mig_enabled=True, mig_instances=instances)
    (chosen,), remark = visible_gpus([whole], "MIG-2,MIG-0")
    assert chosen.mig_instances == (instances[2], instances[0])
    assert remark == ""
    assert chosen.usable_free_mib == 90
    assert visible_gpus([whole], "MIG-2,MIG-2") == (
        (),
        "CUDA_VISIBLE_DEVICES names a GPU twice, which hides every GPU.",
    )


def test_a_known_card_takes_the_measured_memory() -> None:
    found = as_gpu(gpu(name="NVIDIA H100 80GB HBM3", total=81559, compute_capability=(9, 0)))
    entry = find_gpu("H100")
    assert found == replace(entry, vram_mib=81559)
    assert found.visible_basis == "measured"


def test_every_nvml_name_with_its_total_is_matched() -> None:
    for entry in load_catalog():
        for name in entry.nvml_names:
            if entry.vram_mib:
                match = catalog_match(gpu(name=name, total=entry.vram_mib))
                assert match is not None and match.vram_mib == entry.vram_mib, name


def test_the_total_tells_cards_of_one_name_apart() -> None:
    name = "NVIDIA GeForce RTX 4060 Ti"
    assert as_gpu(gpu(name=name, total=16380)).name == "GeForce RTX 4060 Ti 16GB"
    assert as_gpu(gpu(name=name, total=8188)).name == "GeForce RTX 4060 Ti 8GB"


def test_ecc_off_keeps_the_card_but_not_its_memory() -> None:
    found = as_gpu(gpu(name="NVIDIA L4", total=24570))
    assert found.name == "L4"
    assert found.visible_basis == "derived"
    assert found.visible_bytes == visible_bytes_from_total(24570) > find_gpu("L4").visible_bytes


def test_a_card_of_another_size_is_no_match() -> None:
    laptop = gpu(name="NVIDIA GeForce RTX 3060", total=6144, compute_capability=(8, 6))
    assert catalog_match(laptop) is None
    found = as_gpu(laptop)
    assert (found.name, found.vram_mib) == ("NVIDIA GeForce RTX 3060", 6144)
    assert found.memory_bandwidth_gb_s is None
    assert found.compute_capability == (8, 6)
    assert found.visible_bytes == visible_bytes_from_total(6144)


def test_an_unknown_card_is_planned_from_its_total() -> None:
    found = as_gpu(gpu(name="NVIDIA RTX 9999", total=50000))
    assert (found.visible_basis, found.visible_bytes) == (
        "derived",
        visible_bytes_from_total(50000),
    )
    assert "reserve" in found.sources["visible_mib"]


def test_wsl_and_unified_memory_show_all_of_it() -> None:
    wsl = as_gpu(gpu(name="NVIDIA GeForce RTX 4090", total=24564, shows_total=True))
    assert wsl.visible_bytes / BYTES_TO_GIB == pytest.approx(23.99, abs=0.01)
    assert wsl.visible_basis == "detected"
    spark = as_gpu(gpu(name="NVIDIA GB10", total=124546, unified=True))
    assert (spark.name, spark.visible_bytes) == ("GB10", 124546 * BYTES_TO_MIB)
    assert spark.memory_bandwidth_gb_s == 273


def test_an_instance_is_not_its_gpu() -> None:
    whole = gpu(
        name="NVIDIA A100-SXM4-80GB",
        total=81920,
        mig_enabled=True,
        compute_capability=(8, 0),
        mig_instances=(MigInstance(0, "NVIDIA A100-SXM4-80GB MIG 1g.10gb", 9728, 9000, 728),),
    )
    found = as_gpu(whole)
    assert (found.name, found.vram_mib) == ("NVIDIA A100-SXM4-80GB MIG 1g.10gb", 9728)
    assert found.compute_capability == (8, 0)
    assert found.dense_tflops == {}
    assert whole.usable_free_mib == 9000


def test_the_smallest_gpu_decides() -> None:
    large, small = gpu(0, "NVIDIA L40S", 46068), gpu(1)
    assert smallest([large, small]) is small
    assert smallest([small, replace(small, index=2)]) is small
    with pytest.raises(NoGpuDetected) as caught:
        smallest([])
    assert "H100" in caught.value.hint


def test_a_report_leaves_out_what_is_not_known() -> None:
    info = to_gpu_info(gpu(name="NVIDIA RTX 9999")).model_dump(exclude_none=True)
    assert set(info) == {"name", "vram_mib", "free_mib", "used_mib", "visible_gib", "index"}
    shown = to_gpu_info(
        gpu(mig_instances=(MigInstance(0, "slice", 10, 5, 5, "MIG-one"),), mig_enabled=True)
    )
    assert shown.mig_instances == ["slice: 10 MiB, 5 MiB free, MIG-one"]


def test_a_missing_or_broken_binding_is_a_reason(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    assert "nvidia-ml-py" in (detect_gpus().reason or "")

    def fail() -> None:
        raise RuntimeError

    monkeypatch.setitem(sys.modules, "pynvml", SimpleNamespace(nvmlInit=fail))
    assert detect_gpus() == Detection(
        reason="The NVIDIA driver could not be asked: NVML says RuntimeError."
    )
    assert detect_report(detect_gpus()).gpus == []


def test_system_files_are_read_as_far_as_they_go(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "file"
    monkeypatch.setattr(nvml, "SYSTEM_MEMORY", file)
    monkeypatch.setattr(nvml, "KERNEL", file)
    assert nvml._system_memory() is None  # pyright: ignore[reportPrivateUsage]
    assert not nvml._under_wsl()  # pyright: ignore[reportPrivateUsage]
    file.write_text("Linux version 5.15 (Microsoft@WSL2)\nMemTotal: many kB\n", encoding="utf-8")
    assert nvml._system_memory() is None  # pyright: ignore[reportPrivateUsage]
    assert nvml._under_wsl()  # pyright: ignore[reportPrivateUsage]


def test_detection_without_a_variable_uses_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(detect, "read_gpus", lambda: Detection((gpu(0), gpu(1))))
    assert [found.index for found in detect_gpus().gpus] == [0, 1]
