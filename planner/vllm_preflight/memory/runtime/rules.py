"""Where each derived term comes from, and for which releases its rule holds.

A rule was read in the releases it names; those from 0.19 on were also compared with what
vLLM's own profile pass allocates (`benchmarks/data/shadow_cases.jsonl`), earlier ones with
the peaks that start-ups printed.
"""

from __future__ import annotations

from dataclasses import dataclass

from vllm_preflight.launch.launch import ModelRunner, Version
from vllm_preflight.launch.versions import format_version

_FIRST: Version = (0, 8, 0)
# The first release whose profile pass was run on simulated tensors.
_COMPARED: Version = (0, 19, 0)
_FIRST_RUNNER = "v1/worker/gpu_model_runner.py"
_SECOND_RUNNER = "v1/worker/gpu/model_runner.py"
_FIRST_SAMPLER = "v1/sample/ops/topk_topp_sampler.py"
_SECOND_SAMPLER = "v1/worker/gpu/sample/sampler.py"


@dataclass(frozen=True, slots=True)
class Rule:
    """One way a term is computed: vLLM's file, its runner, first and last release.

    `compared` says what it was compared with, None for the profile pass (see the module).
    """

    file: str
    since: Version = _FIRST
    until: Version | None = None
    runner: ModelRunner | None = None
    compared: str | None = None

    def holds(self, version: Version, runner: ModelRunner) -> bool:
        """Whether it is the rule of that release and runner."""
        inside = self.since <= version and (self.until is None or version < self.until)
        return inside and self.runner in (None, runner)

    @property
    def sentence(self) -> str:
        """File and releases, and what the rule was compared with."""
        span = f"{format_version(self.since)} on"
        if self.until is not None:
            span = f"{format_version(self.since)} to before {format_version(self.until)}"
        if self.compared is not None:
            return f"vLLM {span}: {self.file}; {self.compared}"
        late = self.until is None or self.until > _COMPARED
        against = "vLLM's own profile pass" if late else "printed peaks"
        if late and self.since < _COMPARED:
            against = f"printed peaks, from {format_version(_COMPARED)} on with {against}"
        return f"vLLM {span}: {self.file}; compared with {against}"


_SAMPLERS = (
    Rule(_FIRST_SAMPLER, _FIRST, (0, 17, 0), "v1"),
    Rule(_FIRST_SAMPLER, (0, 17, 0), None, "v1"),
    Rule(_SECOND_SAMPLER, (0, 22, 0), (0, 26, 0), "v2"),
    Rule(_SECOND_SAMPLER, (0, 26, 0), (0, 33, 0), "v2"),
    Rule(_SECOND_SAMPLER, (0, 33, 0), None, "v2"),
)
_RUNNERS = (
    Rule(_FIRST_RUNNER, _FIRST, None, "v1"),
    Rule(_SECOND_RUNNER, (0, 22, 0), None, "v2"),
)
_PRINTED = "compared with printed peaks"
_ENCODERS = (
    Rule("v1/core/encoder_cache_manager.py", _FIRST, None, "v1", _PRINTED),
    Rule("v1/core/encoder_cache_manager.py", (0, 27, 0), None, "v2", "no run to compare with"),
)
_EXCHANGE = Rule(
    "distributed/device_communicators/all2all.py",
    (0, 9, 2),
    compared="DeepEP's own sizes; no run to compare with",
)
_LIBRARY = Rule(
    "FlashInfer's csrc/fused_moe and csrc/trtllm_fused_moe_kernel_launcher.cu",
    compared="no run to compare with",
)
_ADAPTERS = Rule(
    "lora/ops/triton_ops/fused_moe_lora_op.py", (0, 12, 0), compared="no run to compare with"
)
_FIRST_START = Rule("compilation", (0, 19, 0), compared="inferred from printed first starts")
_SPLIT_FILE, _ESTIMATES = "v1/attention/backends/flash_attn.py", "compared with printed estimates"
_SPLITS = (
    Rule(_SPLIT_FILE, (0, 9, 2), (0, 11, 0), compared="no estimate to compare with"),
    Rule(_SPLIT_FILE, (0, 11, 0), compared=_ESTIMATES),
)
_EXPERTS = (Rule("model_executor/layers/fused_moe/modular_kernel.py", (0, 14, 0)),)
# By how a term's name begins; the first that fits is taken.
_RULES: tuple[tuple[tuple[str, ...], tuple[Rule, ...]], ...] = (
    (("logits", "sampler_", "hidden_states_kept", "selected_hidden_states"), _SAMPLERS),
    (("top_k_buffer",), (Rule("v1/sample/ops/topk_topp_triton.py", (0, 17, 0)),)),
    (("encoder_", "pixel_values"), _ENCODERS),
    (("expert_exchange",), (_EXCHANGE,)),
    (("expert_library",), (_LIBRARY,)),
    (("lora_experts",), (_ADAPTERS,)),
    (("expert_",), (*_EXPERTS, Rule("model_executor/layers/fused_moe/layer.py"))),
    (("latent_decoding",), (Rule("v1/attention/backends/mla/triton_mla.py", (0, 25, 0)),)),
    (("latent_prefill_workspace",), (Rule("v1/attention/backends/mla", (0, 33, 0)),)),
    (("latent_",), (Rule("model_executor/layers/attention/mla_attention.py"),)),
    (("gathered_keys",), (Rule("model_executor/layers/sparse_attn_indexer.py"),)),
    (("state_checkpoints",), (Rule("v1/attention/backends/gdn_attn.py", (0, 33, 0)),)),
    (("cublas_workspace",), (Rule("PyTorch's aten/src/ATen/cuda/CUDABlas.cpp"),)),
    (("cuda_graph_split_buffer",), _SPLITS),
    (("embedding_copy",), (_FIRST_START,)),
    (
        ("input_", "token_", "block_tables", "output_counts", "request_tables", "small_buffers"),
        _RUNNERS,
    ),
    (("pipeline_buffers", "allocated_later"), _RUNNERS),
)
_FORWARD = Rule("model_executor/models and layers, one forward pass")


def rule_sentence(term: str, version: Version, runner: ModelRunner) -> str:
    """Where the rule of a term is from and which releases it holds for, as a sentence."""
    for beginnings, rules in _RULES:
        if term.startswith(beginnings):
            found = (rule for rule in rules if rule.holds(version, runner))
            return next(found, rules[-1]).sentence
    return _FORWARD.sentence
