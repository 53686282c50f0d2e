"""The GPU catalogue: its data files, and finding a card by the names people use."""

from __future__ import annotations

import datetime
import importlib.util
import json
import statistics
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import validate

from vllm_preflight.base.errors import UnknownGpu
from vllm_preflight.base.units import BYTES_TO_GIB, BYTES_TO_MIB
from vllm_preflight.hardware import catalog
from vllm_preflight.hardware.catalog import (
    find_gpu,
    gpu_names,
    gpus_with_nvml_name,
    load_catalog,
    nearest_gpus,
)
from vllm_preflight.hardware.names import squash
from vllm_preflight.hardware.visible_memory import (
    RESERVE_BASE_MIB,
    RESERVE_PER_THOUSAND,
    visible_bytes_from_total,
)

FOLDER = Path(catalog.__file__).parent
POSITIVE = {"type": "number", "exclusiveMinimum": 0}
TEXT = {"type": "string", "minLength": 1}
DATE = {"type": "string", "pattern": r"^20\d\d-\d\d-\d\d$"}
CATALOG_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["schema_version", "sources", "gpus"],
    "properties": {
        "schema_version": {"const": 1},
        "sources": {"type": "array", "items": TEXT, "uniqueItems": True},
        "gpus": {
            "type": "array",
            "minItems": 80,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": [
                    "name",
                    "vendor",
                    "nvml_names",
                    "aliases",
                    "nominal_gib",
                    "visible_mib",
                    "visible_basis",
                    "sources",
                    "date",
                ],
                "properties": {
                    "name": TEXT,
                    "vendor": {"enum": ["NVIDIA", "AMD", "Intel", "Huawei", "Google"]},
                    "nvml_names": {"type": "array", "items": TEXT},
                    "aliases": {"type": "array", "items": TEXT},
                    "nominal_gib": POSITIVE,
                    "vram_mib": {"type": "integer", "minimum": 1024},
                    "compute_capability": {"type": "string", "pattern": r"^(\d+\.\d|gfx\w+)$"},
                    "bandwidth_gb_s": POSITIVE,
                    "fp16_tflops": POSITIVE,
                    "fp8_tflops": POSITIVE,
                    "fp4_tflops": POSITIVE,
                    "int8_tops": POSITIVE,
                    "nvlink_gb_s": POSITIVE,
                    "pcie_gen": {"enum": [3, 4, 5, 6]},
                    "visible_mib": POSITIVE,
                    "visible_basis": {"enum": ["measured", "derived"]},
                    "must_say": {"type": "array", "items": TEXT, "minItems": 1},
                    "unified": {"const": True},
                    "node_size": {"type": "integer", "minimum": 1},
                    "nvlink_domain": {"type": "integer", "minimum": 8},
                    "note": TEXT,
                    "sources": {"type": "object", "additionalProperties": {"type": "integer"}},
                    "date": DATE,
                },
            },
        },
    },
}
TOTALS_SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["schema_version", "note", "totals"],
    "properties": {
        "schema_version": {"const": 1},
        "note": TEXT,
        "totals": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["gpus", "value", "unit", "low", "high", "platform", "source", "date"],
                "properties": {
                    "gpus": {"type": "array", "items": TEXT, "minItems": 1},
                    "value": POSITIVE,
                    "low": POSITIVE,
                    "high": POSITIVE,
                    "unit": {"const": "GiB"},
                    "platform": {"enum": ["linux", "wsl", "unstated"]},
                    "rounded": {"const": True},
                    "note": TEXT,
                    "source": TEXT,
                    "date": DATE,
                },
            },
        },
    },
}


def read(name: str) -> dict[str, Any]:
    return json.loads((FOLDER / name).read_text(encoding="utf-8"))


def test_data_files_follow_their_schemas() -> None:
    validate(read("gpus.json"), CATALOG_SCHEMA)
    validate(read("visible_memory.json"), TOTALS_SCHEMA)


def test_every_figure_has_a_source_and_every_source_is_used() -> None:
    data = read("gpus.json")
    identity = {"name", "vendor", "nvml_names", "aliases", "visible_basis", "note"}
    identity |= {"must_say", "unified", "node_size", "nvlink_domain"}
    used: set[int] = set()
    for entry in data["gpus"]:
        figures = set(entry) - identity - {"sources", "date"}
        assert set(entry["sources"]) == figures, entry["name"]
        used.update(entry["sources"].values())
    assert used == set(range(len(data["sources"])))


def test_dates_are_real_and_not_in_the_future() -> None:
    entries = read("gpus.json")["gpus"] + read("visible_memory.json")["totals"]
    for entry in entries:
        assert datetime.date.fromisoformat(entry["date"]) >= datetime.date(2026, 1, 1)


def test_names_are_unique_in_every_writing() -> None:
    names = [squash(name) for name in gpu_names()]
    assert len(set(names)) == len(names) >= 80


def test_memory_figures_agree_with_each_other() -> None:
    for entry, gpu in zip(read("gpus.json")["gpus"], load_catalog(), strict=True):
        nominal_mib = entry["nominal_gib"] * 1024
        total = gpu.vram_mib or nominal_mib
        assert 0.92 * nominal_mib <= total <= 1.02 * nominal_mib, gpu.name
        # Of a small memory the driver's reserve is a larger part, beside that of ECC.
        share = 0.9 if nominal_mib > 10_000 else 0.88
        assert share * total <= gpu.visible_bytes / BYTES_TO_MIB <= total, gpu.name


def test_ranges_of_measured_totals_hold_their_value() -> None:
    for row in read("visible_memory.json")["totals"]:
        assert row["low"] <= row["value"] <= row["high"] <= 1.03 * row["low"]


# GiB that vLLM start-ups printed, and how far the catalogue may be from them.
@pytest.mark.parametrize(
    ("name", "gib", "tolerance"),
    [
        ("H100 80GB HBM3", 79.19, 0.001),
        ("Tesla T4", 14.56, 0.001),
        ("L4", 22.04, 0.011),
        ("RTX 3090", 23.56, 0.021),
        ("RTX 4090", 23.52, 0.001),
        ("RTX 5090", 31.38, 0.021),
        ("A100 80GB", 79.215, 0.12),
        ("A100 40GB", 39.435, 0.06),
        ("H200", 139.765, 0.05),
        ("RTX PRO 6000", 94.97, 0.001),
        ("GB10", 120.7, 1.0),
        ("MI300X", 191.83, 0.15),
    ],
)
def test_visible_memory_is_what_start_ups_printed(name: str, gib: float, tolerance: float) -> None:
    gpu = find_gpu(name)
    assert gpu.visible_basis == "measured"
    assert gpu.visible_bytes / BYTES_TO_GIB == pytest.approx(gib, abs=tolerance)


def test_wsl_totals_stay_out_of_the_catalogue() -> None:
    gpu = find_gpu("RTX 4080")
    assert gpu.visible_basis == "derived"
    assert 15.4 < gpu.visible_bytes / BYTES_TO_GIB < 15.7


def test_the_rule_holds_for_every_measured_pair() -> None:
    pairs = [
        (gpu.vram_mib, gpu.visible_bytes)
        for gpu in load_catalog()
        if gpu.vendor == "NVIDIA" and gpu.visible_basis == "measured" and gpu.vram_mib
    ]
    assert len(pairs) >= 17
    for total, visible in pairs:
        # B200 and GH200 are printed rounded, A100 80GB keeps more than others.
        assert abs(visible_bytes_from_total(total) - visible) < 0.0055 * visible
    close = [abs(visible_bytes_from_total(t) - v) < 120 * BYTES_TO_MIB for t, v in pairs]
    assert sum(close) >= len(close) - 4


def test_the_rule_never_shows_more_than_there_is() -> None:
    assert visible_bytes_from_total(0) == 0
    assert visible_bytes_from_total(400) == 0
    assert 0 < visible_bytes_from_total(4096) < 4096 * BYTES_TO_MIB


RESOLUTION = {
    "h100": "H100 SXM5 80GB",
    "H100 80GB HBM3": "H100 SXM5 80GB",
    "H100-80GB-SXM": "H100 SXM5 80GB",
    "H100 PCIe": "H100 PCIe 80GB",
    "h100 nvl": "H100 NVL 94GB",
    "H100 94GB": "H100 NVL 94GB",
    "a100-80g": "A100 SXM4 80GB",
    "A100-40GB": "A100 SXM4 40GB",
    "A100 PCIe 40 GB": "A100 PCIe 40GB",
    "rtx4090": "GeForce RTX 4090",
    "RTX 4090": "GeForce RTX 4090",
    "NVIDIA GeForce RTX 4090": "GeForce RTX 4090",
    "RTX 4090 24GB": "GeForce RTX 4090",
    "4090d": "GeForce RTX 4090 D",
    "4070": "GeForce RTX 4070 12GB",
    "4070 Ti": "GeForce RTX 4070 Ti",
    "rtx4070tisuper": "GeForce RTX 4070 Ti SUPER",
    "4060 Ti 8GB": "GeForce RTX 4060 Ti 8GB",
    "l4": "L4",
    "l40": "L40",
    "l40s": "L40S",
    "L40S PCIe": "L40S",
    "a10": "A10",
    "a10g": "A10G",
    "a16": "A16",
    "v100 32gb": "Tesla V100 SXM2 32GB",
    "h20": "H20",
    "H20 141GB": "H20-3e 141GB",
    "h200": "H200 SXM 141GB",
    "H200 NVL": "H200 NVL 141GB",
    "b200": "B200 SXM 180GB",
    "B300": "B300 SXM 288GB",
    "gb200": "GB200",
    "gh200": "GH200 96GB",
    "GH200 480GB": "GH200 96GB",
    "DGX Spark": "GB10",
    "GB10 (DGX Spark)": "GB10",
    "6000 ada": "RTX 6000 Ada",
    "RTX 6000 Ada Generation": "RTX 6000 Ada",
    "A6000": "RTX A6000",
    "RTX PRO 6000": "RTX PRO 6000 Blackwell Server",
    "NVIDIA RTX PRO 6000 Blackwell Workstation Edition": "RTX PRO 6000 Blackwell Workstation",
    "RTX PRO 6000 Blackwell Max-Q": "RTX PRO 6000 Blackwell Workstation",
    "MI300X": "Instinct MI300X",
    "AMD Instinct MI325X": "Instinct MI325X",
    "mi250x": "Instinct MI250X GCD",
    "7900 XTX": "Radeon RX 7900 XTX",
    "Gaudi3": "Gaudi 3",
    "tpu-v5e": "TPU v5e",
    "B580": "Arc B580",
}


@pytest.mark.parametrize(("asked", "name"), RESOLUTION.items())
def test_names_people_use_find_their_card(asked: str, name: str) -> None:
    assert find_gpu(asked).name == name


def test_every_catalogue_and_nvml_name_finds_its_card() -> None:
    for gpu in load_catalog():
        assert find_gpu(gpu.name) is gpu
        for nvml_name in gpu.nvml_names:
            assert gpu in gpus_with_nvml_name(nvml_name)
            if len(gpus_with_nvml_name(nvml_name)) == 1:
                assert find_gpu(nvml_name) is gpu


def test_nvml_gives_one_name_to_cards_of_several_sizes() -> None:
    found = {gpu.name for gpu in gpus_with_nvml_name("NVIDIA GeForce RTX 3060")}
    assert found == {"GeForce RTX 3060 12GB", "GeForce RTX 3060 8GB"}
    found = {gpu.name for gpu in gpus_with_nvml_name("NVIDIA GeForce RTX 4060 Ti")}
    assert found == {"GeForce RTX 4060 Ti 8GB", "GeForce RTX 4060 Ti 16GB"}


@given(st.data())
def test_case_and_punctuation_do_not_matter(data: st.DataObject) -> None:
    gpu = data.draw(st.sampled_from(load_catalog()))
    letters = [
        data.draw(st.sampled_from((letter.lower(), letter.upper()))) if letter.isalnum() else ""
        for letter in gpu.name
    ]
    marks = data.draw(
        st.lists(st.sampled_from(("", "", " ", "-", "_", "/", " (")), min_size=len(letters))
    )
    assert find_gpu("".join(a + b for a, b in zip(letters, marks, strict=False))) is gpu


@pytest.mark.parametrize(
    ("asked", "sizes"),
    [("A100", ("40GB", "80GB")), ("V100", ("16GB", "32GB")), ("4060 Ti", ("8GB", "16GB"))],
)
def test_an_open_memory_size_is_refused_with_the_choices(
    asked: str, sizes: tuple[str, ...]
) -> None:
    with pytest.raises(UnknownGpu) as caught:
        find_gpu(asked)
    assert all(size in caught.value.message for size in sizes)
    assert caught.value.hint.startswith("Say which, such as '")


@pytest.mark.parametrize(
    ("asked", "nearest"),
    [
        ("h1oo", "H100"),
        ("rtx 4090 laptop 17", "GeForce RTX 4090 Laptop"),
        ("RTX 6000", "RTX PRO 6000"),
        ("GH200 288GB", "GH200"),
        ("RTX 3070 16GB", "GeForce RTX 3070"),
        ("", ""),
        ("x" * 5000, ""),
        ("日本", ""),
    ],
)
def test_an_unknown_card_is_refused_with_near_names(asked: str, nearest: str) -> None:
    with pytest.raises(UnknownGpu) as caught:
        find_gpu(asked)
    assert nearest in caught.value.hint
    assert "vram_gb" in caught.value.hint


def test_nearest_names_complete_what_was_typed() -> None:
    assert all("H100" in name for name in nearest_gpus("h100", 3))
    assert nearest_gpus("rtx 50", 20)[0].startswith(("GeForce RTX 50", "RTX 50"))
    assert len(nearest_gpus("a", 5)) == 5
    assert nearest_gpus("a", 0) == ()


def test_capabilities_are_pairs_for_nvidia_only() -> None:
    assert find_gpu("H100").compute_capability == (9, 0)
    assert find_gpu("RTX 2080 Ti").compute_capability == (7, 5)
    for gpu in load_catalog():
        assert (gpu.compute_capability is not None) == (gpu.vendor == "NVIDIA"), gpu.name


def test_speed_facts_reach_the_gpu_with_their_source() -> None:
    gpu = find_gpu("H100")
    assert gpu.dense_tflops["fp16"] == 989
    assert gpu.nvlink_gb_s == 900
    assert gpu.memory_bandwidth_gb_s == 3350
    assert "aiconfigurator" in gpu.sources["fp16_tflops"]
    assert "79.1 to 79.25" in gpu.sources["visible_mib"]


def test_importing_reads_no_file_and_loading_is_quick() -> None:
    code = (
        "import time; from vllm_preflight.hardware import catalog as c;"
        "assert c.load_catalog.cache_info().currsize == 0;"
        "t = time.process_time(); c.load_catalog(); print(time.process_time() - t)"
    )
    runs = [
        float(subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout)
        for _ in range(3)
    ]
    # Some two milliseconds: a wide limit, since tests share their processor.
    assert min(runs) < 0.05


@pytest.fixture(scope="module")
def builder(repository: Path) -> ModuleType:
    path = repository / "scripts/build_gpu_catalog.py"
    spec = importlib.util.spec_from_file_location("build_gpu_catalog", path)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_catalogue_is_what_the_script_writes(builder: ModuleType, shared_dir: Path) -> None:
    lines = (shared_dir / "data/gpus.jsonl").read_text(encoding="utf-8").splitlines()
    totals = read("visible_memory.json")["totals"]
    date = read("gpus.json")["gpus"][0]["date"]
    rows = [json.loads(line) for line in lines]
    built = builder.build(rows, totals, date, builder.read_additions())
    assert builder.render(built) == (FOLDER / "gpus.json").read_text(encoding="utf-8")


def test_the_rule_is_the_least_squares_fit(builder: ModuleType) -> None:
    pairs = builder.known_pairs(read("gpus.json")["gpus"], read("visible_memory.json")["totals"])
    totals = [total for total, _ in pairs.values()]
    reserves = [total - visible for total, visible in pairs.values()]
    slope, base = statistics.linear_regression(totals, reserves)
    assert round(base) == RESERVE_BASE_MIB
    assert round(1000 * slope, 1) == RESERVE_PER_THOUSAND


def test_a_measured_total_for_no_card_is_an_error(builder: ModuleType) -> None:
    totals = [{"gpus": ["No such card"], "platform": "linux"}]
    with pytest.raises(ValueError, match="No such card"):
        builder.build([], totals, "2026-11-24", {"cards": [], "facts": []})


# Dense 16-bit tensor TFLOPS over FP32 TFLOPS, as published.
@pytest.mark.parametrize(
    ("name", "capability", "fp16", "fp32"),
    [
        ("GeForce RTX 2080 Ti", "7.5", 53.8, 13.45),
        ("T4", "7.5", 65.0, 8.14),
        ("Tesla V100 SXM2 16GB", "7.0", 125.0, 15.67),
        ("GeForce RTX 3090", "8.6", 71.0, 35.58),
        ("RTX A6000", "8.6", 154.8, 38.71),
        ("GeForce RTX 4090", "8.9", 165.2, 82.58),
        ("L40S", "8.9", 362.1, 91.61),
        ("GeForce RTX 5090", "12.0", 209.5, 104.8),
        ("Jetson AGX Orin 64GB", "8.7", 42.5, 5.325),
    ],
)
def test_tensor_rates_follow_from_fp32_as_published(
    builder: ModuleType, name: str, capability: str, fp16: float, fp32: float
) -> None:
    assert builder.tensor_ratio(name, capability) * fp32 == pytest.approx(fp16, rel=0.015)


def test_additions_never_change_what_the_table_says(builder: ModuleType) -> None:
    entry: dict[str, Any] = {
        "name": "L4",
        "compute_capability": "8.9",
        "fp16_tflops": 121.0,
        "sources": {},
    }
    sources = {"pcie_gen": "a page", "fp16_tflops": "another"}
    row = {"facts": {"fp16_tflops": 1.0, "pcie_gen": 4}, "sources": sources}
    builder.supplement(entry, row)
    assert entry["fp16_tflops"] == 121.0
    assert entry["pcie_gen"] == 4 and entry["sources"] == {"pcie_gen": "a page"}
