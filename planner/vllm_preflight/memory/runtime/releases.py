"""What vLLM's profile pass does in one release, by model runner.

Read from the wheels of every release from 0.8.0 to 0.33.0 (v1/worker/gpu_worker.py,
v1/worker/gpu_model_runner.py, v1/worker/gpu/model_runner.py, v1/sample, v1/worker/gpu/sample,
utils/mem_utils.py), 2026-11.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from vllm_preflight.hardware.gpu import Gpu
from vllm_preflight.launch.launch import Launch, ModelRunner, Version

# What the sampler's dummy pass keeps beside the logits, in bytes per logit:
#   sorted   the whole vocabulary sorted: 4 (float32) + 12 (values and indices) + 20 (scratch)
#   drawn    4 (float32) + 4 (probabilities) + 4 (noise)
#   copied   4 (float32), no drawing
#   bare     nothing: greedy on the logits themselves
#   masked   as drawn, the third being the masked logits (FlashInfer)
Sampler = Literal["sorted", "drawn", "copied", "bare", "masked"]
SAMPLER_BYTES: dict[Sampler, int] = {
    "sorted": 36,
    "drawn": 12,
    "copied": 4,
    "bare": 0,
    "masked": 12,
}

_TRITON_TOP_K: Version = (0, 17, 0)
_BARE_SECOND_SAMPLER: Version = (0, 26, 0)
_CONSUMED: Version = (0, 27, 0)
_ALL_FEATURES: Version = (0, 33, 0)
_FLASHINFER_EXPERTS: tuple[Version, Version] = ((0, 21, 0), (0, 23, 0))
_LATENT_DECODE: Version = (0, 25, 0)
# Fewer sequences are sorted instead of masked by the top-k kernel.
_FEWEST_MASKED = 8
_FLASHINFER_VARIABLE = "VLLM_USE_FLASHINFER_SAMPLER"
# From here on the first runner draws with FlashInfer only where it is asked to; before,
# wherever it is installed, unless it is asked not to (v1/sample/ops/topk_topp_sampler.py).
_FLASHINFER_ASKED_FOR: Version = (0, 11, 1)
_FLASHINFER_CAPABILITY = (7, 5)


@dataclass(frozen=True, slots=True)
class ProfileRules:
    """One release's profile pass.

    Attributes:
        sampler: what its sampler allocates on NVIDIA; see `SAMPLER_BYTES`.
        top_k_buffer: the sampler keeps a row of float32 logits for each multiprocessor.
        consumed: what stays allocated is charged as consumed (free before − free after)
            and the peak counts above it; before, only the growth of the peak was charged
            and the runner's own buffers were charged nowhere.
        cublas: cuBLAS takes its workspace inside the measured window.
        encoder: the pass runs the multimodal encoder.
        flashinfer_experts: 16-bit experts on Hopper run in FlashInfer, which keeps
            nothing that vLLM sees.
        latent_decode: where the decoding buffer of latent attention in Triton is made:
            not reserved, after the cache was sized, or in the pass.
    """

    sampler: Sampler
    top_k_buffer: bool
    consumed: bool
    cublas: bool
    encoder: bool
    flashinfer_experts: bool
    latent_decode: Literal["none", "after", "profiled"]


@lru_cache(maxsize=128)
def profile_rules(version: Version, runner: ModelRunner) -> ProfileRules:
    """The rules of a release and runner."""
    second = runner == "v2"
    since, until = _FLASHINFER_EXPERTS
    profiled = "profiled" if version >= _ALL_FEATURES else "after"
    return ProfileRules(
        sampler=_sampler(version, second),
        top_k_buffer=version >= _TRITON_TOP_K and not second,
        consumed=version >= _CONSUMED,
        cublas=version < _ALL_FEATURES,
        encoder=not second or version >= _CONSUMED,
        flashinfer_experts=since <= version < until,
        latent_decode=profiled if version >= _LATENT_DECODE else "none",
    )


def _sampler(version: Version, second: bool) -> Sampler:
    if not second:
        return "drawn" if version >= _TRITON_TOP_K else "sorted"
    if version >= _ALL_FEATURES:
        return "masked"
    return "bare" if version >= _BARE_SECOND_SAMPLER else "copied"


def sampled_rows(launch: Launch) -> int:
    """Sequences the dummy pass samples for."""
    return min(launch.max_num_seqs, launch.max_num_batched_tokens)


def sampler_of(launch: Launch, gpu: Gpu, rules: ProfileRules) -> Sampler:
    """The sampler that runs on this GPU.

    Where that hangs on whether FlashInfer is installed, the one that needs more.
    """
    if rules.sampler == "sorted" and _asked_for_flashinfer(launch, gpu):
        return "drawn"
    if rules.sampler == "drawn" and sampled_rows(launch) < _FEWEST_MASKED:
        return "sorted"
    if rules.sampler == "masked" and not has_flashinfer_sampler(launch, gpu):
        return "copied"
    return rules.sampler


def sampler_in_doubt(launch: Launch, gpu: Gpu, rules: ProfileRules) -> bool:
    """Whether another sampler runs where FlashInfer is installed, as in vLLM's own images."""
    early = rules.sampler == "sorted" and launch.version < _FLASHINFER_ASKED_FOR
    unsaid = _flashinfer_wanted(launch) is None and not launch.own_image
    return early and unsaid and _draws_with_flashinfer(gpu)


def _asked_for_flashinfer(launch: Launch, gpu: Gpu) -> bool:
    """Whether FlashInfer draws: asked to, or not asked and found in vLLM's own image."""
    wanted = _flashinfer_wanted(launch)
    if wanted is None:
        wanted = launch.own_image and launch.version < _FLASHINFER_ASKED_FOR
    return wanted and _draws_with_flashinfer(gpu)


def _flashinfer_wanted(launch: Launch) -> bool | None:
    """What the environment says of FlashInfer's sampler; None where it says nothing."""
    asked = launch.environment.get(_FLASHINFER_VARIABLE)
    return None if asked is None else asked.strip().lower() not in {"0", "false"}


def _draws_with_flashinfer(gpu: Gpu) -> bool:
    capability = gpu.compute_capability
    return capability is not None and capability >= _FLASHINFER_CAPABILITY


def keeps_top_k_buffer(launch: Launch, gpu: Gpu, rules: ProfileRules) -> bool:
    """Whether the top-k kernel runs in the pass, which keeps its buffer."""
    if sampled_rows(launch) < _FEWEST_MASKED:
        return False
    falls_back = rules.sampler == "masked" and not has_flashinfer_sampler(launch, gpu)
    return rules.top_k_buffer or falls_back


def has_flashinfer_sampler(launch: Launch, gpu: Gpu) -> bool:
    """Whether FlashInfer draws the samples: on NVIDIA, unless it was switched off."""
    return _flashinfer_wanted(launch) is not False and _draws_with_flashinfer(gpu)
