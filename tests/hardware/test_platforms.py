"""Rules that differ by platform, read from data."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import validate

from vllm_preflight.hardware import platforms
from vllm_preflight.hardware.catalog import find_gpu, load_catalog
from vllm_preflight.hardware.gpu import Gpu
from vllm_preflight.hardware.platforms import platform_of

TEXT = {"type": "string", "minLength": 1}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["schema_version", "note", "platforms"],
    "properties": {
        "schema_version": {"const": 1},
        "note": TEXT,
        "platforms": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": ["vendor", "name", "modelled", "source", "date"],
                "properties": {
                    "vendor": TEXT,
                    "name": {"enum": ["cuda", "rocm", "xpu", "tpu", "npu"]},
                    "modelled": {"type": "boolean"},
                    "since": {"type": "array", "items": {"type": "integer"}},
                    "prefixes": {"type": "array", "items": TEXT},
                    "fp8_format": {"enum": ["e4m3fn", "e4m3fnuz"]},
                    "source": TEXT,
                    "date": {"type": "string", "pattern": r"^20\d\d-\d\d-\d\d$"},
                },
            },
        },
    },
}


def test_the_data_file_follows_its_schema() -> None:
    path = Path(platforms.__file__).with_name("platforms.json")
    validate(json.loads(path.read_text(encoding="utf-8")), SCHEMA)


@pytest.mark.parametrize(
    ("card", "name", "fp8"),
    [
        ("H100", "cuda", "e4m3fn"),
        ("L4", "cuda", "e4m3fn"),
        ("A100 80GB", "cuda", None),
        ("T4", "cuda", None),
        ("MI300X", "rocm", "e4m3fnuz"),
        ("MI325X", "rocm", "e4m3fnuz"),
        ("MI300A", "rocm", "e4m3fnuz"),
        ("MI355X", "rocm", "e4m3fn"),
        ("RX 9070 XT", "rocm", "e4m3fn"),
        ("MI250X", "rocm", None),
        ("7900 XTX", "rocm", None),
        ("Gaudi 3", "xpu", None),
        ("TPU v6e", "tpu", None),
        ("Ascend 910B1", "npu", None),
    ],
)
def test_a_card_has_its_platform_and_its_fp8_format(card: str, name: str, fp8: str | None) -> None:
    platform = platform_of(find_gpu(card))
    assert (platform.name, platform.fp8_format) == (name, fp8)
    assert platform.modelled is (name == "cuda")


def test_every_card_of_the_catalogue_has_a_platform() -> None:
    for gpu in load_catalog():
        assert platform_of(gpu).name != "unknown", gpu.name


def test_a_described_gpu_is_reckoned_with_as_cudas() -> None:
    platform = platform_of(Gpu("mine", "unknown", 2**34, "given"))
    assert (platform.name, platform.modelled, platform.fp8_format) == ("unknown", True, None)
