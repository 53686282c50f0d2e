"""Family facts: what is named is registered in the release asked for, and says where from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.hardware.catalog import find_gpu
from vllm_preflight.launch.versions import NEWEST_KNOWN
from vllm_preflight.recommend.families import family_facts, registered

REGISTERED = ("reasoning_parser", "tool_call_parser", "tokenizer_mode")


@pytest.fixture(scope="module")
def table(repository: Path) -> dict[str, Any]:
    path = repository / "planner/vllm_preflight/recommend/families.json"
    return json.loads(path.read_text(encoding="utf-8"))


def test_every_family_says_where_from_and_no_field_goes_unread(table: dict[str, Any]) -> None:
    known = {"model", "source", "date", "arguments", "environment", "minimum_version", "nightly"}
    known |= {"images", "verified_hardware", "platforms", "checkpoints", "chat_template"}
    known |= {"trust_remote_code", "config_format", "load_format", *REGISTERED}
    for entry in table["families"]:
        assert entry["source"].startswith("github.com/vllm-project/"), entry["model"]
        assert len(entry["date"]) == 10, entry["model"]
        assert set(entry) <= known, entry["model"]


def test_every_name_is_registered_by_the_newest_release(table: dict[str, Any]) -> None:
    for entry in table["families"]:
        for kind in REGISTERED:
            if kind in entry:
                releases = table["registries"][kind].get(entry[kind])
                assert registered(releases, NEWEST_KNOWN), (entry["model"], kind)


def test_verified_cards_are_in_the_catalogue(table: dict[str, Any]) -> None:
    for name in table["hardware"].values():
        assert name is None or find_gpu(name).name == name


def test_every_recipe_of_vllm_is_there(table: dict[str, Any], shared_dir: Path) -> None:
    lines = (shared_dir / "data" / "recipes.jsonl").read_text(encoding="utf-8").splitlines()
    recipes = [json.loads(line) for line in lines]
    served = {row["model"]["model_id"] for row in recipes if row["tasks"] != ["omni"]}
    assert served <= {entry["model"] for entry in table["families"]}
    for row in recipes:
        if row["tasks"] == ["omni"]:
            continue
        facts = family_facts(row["model"]["model_id"])
        assert facts is not None and facts.basis == "recipe"
        remote = "--trust-remote-code" in (row["model"].get("base_args") or ())
        assert facts.trust_remote_code == remote, facts.model


def test_a_recipe_in_full() -> None:
    facts = family_facts("moonshotai/kimi-k2-thinking", "0.33.0")
    assert facts is not None
    assert (facts.model, facts.basis) == ("moonshotai/Kimi-K2-Thinking", "recipe")
    assert facts.arguments_for_serving() == (
        "--trust-remote-code",
        "--reasoning-parser",
        "kimi_k2",
        "--tool-call-parser",
        "kimi_k2",
        "--enable-auto-tool-choice",
    )
    assert facts.minimum_version == "0.12.0"
    assert ("h200", "H200 SXM 141GB") in [(one.label, one.gpu) for one in facts.verified_hardware]
    assert "recipes" in facts.source and not facts.left_out


def test_a_parser_the_release_lacks_is_left_out_and_said() -> None:
    old = family_facts("Qwen/Qwen3-32B", "0.8.5")
    new = family_facts("Qwen/Qwen3-32B", "0.9.0")
    assert old is not None and new is not None
    assert old.reasoning_parser is None and new.reasoning_parser == "qwen3"
    assert old.left_out == ("vLLM 0.8.5 has no --reasoning-parser qwen3: left out.",)
    assert old.tool_call_parser == new.tool_call_parser == "hermes"


def test_before_0_9_a_reasoning_parser_needs_its_switch() -> None:
    old = family_facts("deepseek-ai/DeepSeek-R1", "0.8.5")
    new = family_facts("deepseek-ai/DeepSeek-R1", "0.9.0")
    assert old is not None and new is not None
    assert "--enable-reasoning" in old.arguments_for_serving()
    assert "--enable-reasoning" not in new.arguments_for_serving()


@pytest.mark.parametrize(
    ("model", "basis", "reasoning", "tools"),
    [
        ("nvidia/Qwen3-32B-NVFP4", "checkpoint", "qwen3", "hermes"),
        ("Qwen/Qwen3-14B", "sibling", "qwen3", "hermes"),
        ("Qwen/Qwen3-14B-AWQ", "sibling", "qwen3", "hermes"),
        ("Qwen/Qwen3-30B-A3B-Instruct-2507", "sibling", None, "hermes"),
        ("meta-llama/Llama-3.1-70B-Instruct", "documentation", None, "llama3_json"),
        ("meta-llama/Llama-3.1-8B-Instruct", "recipe", None, "llama3_json"),
        ("deepseek-ai/DeepSeek-R1-Distill-Llama-8B", "documentation", "deepseek_r1", None),
        ("zai-org/GLM-4.5-Air", "documentation", "glm45", "glm45"),
        ("RedHatAI/GLM-4.5-Air-FP8", "documentation", "glm45", "glm45"),
        ("RedHatAI/Meta-Llama-3.1-70B-Instruct-FP8", "documentation", None, "llama3_json"),
        ("RedHatAI/Qwen3-14B-quantized.w4a16", "sibling", "qwen3", "hermes"),
        ("Qwen/Qwen3-Coder-30B-A3B-Instruct", "documentation", None, "qwen3_xml"),
    ],
)
def test_relatives_of_a_recipe(
    model: str, basis: str, reasoning: str | None, tools: str | None
) -> None:
    facts = family_facts(model)
    assert facts is not None
    assert (facts.basis, facts.reasoning_parser, facts.tool_call_parser) == (
        basis,
        reasoning,
        tools,
    )


@pytest.mark.parametrize(
    "model", ["Qwen/Qwen3-8B-Base", "Qwen/Qwen3-Embedding-8B", "someone/My-Qwen3-8B", "nonsense"]
)
def test_a_model_no_source_covers_has_no_facts(model: str) -> None:
    assert family_facts(model) is None


def test_a_checkpoint_brings_its_own_release_and_environment() -> None:
    base = family_facts("deepseek-ai/DeepSeek-V4-Flash")
    own = family_facts("deepseek-ai/deepseek-v4-flash-0731")
    assert base is not None and own is not None
    assert (base.minimum_version, own.minimum_version) == ("0.20.0", "0.25.0")
    nvfp4 = family_facts("nvidia/DeepSeek-V3.2-NVFP4")
    assert nvfp4 is not None and nvfp4.environment == {"VLLM_USE_FLASHINFER_MOE_FP4": "1"}


def test_a_parser_of_a_plugin_file_is_not_named() -> None:
    # The recipe loads nano_v3 from a file beside the checkpoint; no release registers it.
    facts = family_facts("nvidia/NVIDIA-Nemotron-3-Nano-30B-A3B-BF16")
    assert facts is not None and facts.reasoning_parser is None
    assert facts.tool_call_parser == "qwen3_coder"


def test_a_version_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidRequest):
        family_facts("Qwen/Qwen3-32B", "zero")
