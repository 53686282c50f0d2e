"""Arguments that vLLM refuses together, and numbers that its configs refuse.

Source: engine/arg_utils.py (create_engine_config), config/parallel.py, config/lora.py, the
front end's cli_args.py (validate_parsed_serve_args) and launcher.py of the wheels 0.8 to
0.33; the numbers' limits are in `names.json`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from vllm_preflight.launch.acceptance.tables import span_of, table
from vllm_preflight.launch.flags.parser import Given
from vllm_preflight.launch.flags.refusals import Refusal
from vllm_preflight.launch.launch import Version

Arguments = Mapping[str, Given]

_LARGEST_PORT = 65535
_REASONING_SWITCH_UNTIL: Version = (0, 9, 0)
_OUTPUT_LOGS_SINCE: Version = (0, 11, 0)
_REQUEST_METRICS_SINCE: Version = (0, 25, 0)
_KEEP_ALIVE_SINCE: Version = (0, 33, 0)
_RANKS_SINCE: Version = (0, 9, 0)
_RANK_BACKENDS_SINCE: Version = (0, 9, 1)
_EXPERTS_VARIABLE = "VLLM_ALL2ALL_BACKEND"
_EXPERTS_VARIABLE_UNTIL: Version = (0, 16, 0)
# Until then the back end was named by the variable alone.
_MICROBATCHES_SINCE: Version = (0, 11, 1)
_NIXL_SINCE: Version = (0, 24, 0)
_MOST_SEEDS = 2**32
_LOCAL_RANKS_SINCE: Version = (0, 9, 0)
_REDUNDANT_SINCE: Version = (0, 9, 2)
_BALANCED_EXPERTS_SINCE: Version = (0, 10, 0)
# From then on errors of a layout over machines begin with the same words.
_LAYOUT_WORDS_SINCE: Version = (0, 27, 0)
_LAYOUT_WORDS = "Invalid data-parallel launch options: "
_DRAFT_FLAGS = {
    "spec_method": "method",
    "spec_model": "model",
    "spec_tokens": "num_speculative_tokens",
}
# What must hold of a number, as pydantic says it, by the name of the limit.
_LIMITS: Mapping[str, tuple[str, Callable[[float, float], bool]]] = {
    "gt": ("greater than", lambda value, limit: value > limit),
    "ge": ("greater than or equal to", lambda value, limit: value >= limit),
    "lt": ("less than", lambda value, limit: value < limit),
    "le": ("less than or equal to", lambda value, limit: value <= limit),
}


def refuse_together(
    given: Arguments, environment: Mapping[str, str], version: Version
) -> Refusal | None:
    """The first refusal of arguments that each could be taken alone.

    `given` are the arguments by their destination, the later of two winning.
    """
    values = {name: item.value for name, item in given.items() if not item.missing}
    if _EXPERTS_VARIABLE in environment and version < _EXPERTS_VARIABLE_UNTIL:
        values["all2all_backend"] = environment[_EXPERTS_VARIABLE]
    for rule in (_front_end, _ports, _numbers, _drafts, _experts, _machines, _adapters):
        for message, *remedies in rule(values, version):
            return Refusal(message, "", tuple(remedies))
    return None


def _front_end(values: Mapping[str, Any], version: Version) -> Iterator[tuple[str, ...]]:
    if values.get("enable_auto_tool_choice") and not values.get("tool_call_parser"):
        yield ("Error: --enable-auto-tool-choice requires --tool-call-parser",)
    reasoning = values.get("enable_reasoning") and version < _REASONING_SWITCH_UNTIL
    if reasoning and not values.get("reasoning_parser"):
        yield ("Error: --enable-reasoning requires --reasoning-parser",)
    logs = values.get("enable_log_outputs") and version >= _OUTPUT_LOGS_SINCE
    if logs and not values.get("enable_log_requests"):
        yield (
            "Error: --enable-log-outputs requires --enable-log-requests",
            "--enable-log-requests",
        )
    metrics = values.get("enable_per_request_metrics") and version >= _REQUEST_METRICS_SINCE
    if metrics and values.get("disable_log_stats"):
        yield (
            "Error: --enable-per-request-metrics requires engine statistics logging; remove "
            "--disable-log-stats to enable per-request metrics.",
            "no --disable-log-stats",
        )
    if version >= _KEEP_ALIVE_SINCE and (values.get("sse_keep_alive_interval") or 0) < 0:
        yield (
            "Error: --sse-keep-alive-interval must be a non-negative integer (0 disables "
            "keep-alive comments).",
        )


def _ports(values: Mapping[str, Any], version: Version) -> Iterator[tuple[str, ...]]:
    """The server binds its port before the engine starts."""
    port = values.get("port")
    elsewhere = values.get("uds") or values.get("headless")
    if port is not None and not elsewhere and not 0 <= port <= _LARGEST_PORT:
        yield ("OverflowError: bind(): port must be 0-65535.", "--port 8000")


def _numbers(values: Mapping[str, Any], version: Version) -> Iterator[tuple[str, ...]]:
    """Numbers outside what the release's config classes take."""
    seed = values.get("seed")
    if seed is not None and not 0 <= seed < _MOST_SEEDS:
        yield ("ValueError: Seed must be between 0 and 2**32 - 1", "--seed 0")
    limited = table("names")["number_limits"]
    for name in limited.keys() & values.keys():
        value, span = values[name], span_of(limited[name], version)
        if span is None or isinstance(value, bool) or not isinstance(value, int | float):
            continue
        if name == "max_loras" and not values.get("enable_lora"):
            continue
        for key, (words, holds) in _LIMITS.items():
            if key in span and not holds(value, span[key]):
                yield (
                    f"1 validation error for {span['config']}: {name}: Input should be {words} "
                    f"{span[key]} [input_value={value!r}]",
                )


def _drafts(values: Mapping[str, Any], version: Version) -> Iterator[tuple[str, ...]]:
    config = values.get("speculative_config")
    if not isinstance(config, Mapping):
        return
    given = cast(Mapping[str, Any], config)
    for name, key in _DRAFT_FLAGS.items():
        if values.get(name) is not None and key in given:
            flag = f"--{name.replace('_', '-')}"
            yield (f"{flag} and --speculative-config['{key}'] are mutually exclusive", f"no {flag}")


def _experts(values: Mapping[str, Any], version: Version) -> Iterator[tuple[str, ...]]:
    eplb: Mapping[str, Any] = values.get("eplb_config") or {}
    redundant = values.get("num_redundant_experts") or eplb.get("num_redundant_experts") or 0
    balanced = bool(values.get("enable_eplb"))
    if not balanced and redundant and version >= _REDUNDANT_SINCE:
        yield (
            f"num_redundant_experts is set to {redundant} but EPLB is not enabled. Either enable "
            "EPLB or unset num_redundant_experts.",
            "--enable-eplb",
        )
    if not balanced or version < _BALANCED_EXPERTS_SINCE:
        return
    if not values.get("enable_expert_parallel"):
        yield ("enable_expert_parallel must be True to use EPLB.", "--enable-expert-parallel")
    tp, dp = values.get("tensor_parallel_size") or 1, values.get("data_parallel_size") or 1
    if tp * dp * (values.get("prefill_context_parallel_size") or 1) <= 1:
        yield (
            "EPLB requires tensor_parallel_size or data_parallel_size to be greater than 1, but "
            f"got TP={tp},DP={dp}.",
            "no --enable-eplb",
        )


def _machines(values: Mapping[str, Any], version: Version) -> Iterator[tuple[str, ...]]:
    dp, local = values.get("data_parallel_size") or 1, values.get("data_parallel_size_local")
    if local is not None and local > dp and version >= _LOCAL_RANKS_SINCE:
        yield (
            f"data_parallel_size_local ({local}) must be <= data_parallel_size ({dp})",
            f"--data-parallel-size {local}",
        )
    rank = values.get("data_parallel_rank")
    if rank is not None and dp > 1 and not 0 <= rank < dp and version >= _RANKS_SINCE:
        yield (f"data_parallel_rank ({rank}) must be in the range [0, {dp})",)
    backend = values.get("data_parallel_backend")
    if backend not in {None, "mp", "ray"} and version >= _RANK_BACKENDS_SINCE:
        yield (
            f"data_parallel_backend can only be ray or mp, got {backend}",
            "--data-parallel-backend mp",
        )
    nodes = values.get("nnodes") or 1
    if values.get("data_parallel_hybrid_lb") and local is None and rank is None and nodes == 1:
        yield (
            f"{_LAYOUT_WORDS}`--data-parallel-hybrid-lb` requires `--data-parallel-size-local`."
            if version >= _LAYOUT_WORDS_SINCE
            else "data_parallel_size_local must be set to use data_parallel_hybrid_lb.",
        )
    yield from _microbatches(values, version)
    if nodes <= 1:
        return
    worded = version >= _LAYOUT_WORDS_SINCE
    world = dp
    for name in ("tensor", "pipeline", "prefill_context"):
        world *= values.get(f"{name}_parallel_size") or 1
    if world % nodes:
        yield (
            f"{_LAYOUT_WORDS}`--nnodes {nodes}` must evenly divide the total world size ({world})."
            if worded
            else f"world_size={world} must be divisible by nnodes={nodes}.",
        )
    node = values.get("node_rank") or 0
    if node >= nodes:
        yield (
            f"{_LAYOUT_WORDS}`--node-rank` must be between 0 and {nodes - 1}; got `--node-rank "
            f"{node}`. Set it to this node's zero-based index."
            if worded
            else f"node_rank={node} must be less than nnodes={nodes}.",
            f"--node-rank {nodes - 1}",
        )


def _microbatches(values: Mapping[str, Any], version: Version) -> Iterator[tuple[str, ...]]:
    """Two batches at once need a back end of expert parallelism that overlaps them."""
    overlapped = values.get("enable_dbo") or (values.get("ubatch_size") or 0) > 1
    if not overlapped or version < _MICROBATCHES_SINCE:
        return
    known = ["deepep_low_latency", "deepep_high_throughput"]
    if version >= _NIXL_SINCE:
        known.append("nixl_ep")
    backend = values.get("all2all_backend") or "allgather_reducescatter"
    if backend not in known:
        yield (
            f"Microbatching currently only supports the {', '.join(known)} all2all backends. "
            f"{backend} is not supported.",
            f"--all2all-backend {known[0]}",
        )


def _adapters(values: Mapping[str, Any], version: Version) -> Iterator[tuple[str, ...]]:
    adapters = values.get("lora_modules")
    if adapters and not values.get("enable_lora"):
        first = adapters[0]
        yield (
            f"Got lora_request for {first.get('name')!r} but LoRA is not enabled! vLLM loads the "
            "model first and stops at its adapters.",
            "--enable-lora",
        )
