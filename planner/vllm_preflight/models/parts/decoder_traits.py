"""The facts a decoder family fixes in its model class: what `traits` fills in per family."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class DecoderTraits:
    """The class-level facts of a decoder family.

    `qkv_bias` and `output_bias` are None where the config's own key decides.
    `norms` counts hidden-size norms per layer;
    a config's `more_norms_key` adds two. `mlp_bias` likewise None for the key.
    `qk_norm_split` says the norm of a whole projection is divided with its heads;
    `qk_norm_unscaled` norms have no weight, but vLLM builds one of ones. `chunked`
    layers attend within chunks of `attention_chunk_size` tokens.
    `split_mlp` is false where vLLM keeps the feed-forward block whole on every rank.
    `output_gate` adds a gate on the attention's output, one value per head or per
    feature. `learned_positions` is the offset of a learned position table, None
    without one; `causal_mask` a mask over all positions, `stored_mask` one per layer
    that only the checkpoint has. `activation_parameters` counts learned scalars of the
    activation. `mixture` families route to experts and their configs say to how many.
    `window_layers` says how sliding windows are laid out when no `layer_types` does: in
    a pattern, layer i is global where (i + `window_phase`) is a multiple of
    `window_pattern`, from the end where the layers left after i are.
    vLLM keeps `window_extra` more tokens than the config's window.
    `predictor` names the layout of multi-token-prediction layers, which load only when
    speculating. `transformers_backend` marks families vLLM 0.33 runs through
    transformers' own modules, which keep inverse frequencies instead of a rotary table.
    `headless` text models have no class of their own that generates: without a named
    class vLLM runs them for embeddings.
    """

    qkv_bias: bool | None = None
    output_bias: bool | None = None
    mlp_bias: bool | None = None
    qk_norm: Literal["none", "head", "key", "projection"] = "none"
    qk_norm_key: str = ""
    qk_norm_split: bool = False
    qk_norm_unscaled: bool = False
    chunked: bool = False
    output_gate: Literal["none", "head", "projection"] = "none"
    gated_mlp: bool = True
    split_mlp: bool = True
    activation_parameters: int = 0
    norms: int = 2
    more_norms_key: str = ""
    norm_bias: bool = False
    norm_weight: bool = True
    embedding_norm: bool = False
    final_norm: bool = True
    tied: bool = False
    lm_head_bias: bool = False
    rotary: bool = True
    learned_positions: int | None = None
    causal_mask: bool = False
    stored_mask: bool = False
    sinks: bool = False
    expert_bias: bool = False
    correction_bias: bool = False
    router_bias: bool = False
    mixture: bool = False
    router_dtype: str | None = None
    shared_expert_gate: bool = False
    predictor: Literal["none", "glm", "mimo", "step"] = "none"
    transformers_backend: bool = False
    headless: bool = False
    window_layers: Literal["none", "all", "even", "pattern", "from_end", "max_window_layers"] = (
        "none"
    )
    window_pattern: int = 0
    window_phase: int = 1
    window_extra: int = 0
    defaults: Mapping[str, Any] = field(default_factory=dict[str, Any])
