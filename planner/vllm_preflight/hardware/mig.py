"""A part of a GPU under MIG, as a smaller GPU.

NVIDIA divides a GPU's memory into eight slices, or four, and names a profile by its compute
slices and its memory: "3g.40gb" of an H100 is three compute slices and four of its eight
memory slices. Source: NVIDIA MIG User Guide, supported profiles and the memory that
`nvidia-smi mig -lgip` lists.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from vllm_preflight.base.units import BYTES_TO_GIB
from vllm_preflight.hardware.facts import load_catalog
from vllm_preflight.hardware.gpu import Gpu

# (compute slices, memory slices) of the profiles, by memory slices of the whole GPU.
_PROFILES = {
    8: ((1, 1), (1, 2), (2, 2), (3, 4), (4, 4), (7, 8)),
    4: ((1, 1), (2, 2), (4, 4)),
}
# First words of the cards that can be split so.
_SPLIT_IN_EIGHT = frozenset(
    {"A100", "A800", "H100", "H800", "H200", "H20", "H20-3e", "GH200", "B100", "B200", "B300"}
    | {"GB200", "GB300"}
)
_SPLIT_IN_FOUR = ("A30", "RTX PRO 6000 Blackwell")
# What an instance shows below its share of what the whole GPU shows: 0.0 to 0.4 GiB between
# A100 40GB (1/8: 4.75 GiB), A100 80GB (9.50), H100 80GB (9.75) and A30 (1/4: 5.81).
_KEPT_BYTES = int(0.2 * BYTES_TO_GIB)
_PROFILE = re.compile(
    r"(?:nvidia\.com/)?(?:mig[\s_.-]*)?(?<![\d.])(\d)g[._](\d{1,3})gb(?:[+.](?:me|gfx|all))*",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Profile:
    """A profile by its name: compute slices and memory in GB."""

    compute: int
    memory_gb: int

    @property
    def name(self) -> str:
        """As NVIDIA writes it: "3g.40gb"."""
        return f"{self.compute}g.{self.memory_gb}gb"


def find_profile(text: str) -> tuple[Profile, str] | None:
    """The MIG profile that a text names and the rest of it; None where it names none."""
    match = _PROFILE.search(text)
    if match is None:
        return None
    rest = f"{text[: match.start()]} {text[match.end() :]}"
    rest = re.sub(r"\bmig\b|\binstances?\b|\bprofile\b|\bslices?\b", " ", rest, flags=re.IGNORECASE)
    return Profile(int(match[1]), int(match[2])), rest.strip(" -_:,()")


def memory_slices(gpu: Gpu) -> int | None:
    """Into how many slices MIG divides the card's memory; None where it does not."""
    if gpu.name.split()[0] in _SPLIT_IN_EIGHT:
        return 8
    return 4 if gpu.name.startswith(_SPLIT_IN_FOUR) else None


def profiles_of(gpu: Gpu) -> tuple[Profile, ...]:
    """The profiles of a card, smallest first; none where MIG does not split it."""
    slices = memory_slices(gpu)
    if slices is None:
        return ()
    whole = _whole_gb(gpu)
    return tuple(
        # Halves round up: an eighth of 180 GB is 23.
        Profile(compute, int(whole * memory / slices + 0.5))
        for compute, memory in _PROFILES[slices]
    )


def instance_of(gpu: Gpu, profile: Profile) -> Gpu | None:
    """The part of `gpu` under a profile as a GPU of its own; None where it has no such one.

    Memory and bandwidth are the share of memory slices. FLOPS are the compute slices over
    the memory slices of the whole: 1/8 for 1g, between A100's 14 of 108 multiprocessors
    and H100's 16 of 132. Instances have no NVLink and no peer access.
    """
    slices = memory_slices(gpu)
    if slices is None:
        return None
    for compute, memory in _PROFILES[slices]:
        exact = _whole_gb(gpu) * memory / slices
        # Names round; cards of one name differ by their ECC and reserves.
        if compute == profile.compute and abs(profile.memory_gb - exact) <= 0.6 + 0.06 * exact:
            return _part(gpu, profile, memory / slices, compute / slices)
    return None


def any_instance(profile: Profile) -> tuple[Gpu, tuple[str, ...]] | None:
    """An instance of a card that is not named, and the cards it may be of.

    Of several it has the least memory and the oldest generation, and no speed. None where
    no card has such a profile.
    """
    found = [(gpu, part) for gpu in load_catalog() if (part := instance_of(gpu, profile))]
    if not found:
        return None
    names = tuple(gpu.name for gpu, _ in found)
    if len(found) == 1:
        return found[0][1], names
    parts = [part for _, part in found]
    return _least(parts, profile), names


def _least(parts: Sequence[Gpu], profile: Profile) -> Gpu:
    capabilities = [part.compute_capability for part in parts if part.compute_capability]
    return Gpu(
        name=f"MIG {profile.name}",
        vendor="NVIDIA",
        visible_bytes=min(part.visible_bytes for part in parts),
        visible_basis="derived",
        compute_capability=min(capabilities),
        sources={"visible_mib": "the smallest of the cards that have this MIG profile"},
        node_size=1,
        mig_profile=profile.name,
    )


def _part(gpu: Gpu, profile: Profile, memory: float, compute: float) -> Gpu:
    shared = f"{memory:g} of the whole GPU's"
    bandwidth = gpu.memory_bandwidth_gb_s
    return replace(
        gpu,
        name=f"{gpu.name} MIG {profile.name}",
        visible_bytes=int(gpu.visible_bytes * memory) - _KEPT_BYTES,
        visible_basis="derived",
        vram_mib=None,
        memory_bandwidth_gb_s=bandwidth and bandwidth * memory,
        dense_tflops={key: value * compute for key, value in gpu.dense_tflops.items()},
        nvlink_gb_s=None,
        sources={**gpu.sources, "visible_mib": f"{shared}, less 0.2 GiB (NVIDIA MIG User Guide)"},
        nvml_names=(),
        node_size=1,
        nvlink_domain=None,
        mig_profile=profile.name,
    )


def _whole_gb(gpu: Gpu) -> float:
    """The memory that profile names are shares of: the card's nominal size, in GB.

    What NVML shows instead where that is much less (B300: 269 of 288).
    """
    shown = gpu.vram_mib / 1024 if gpu.vram_mib else gpu.visible_bytes / BYTES_TO_GIB
    named = re.search(r"(\d+)GB", gpu.name)
    nominal = float(named[1]) if named else shown
    return nominal if abs(nominal - shown) <= 0.05 * shown else shown
