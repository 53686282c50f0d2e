"""Where derived terms say they come from: the rule's own releases, not another's."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.memory.conftest import LaunchOf

from vllm_preflight.hardware.catalog import find_gpu
from vllm_preflight.launch.versions import parse_version
from vllm_preflight.memory.runtime.rules import rule_sentence
from vllm_preflight.memory.runtime.runtime import runtime_memory
from vllm_preflight.models.sources import load_model

H100 = find_gpu("H100")
_SPAN = re.compile(r"vLLM ([\d.]+)(?: to before ([\d.]+)| on)")


@pytest.mark.parametrize("version", [(0, 8, 0), (0, 10, 0), (0, 19, 0), (0, 24, 0), (0, 33, 0)])
@pytest.mark.parametrize("name", ["meta-llama/Llama-3.1-8B-Instruct", "deepseek-ai/DeepSeek-R1"])
def test_every_source_covers_the_release_it_is_shown_for(
    launch_of: LaunchOf, version: tuple[int, int, int], name: str
) -> None:
    runner = "v2" if version >= (0, 29, 0) else "v1"
    launch = launch_of(version=version, model_runner=runner, tensor_parallel_size=8)
    memory = runtime_memory(load_model(name, source="catalog"), launch, H100)
    for term in memory.terms:
        found = _SPAN.search(term.source or "")
        assert found is not None, term
        since, until = found.groups()
        assert parse_version(since) <= version, term
        assert until is None or version < parse_version(until), term


def test_a_sampler_is_that_of_its_release_and_runner() -> None:
    assert "0.8.0 to before 0.17.0" in rule_sentence("logits", (0, 10, 0), "v1")
    assert "printed peaks" in rule_sentence("logits", (0, 10, 0), "v1")
    assert "0.26.0 to before 0.33.0" in rule_sentence("sampler_bare", (0, 30, 0), "v2")


def test_nothing_is_said_to_be_compared_that_was_not(repository: Path) -> None:
    assert (repository / "benchmarks/data/shadow_cases.jsonl").is_file()
    for term in ("expert_exchange", "lora_experts"):
        assert "no run to compare with" in rule_sentence(term, (0, 33, 0), "v2")
