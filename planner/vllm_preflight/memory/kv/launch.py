"""The part of a launch that decides the KV cache, as plain values that can key a cache."""

from __future__ import annotations

from vllm_preflight.launch.launch import Launch
from vllm_preflight.memory.kv.attention_backend import ComputeCapability
from vllm_preflight.memory.kv.pages import KvLaunch
from vllm_preflight.memory.kv.specs import RequestShape
from vllm_preflight.memory.kv.versions import kv_rules
from vllm_preflight.models.architecture import Architecture, AttentionCache

# Class names that vLLM gives a KV cache in the model's dtype whatever was asked: their
# attention is built without the cache config (vLLM 0.33 models/falcon.py).
_KV_DTYPE_IGNORED = frozenset({"falcon"})


def kv_launch(
    launch: Launch, architecture: Architecture, capability: ComputeCapability
) -> KvLaunch:
    """What decides the pages and groups of a launch on GPUs of `capability`."""
    rules = kv_rules(launch.version)
    speculation = launch.speculation
    drafter = speculation.drafter if speculation else None
    ignored = architecture.model_type in _KV_DTYPE_IGNORED
    return KvLaunch(
        dtype=launch.dtype,
        kv_cache_dtype="auto" if ignored else launch.kv_cache_dtype,
        tensor_parallel_size=launch.tensor_parallel_size,
        compute_capability=capability,
        block_size=launch.block_size,
        mamba_cache_mode=launch.mamba_cache_mode,
        mamba_ssm_cache_dtype=launch.mamba_ssm_cache_dtype,
        checkpointed_states=rules.checkpointed_states,
        latent_hybrid_alignment=rules.latent_hybrid_alignment,
        windows_as_full=not _keeps_windows(launch, architecture),
        speculative_tokens=launch.speculative_tokens,
        prediction_layers=predicts_with_own_layers(launch, architecture),
        drafter=drafter.architecture if drafter is not None else None,
        drafter_kv_cache_dtype=speculation.kv_cache_dtype if speculation else None,
        group_rule=rules.group_rule,
        pipeline_parallel_size=launch.pipeline_parallel_size,
    )


def request_shape(launch: Launch, architecture: Architecture) -> RequestShape:
    """The longest request that admission reckons with."""
    lookahead = 0
    if kv_rules(launch.version).prediction_lookahead and predicts_with_own_layers(
        launch, architecture
    ):
        lookahead = len(architecture.predictor_layers) - 1
    return RequestShape(
        max_model_len=launch.max_model_len,
        in_flight_tokens=launch.max_in_flight_tokens + lookahead,
        max_num_batched_tokens=launch.max_num_batched_tokens,
        decode_context_parallel_size=launch.decode_context_parallel_size,
    )


def predicts_with_own_layers(launch: Launch, architecture: Architecture) -> bool:
    """Whether the model's own prediction layers are loaded to draft, with their caches."""
    speculation = launch.speculation
    return (
        speculation is not None and speculation.own_layers and bool(architecture.predictor_layers)
    )


def _keeps_windows(launch: Launch, architecture: Architecture) -> bool:
    """Whether windows and chunks stay short beside full attention.

    A model of nothing but equal windows keeps them in any case.
    """
    caches = [cache for cache in architecture.caches if isinstance(cache, AttentionCache)]
    if all(cache.window or cache.chunk for cache in caches):
        return True
    rules = kv_rules(launch.version)
    if launch.disable_hybrid_kv_cache_manager or not rules.windows_kept:
        return False
    return rules.chunks_kept or not any(cache.chunk for cache in caches)
