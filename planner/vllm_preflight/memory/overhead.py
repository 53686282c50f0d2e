"""Runtime overhead by formula: what sizing sets aside beside weights and KV cache."""

from __future__ import annotations

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.base.terms import Term
from vllm_preflight.base.units import BYTES_TO_GIB, bytes_to_gib, gib_to_bytes

_BASE_GIB = 1.0
_BASE_SHARE = 0.02
_PER_FURTHER_GPU_GIB = 0.25
_SOURCE = "sizing formula: max(1 GiB, 2 % of memory) + 0.25 GiB per further GPU"


def compute_overhead(
    vram_total_bytes: int, tp_size: int = 1, fixed_overhead_gb: float | None = None
) -> int:
    """Bytes of runtime overhead (activations, CUDA context, graphs) over a TP group.

    `fixed_overhead_gb` (GiB) is returned as it is. Otherwise max(1 GiB, 2 % of
    `vram_total_bytes`), plus 0.25 GiB per further GPU of the group for communication.
    The planner passes the memory of the whole group: one GPU's times `tp_size`.

    Raises:
        InvalidRequest: no memory, a group of no GPUs, or a negative or endless overhead.
    """
    return sum(
        term.bytes or 0 for term in overhead_terms(vram_total_bytes, tp_size, fixed_overhead_gb)
    )


def overhead_terms(
    vram_total_bytes: int, tp_size: int = 1, fixed_overhead_gb: float | None = None
) -> tuple[Term, ...]:
    """The parts of `compute_overhead`, which add up to it."""
    if vram_total_bytes <= 0:
        raise InvalidRequest(
            f"vram_total_bytes is {vram_total_bytes}, but a GPU has some memory.",
            "Give the memory of the tensor-parallel group in bytes.",
        )
    if tp_size < 1:
        raise InvalidRequest(
            f"tensor_parallel_size is {tp_size}, but a group has at least one GPU.",
            "Give 1 or more.",
        )
    if fixed_overhead_gb is not None:
        # NaN fails every comparison, so it is refused here too.
        if not 0 <= fixed_overhead_gb < float("inf"):
            raise InvalidRequest(
                f"overhead_gb is {fixed_overhead_gb}, but must be 0 or more GiB.",
                "Leave it out for the formula.",
            )
        return (
            Term(
                name="overhead",
                bytes=gib_to_bytes(fixed_overhead_gb),
                formula=f"fixed at {fixed_overhead_gb:g} GiB",
                basis="assumed",
                source="overhead_gb of the request",
            ),
        )
    total_gib = vram_total_bytes / BYTES_TO_GIB
    base = Term(
        name="overhead_base",
        bytes=gib_to_bytes(max(_BASE_GIB, _BASE_SHARE * total_gib)),
        formula=f"max({_BASE_GIB:g} GiB, {_BASE_SHARE:g} × {bytes_to_gib(vram_total_bytes):g} GiB)",
        basis="assumed",
        source=_SOURCE,
    )
    if tp_size == 1:
        return (base,)
    communication = Term(
        name="overhead_communication",
        bytes=gib_to_bytes(_PER_FURTHER_GPU_GIB * (tp_size - 1)),
        formula=f"{_PER_FURTHER_GPU_GIB:g} GiB × ({tp_size} − 1)",
        basis="assumed",
        source=_SOURCE,
    )
    return (base, communication)
