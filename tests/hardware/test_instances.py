"""The table of instance types: its data file, and finding one."""

from __future__ import annotations

import datetime
import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import validate

from vllm_preflight.hardware import instances
from vllm_preflight.hardware.catalog import gpu_names
from vllm_preflight.hardware.instances import (
    attached_gpus,
    family,
    find_instance,
    load_instances,
    near_instances,
    other_chip,
)

PATH = Path(instances.__file__).with_name("instances.json")
TEXT = {"type": "string", "minLength": 1}


def rows(**fields: Any) -> dict[str, Any]:
    return {
        "type": "array",
        "minItems": 1,
        "items": {
            "type": "object",
            "additionalProperties": False,
            "required": list(fields),
            "properties": fields,
        },
    }


SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["schema_version", "sources", "instances", "accelerators", "other_chips"],
    "properties": {
        "schema_version": {"const": 1},
        "sources": rows(provider=TEXT, source=TEXT, date=TEXT),
        "instances": rows(
            id=TEXT, provider=TEXT, gpu=TEXT, gpus={"type": "integer", "minimum": 1, "maximum": 16}
        ),
        "accelerators": rows(id=TEXT, provider=TEXT, gpu=TEXT),
        "other_chips": rows(prefix=TEXT, chip=TEXT),
    },
}


@pytest.fixture(scope="module")
def table() -> dict[str, Any]:
    return json.loads(PATH.read_text(encoding="utf-8"))


def test_the_data_file_follows_its_schema(table: dict[str, Any]) -> None:
    validate(table, SCHEMA)
    assert len(table["instances"]) >= 80


def test_every_provider_has_a_source_and_a_date(table: dict[str, Any]) -> None:
    providers = {row["provider"] for row in table["sources"]}
    assert providers == {row["provider"] for row in table["instances"] + table["accelerators"]}
    for row in table["sources"]:
        assert datetime.date.fromisoformat(row["date"]) >= datetime.date(2026, 1, 1)


def test_ids_are_unique_and_cards_are_known(table: dict[str, Any]) -> None:
    ids = [row["id"].lower() for row in table["instances"] + table["accelerators"]]
    assert len(set(ids)) == len(ids) == len(load_instances())
    assert {row["gpu"] for row in table["instances"] + table["accelerators"]} <= set(gpu_names())


def test_the_file_is_what_the_script_writes(repository: Path) -> None:
    path = repository / "scripts/build_instances.py"
    spec = importlib.util.spec_from_file_location("build_instances", path)
    assert spec and spec.loader
    builder = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(builder)
    assert builder.render(builder.build()) == PATH.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "text", ["p5.48xlarge", "ML.P5.48xlarge", " p5.48xlarge "], ids=["plain", "ml", "blanks"]
)
def test_prefixes_and_case_do_not_matter(text: str) -> None:
    instance = find_instance(text)
    assert instance is not None
    assert (instance.id, instance.provider, instance.gpus) == ("p5.48xlarge", "AWS", 8)


def test_a_clouds_name_of_a_gpu_says_no_number() -> None:
    instance = find_instance("nvidia-tesla-a100")
    assert instance is not None and instance.gpus is None
    assert instance.gpu == "A100 SXM4 40GB"


def test_attached_gpus_are_what_follows_the_machine_type() -> None:
    assert attached_gpus("n1-standard-8+2xT4") == "2xt4"
    assert attached_gpus("n1-custom-8-32768 + L4") == "l4"
    assert attached_gpus("RTX 4090 + RTX 3090") is None


def test_other_chips_and_near_ids() -> None:
    assert other_chip("ml.inf2.48xlarge") == "AWS Inferentia2"
    assert other_chip("p5.48xlarge") is None
    assert near_instances("p5e.24xlarge")[0].startswith(("p5", "g"))
    assert near_instances("H100") == ()


def test_a_family_is_its_sizes_fewest_gpus_first() -> None:
    assert [instance.gpus for instance in family("p3")] == [1, 4, 8]
    assert family("a") == family("nosuch9") == ()
