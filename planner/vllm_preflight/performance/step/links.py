"""How long the ranks of a group take to sum up activations, by message size."""

from __future__ import annotations

from dataclasses import dataclass

from vllm_preflight.hardware.catalog import find_gpu
from vllm_preflight.performance.kernels.facts import interpolated, load_kernels
from vllm_preflight.performance.kernels.lenders import Borrowed
from vllm_preflight.performance.machine import Link, pcie_gb_s

# Cards whose all-reduces were timed over PCIe, the slower link first.
_PCIE_CARDS = ("L40S", "RTX PRO 6000 Blackwell Server")
# The card that lends where a card has NVLink and its own lender has none.
_NVLINK_CARD = "A100 SXM4 80GB"


@dataclass(frozen=True, slots=True)
class Summing:
    """Seconds of one all-reduce: a table by size, or a latency and a rate.

    A factor scales the table; `per_byte` is added for a link that was not timed.
    """

    sizes: tuple[float, ...]
    times: tuple[float, ...]
    factor: float = 1.0
    latency: float = 0.0
    per_byte: float = 0.0

    def seconds(self, size: float) -> float:
        """Seconds to sum up a message of `size` bytes on every rank."""
        table = interpolated(self.sizes, self.times, size) if self.times else 0.0
        return self.factor * table + self.latency + self.per_byte * size


def summing(
    link: Link, ranks: int, borrowed: Borrowed, *, factor: float, latency: float, share: float
) -> Summing | None:
    """How `ranks` GPUs sum up over `link`; None for a GPU that is alone.

    `factor` scales what was timed; between machines nothing was: each of the ring's steps
    passes a share of the message at `share` of the link's rate, after `latency` seconds.
    """
    if link.kind == "none":
        return None
    if link.kind == "network":
        passes = 2 * (ranks - 1) / ranks
        return Summing((), (), 1.0, latency, passes / (link.gb_s * 1e9 * share))
    sizes, times = _table(link, ranks, borrowed)
    return Summing(sizes, times, factor)


def _table(
    link: Link, ranks: int, borrowed: Borrowed
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    own = borrowed.kernels.card
    if link.kind == "nvlink" and find_gpu(own).nvlink_gb_s:
        return _scaled(own, ranks, link.gb_s)
    if link.kind == "nvlink":
        # Borrowed from a card of another size: a group is no slower for having it.
        sizes, times = _scaled(_NVLINK_CARD, ranks, link.gb_s)
        _, without = _table(Link("pcie", pcie_gb_s(find_gpu(own))), ranks, borrowed)
        return sizes, tuple(min(pair) for pair in zip(times, without, strict=True))
    slow, fast = _PCIE_CARDS
    sizes, times = _scaled(fast, ranks, link.gb_s)
    if link.gb_s <= pcie_gb_s(find_gpu(slow)):
        # The slower link's host passed on 3 % of its rate among eight cards, the faster
        # link's 19 %: what is lost beyond that is the host's, not the link's.
        _, others = _scaled(slow, ranks, link.gb_s)
        times = tuple(min(pair) for pair in zip(times, others, strict=True))
    if find_gpu(own).nvlink_gb_s:
        # A card whose NVLink is not used is not quicker for it.
        linked = load_kernels()[own].reduces.of(ranks)
        times = tuple(max(pair) for pair in zip(times, linked, strict=True))
    return sizes, times


def _scaled(card: str, ranks: int, gb_s: float) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The times of `card`, what grows with the message in proportion to the link's rate."""
    reduces = load_kernels()[card].reduces
    gpu = find_gpu(card)
    timed = gpu.nvlink_gb_s / 2 if gpu.nvlink_gb_s else pcie_gb_s(gpu)
    least, *_ = times = reduces.of(ranks)
    return reduces.sizes, tuple(least + (value - least) * timed / gb_s for value in times)
