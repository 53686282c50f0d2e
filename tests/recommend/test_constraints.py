"""The rules of the data file, and the variants a model exists in."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

from vllm_preflight.base.errors import PreflightError
from vllm_preflight.launch.launch import Version
from vllm_preflight.models.sources import load_model
from vllm_preflight.models.weight_scheme import Quantization
from vllm_preflight.recommend.checkpoints import checkpoints
from vllm_preflight.recommend.constraints import (
    broken_by_division,
    broken_by_gpu,
    load_rules,
)

NEW: Version = (0, 33, 0)


def test_every_rule_says_what_and_where_from() -> None:
    rules = load_rules()
    assert len({rule.id for rule in rules}) == len(rules)
    for rule in rules:
        assert len(rule.says) > 20 and len(rule.source) > 10
        bounded = rule.minimum_capability or rule.below_capability or rule.divides
        assert bounded, rule.id


def test_the_file_has_no_field_nobody_reads(repository: Path) -> None:
    path = repository / "planner/vllm_preflight/recommend/constraints.json"
    data: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    known = {"id", "says", "source", "methods", "schemes", "until"}
    known |= {"minimum_capability", "below_capability", "divides"}
    for entry in data["rules"]:
        assert set(entry) <= known, entry["id"]


def test_int8_activations_end_with_blackwell() -> None:
    int8 = checkpoints(load_model("Qwen/Qwen3-8B"), "int8")[0].effective
    broken = broken_by_gpu(int8, (10, 0))
    assert broken is not None and broken.id == "int8_activations_gpu"
    assert broken_by_gpu(int8, (9, 0)) is None
    assert broken_by_gpu(Quantization(), (10, 0)) is None


def test_fp8_blocks_had_to_divide_experts_before_uneven_shares() -> None:
    model = load_model("Qwen/Qwen3-235B-A22B-FP8")
    old: Version = (0, 17, 0)
    broken = broken_by_division(model, "auto", old, 8, 8, False)
    assert broken is not None and broken.id == "fp8_block_divides"
    assert broken_by_division(model, "auto", old, 8, 8, True) is None
    assert broken_by_division(model, "auto", old, 4, 4, False) is None
    assert broken_by_division(model, "auto", NEW, 8, 8, False) is None


def test_no_rule_excludes_what_vllm_was_seen_to_start(shared_dir: Path) -> None:
    broken: Counter[str] = Counter()
    path = shared_dir / "data" / "vllm_oracle.jsonl"
    seen = 0
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            case = json.loads(line)
            if not case.get("num_blocks"):
                continue
            try:
                model = load_model(case["model"], source="catalog")
            except PreflightError:
                continue
            major, minor = str(case["cc"]).split(".")
            version: Version = tuple(map(int, case["vllm"].split(".")[:3]))  # type: ignore[assignment]
            capability = (int(major), int(minor))
            rules = (
                broken_by_gpu(model.quantization, capability),
                broken_by_division(
                    model, "auto", version, case["tp"], case["tp"], bool(case["ep"] > 1)
                ),
            )
            seen += 1
            broken.update(f"{case['model']} {rule.id}" for rule in rules if rule is not None)
    assert seen > 100
    assert not broken


def test_variants_have_the_models_name_and_dimensions() -> None:
    found = checkpoints(load_model("Qwen/Qwen3-32B"))
    names = [item.model.id for item in found]
    assert names[0] == "Qwen/Qwen3-32B" and not found[0].altered
    assert "Qwen/Qwen3-32B-AWQ" in names and "Qwen/Qwen3-32B-FP8" in names
    assert found[-1].quantization == "fp8" and found[-1].altered
    assert not any("VL" in name for name in names)


def test_a_fine_tune_is_no_variant() -> None:
    names = {item.model.id for item in checkpoints(load_model("Qwen/Qwen3-235B-A22B"))}
    assert "nvidia/Qwen3-235B-A22B-NVFP4" in names
    assert not any("2507" in name for name in names)


def test_a_quantised_model_may_be_had_in_sixteen_bits() -> None:
    found = checkpoints(load_model("Qwen/Qwen3-32B-FP8"))
    whole = next(item for item in found if item.model.id == "Qwen/Qwen3-32B")
    assert not whole.altered
    assert all(item.quantization == "auto" for item in found)


def test_what_is_pinned_leaves_no_choice() -> None:
    assert len(checkpoints(load_model("Qwen/Qwen3-32B"), "none")) == 1
