from __future__ import annotations

import json
import shlex
from typing import Any

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from vllm_preflight.launch.arguments import parse_command
from vllm_preflight.launch.flags.bearing import Flag, all_flags
from vllm_preflight.launch.flags.refusals import refuse_model
from vllm_preflight.launch.flags.table import parser_of
from vllm_preflight.launch.render import render_command
from vllm_preflight.launch.versions import NEWEST_KNOWN

WORDS = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs")) | st.just("\n"), min_size=1
).filter(lambda text: text.strip() and not text.startswith("$") and text != "None")
JSON = st.dictionaries(
    st.text(max_size=5),
    st.recursive(
        st.none() | st.booleans() | st.integers(0, 99) | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=3), inner, max_size=2)
        ),
        max_leaves=4,
    ),
    max_size=3,
)
NAMED = {
    "dtype": st.sampled_from(["auto", "half", "bfloat16"]),
    "kv_cache_dtype": st.sampled_from(["auto", "fp8", "fp8_e4m3"]),
    "max_lora_rank": st.sampled_from([8, 16, 64]),
    "gpu_memory_utilization": st.floats(0.01, 1.0),
    "optimization_level": st.integers(0, 3),
    "quantization": st.sampled_from(["awq", "fp8"]),
    "load_format": st.sampled_from(["auto", "dummy", "safetensors"]),
    "distributed_executor_backend": st.sampled_from(["mp", "ray", "a.Class"]),
    "attention_backend": st.sampled_from(["FLASH_ATTN", "flashinfer", "auto"]),
    # Keys with dashes are read with underscores.
    "speculative_config": st.sampled_from(['{"method": "ngram"}', '{"model": "a/b"}']),
    # Balanced experts and several nodes ask for more arguments beside them.
    "enable_eplb": st.just(False),
    "enable_dbo": st.just(False),
    "ubatch_size": st.integers(0, 1),
    "collect_detailed_traces": st.just(["all"]),
    "nnodes": st.just(1),
    "offload_num_in_group": st.integers(1, 9),
}


def value_of(flag: Flag) -> st.SearchStrategy[Any]:
    if flag.name in NAMED:
        return NAMED[flag.name]
    argument = parser_of(NEWEST_KNOWN).by_spelling[flag.flag]
    if argument.choices and argument.nargs is None:
        return st.sampled_from([choice for choice in argument.choices if choice != "None"])
    if argument.config is not None:
        return st.just({})
    match flag.kind:
        case "switch":
            return st.booleans()
        case "integer" | "scaled" | "length":
            return st.integers(1, 1024)
        case "integers":
            return st.lists(st.integers(1, 99), min_size=1, max_size=3)
        case "number":
            return st.floats(0, 1000)
        case "json":
            return JSON
        case "json_text":
            return JSON.map(json.dumps)
        case "limits":
            return st.sampled_from(['{"image": 2}', '{"image": 1, "video": 0}'])
        case "texts":
            return st.lists(st.sampled_from(["0", "1", "sliding_window"]), min_size=1, max_size=2)
        case _:
            return WORDS.map(lambda text: text[:100])


def arguments(target: str) -> st.SearchStrategy[dict[str, Any]]:
    # The short drafting flags come back as a speculative_config.
    flags = {
        flag.name: value_of(flag)
        for flag in all_flags()
        if flag.target == target
        and flag.flag in parser_of(NEWEST_KNOWN).by_spelling
        and not flag.name.startswith("spec_")
    }
    # vLLM's parser takes a model that begins with a dash for a flag, and none in curly quotes.
    named = flags.pop("model", st.nothing()).filter(
        lambda name: not name.startswith("-") and refuse_model(name, (), ()) is None
    )
    required = {"model": named} if target == "request" else {}
    return st.fixed_dictionaries(required, optional=flags)


ENVIRONMENT = st.dictionaries(
    st.sampled_from(["VLLM_ALLOW_LONG_MAX_MODEL_LEN", "CUDA_VISIBLE_DEVICES", "VLLM_X"]), WORDS
)


@settings(max_examples=200, deadline=None)
@given(arguments("request"), arguments("extra"), ENVIRONMENT)
def test_a_rendered_command_parses_to_what_it_was_rendered_from(
    fields: dict[str, Any], extra: dict[str, Any], environment: dict[str, str]
) -> None:
    # Adapters kept in memory are at least those of a batch, or vLLM refuses them together.
    assume(extra.get("max_cpu_loras", 10_000) >= fields.get("max_loras", 1))
    rendered = render_command(fields, extra, environment)
    parsed = parse_command(rendered.text)
    assert (parsed.fields, parsed.extra, parsed.environment) == (fields, extra, environment)
    assert parsed.refusal is None
    assert render_command(parsed.fields, parsed.extra, parsed.environment) == rendered


def test_a_command_is_quoted_for_a_shell_and_free_of_what_is_no_argument() -> None:
    rendered = render_command(
        {"model": "a b", "tensor_parallel_size": 2, "gpu": "H100", "vllm_version": "0.19.0",
         "enable_prefix_caching": False, "max_model_len": None},
        {"max_model_len": "auto"},
        {"VLLM_X": "1 2"},
    )  # fmt: skip
    assert rendered.argv == (
        *("vllm", "serve", "a b", "--max-model-len", "auto"),
        *("--tensor-parallel-size", "2", "--no-enable-prefix-caching"),
    )
    assert rendered.text == f"VLLM_X='1 2' {shlex.join(rendered.argv)}"


def test_a_docker_command_renders_as_the_serve_command_it_runs() -> None:
    parsed = parse_command("docker run vllm/vllm-openai:v0.11.0 --model a -tp 2")
    assert render_command(parsed.fields).text == "vllm serve a --tensor-parallel-size 2"
