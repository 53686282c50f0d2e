"""Which card's kernels a GPU is reckoned with: its own, or those of its nearest relative.

What is lent are shares of the data sheet and floors, never times: a card with half the
bandwidth reads half as fast.
"""

from __future__ import annotations

from dataclasses import dataclass

from vllm_preflight.hardware.gpu import ComputeCapability, Gpu
from vllm_preflight.hardware.platforms import platform_of
from vllm_preflight.performance.kernels.facts import CardKernels, load_kernels

# By the first capability they are for, the newest first: the card of the same or the
# nearest generation that was measured.
_BY_CAPABILITY: tuple[tuple[ComputeCapability, str], ...] = (
    ((12, 0), "RTX PRO 6000 Blackwell Server"),
    ((10, 3), "B300 SXM 288GB"),
    ((10, 0), "B200 SXM 180GB"),
    ((9, 0), "H100 SXM5 80GB"),
    ((8, 6), "L40S"),
    ((0, 0), "A100 SXM4 80GB"),
)
# Cards without a capability of NVIDIA's: no kernel of theirs is known, and the fitted
# factors of their class stand for the difference.
_OTHERS = "H100 SXM5 80GB"
# Of other vendors' GPUs, the architecture that those factors are fitted on: the MI300X's.
MEASURED_ARCHITECTURE = "gfx942"
# Variants whose memory differs from that of the first card of their generation.
_BY_NAME = {"H200": "H200 SXM 141GB", "GH200 144": "H200 SXM 141GB"}


@dataclass(frozen=True, slots=True)
class Borrowed:
    """Kernels of a GPU and whose they are.

    Attributes:
        kernels: the shares and floors.
        own: whether the card itself was measured.
        foreign: whether they are those of another vendor's card.
    """

    kernels: CardKernels
    own: bool
    foreign: bool = False

    @property
    def sentence(self) -> str:
        """Whose kernels they are, for the terms."""
        if self.own:
            return f"kernels measured on {self.kernels.card}"
        lent = f"no kernel of this card is measured: shares and floors of {self.kernels.card}"
        return f"{lent}, times factors fitted on runs of its class" if self.foreign else lent


def kernels_of(gpu: Gpu) -> Borrowed:
    """The kernels a GPU is reckoned with."""
    cards = load_kernels()
    if gpu.name in cards:
        return Borrowed(cards[gpu.name], own=True)
    return Borrowed(cards[_lender(gpu)], own=False, foreign=_is_foreign(gpu))


def _is_foreign(gpu: Gpu) -> bool:
    return not platform_of(gpu).modelled


def _lender(gpu: Gpu) -> str:
    if gpu.compute_capability is None or gpu.vendor != "NVIDIA":
        return _OTHERS
    for start, lender in _BY_NAME.items():
        if gpu.name.startswith(start):
            return lender
    capability = gpu.compute_capability
    return next(card for since, card in _BY_CAPABILITY if capability >= since)
