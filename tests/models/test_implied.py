"""The scheme a name implies, and which model a name says a checkpoint is made from."""

from __future__ import annotations

import pytest

from vllm_preflight.models.catalog.entries import catalog_entry
from vllm_preflight.models.checkpoint_names import Precision
from vllm_preflight.models.derived import derived_model, likely_base
from vllm_preflight.models.implied import SAYS, with_implied_scheme
from vllm_preflight.models.quantization import read_quantization


@pytest.mark.parametrize("precision", sorted(SAYS))
def test_every_scheme_is_one_the_reader_knows(precision: Precision) -> None:
    entry = catalog_entry("Qwen/Qwen3-8B")
    assert entry is not None
    implied = with_implied_scheme(entry.config, precision)
    assert implied is not None
    scheme = read_quantization(implied)
    assert (scheme.method == "none") == (precision == "16-bit")
    assert {**entry.config, "quantization_config": None} == {**implied, "quantization_config": None}


@pytest.mark.parametrize(
    ("model", "precision"),
    [
        ("openai/gpt-oss-20b", "fp8"),  # Quantised itself.
        ("Qwen/Qwen3-8B", "nvfp4"),  # Publishers leave different modules in 16 bit.
        ("Qwen/Qwen3-8B", "other"),
        ("Qwen/Qwen3-Next-80B-A3B-Instruct", "awq"),  # Linear attention.
    ],
)
def test_an_open_scheme_is_not_implied(model: str, precision: Precision) -> None:
    entry = catalog_entry(model)
    assert entry is not None
    assert with_implied_scheme(entry.config, precision) is None


def test_a_derived_model_says_so_everywhere() -> None:
    model = derived_model("RedHatAI/Qwen3-14B-FP8-dynamic")
    assert model is not None
    assert model.provenance.startswith("assumed from its name: Qwen/Qwen3-14B with FP8")
    assert "is taken for Qwen/Qwen3-14B" in model.notes[0]
    assert model.assumed[0].fact == "quantization_config"
    assert model.assumed[0].settle in model.notes[0]
    assert model.params_published is None and model.checkpoint_bytes is None


@pytest.mark.parametrize("model", ["someone/thing", "someone/My-Qwen3-8B", "x/Qwen3-8B-NVFP4"])
def test_what_is_not_its_base_with_a_scheme_is_not_derived(model: str) -> None:
    assert derived_model(model) is None


def test_the_longest_name_inside_another_is_the_likely_base() -> None:
    assert likely_base("a/Llama-3.1-8B-Instruct-law-FP8") == "meta-llama/Llama-3.1-8B-Instruct"
    assert likely_base("a/My-Qwen3-30B-A3B") == "Qwen/Qwen3-30B-A3B"
    assert likely_base("a/Qwen3-8") is None
    assert likely_base("Qwen/Qwen3-8B") is None
