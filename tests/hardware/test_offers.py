"""The table of list prices: its data file, and what a machine of it costs."""

from __future__ import annotations

import importlib.util
import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from jsonschema import validate

from vllm_preflight.hardware import offers
from vllm_preflight.hardware.catalog import gpu_names
from vllm_preflight.hardware.instances import find_instance
from vllm_preflight.hardware.offers import Offer, load_offers

PATH = Path(offers.__file__).with_name("prices.json")
TEXT = {"type": "string", "minLength": 2, "maxLength": 90}
HTTPS = {"type": "string", "pattern": r"^https://[\w.-]+\.[a-z]+(/\S*)?$"}
FIELDS: dict[str, Any] = {
    "provider": TEXT,
    "offer": TEXT,
    "gpu": {"enum": list(gpu_names())},
    "gpus": {"type": "integer", "minimum": 1, "maximum": 16},
    "up_to": {"type": "integer", "minimum": 2, "maximum": 16},
    "price_per_hour": {"type": "number", "exclusiveMinimum": 0},
    "currency": {"enum": ["USD", "EUR"]},
    "region": TEXT,
    "kind": {"const": "on demand"},
    "source": HTTPS,
    "recorded": HTTPS,
    "date": {"type": "string", "pattern": r"^\d{4}-\d\d-\d\d$"},
}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["schema_version", "prices"],
    "properties": {
        "schema_version": {"const": 1},
        "prices": {
            "type": "array",
            "minItems": 60,
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": [name for name in FIELDS if name != "up_to"],
                "properties": FIELDS,
            },
        },
    },
}


def test_every_entry_has_its_source_its_day_and_a_plausible_price() -> None:
    table = json.loads(PATH.read_text(encoding="utf-8"))
    validate(table, SCHEMA)
    gathered = date(2026, 11, 28)
    for offer in load_offers():
        assert date(2026, 1, 1) <= offer.date <= gathered, offer
        assert 0.05 <= offer.price_per_hour / offer.gpus <= 25, offer
    keys = [(offer.provider, offer.name) for offer in load_offers()]
    assert len(keys) == len(set(keys))


def test_sixty_instance_types_of_the_common_clouds_have_a_price() -> None:
    providers = {offer.provider for offer in load_offers()}
    assert providers >= {"AWS", "Azure", "GCP", "OCI", "Lambda", "Nebius", "CoreWeave"}
    assert providers >= {"RunPod Secure", "RunPod Community", "Vast.ai", "Hyperstack", "Scaleway"}
    known = [offer for offer in load_offers() if find_instance(offer.name) is not None]
    assert len(known) >= 60


def test_an_instance_has_the_gpus_that_its_type_has() -> None:
    for offer in load_offers():
        instance = find_instance(offer.name)
        if instance is not None and instance.provider == offer.provider:
            assert (instance.gpu, instance.gpus) == (offer.gpu, offer.gpus)


def test_the_file_is_what_the_script_writes(repository: Path) -> None:
    path = repository / "scripts/build_prices.py"
    spec = importlib.util.spec_from_file_location("build_prices", path)
    assert spec is not None and spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert PATH.read_text(encoding="utf-8") == script.render(script.build())


def offer(gpus: int, up_to: int = 0) -> Offer:
    day = date(2026, 10, 1)
    return Offer("P", "o", "H100", gpus, up_to, 4.0, "USD", "r", "https://a", "https://b", day)


@pytest.mark.parametrize(
    ("given", "gpus", "price"),
    [
        (offer(4), 4, 4.0),
        # Rented whole, however few are used.
        (offer(4), 1, 4.0),
        (offer(4), 5, None),
        (offer(1, 8), 1, 4.0),
        (offer(1, 8), 3, 12.0),
        (offer(1, 8), 9, None),
    ],
)
def test_a_machine_costs_all_it_has(given: Offer, gpus: int, price: float | None) -> None:
    assert given.machine(gpus) == price
