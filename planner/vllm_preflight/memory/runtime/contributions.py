"""One tensor of the runtime model: bytes that are exact, or times a fitted coefficient."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from math import prod

from vllm_preflight.memory.runtime.coefficients import Coefficient


@dataclass(frozen=True, slots=True)
class Contribution:
    """One tensor, or one class of tensors: `quantity` bytes times a coefficient.

    Without a coefficient it is `quantity` bytes exactly.
    """

    name: str
    quantity: float
    formula: str
    coefficient: Coefficient | None = None

    @property
    def bytes(self) -> float:
        """Bytes of this contribution."""
        return self.quantity * (self.coefficient.value if self.coefficient else 1)

    @property
    def spread_bytes(self) -> float:
        """Standard deviation of the contribution, in bytes."""
        return self.quantity * (self.coefficient.spread if self.coefficient else 0)


Phase = tuple[Contribution, ...]


# A search makes the same tensors for launch after launch.
@lru_cache(maxsize=4096)
def tensor(name: str, element_bytes: int, *shape: tuple[float, str]) -> Contribution:
    """A tensor of a shape, given as (size, what it counts), and its element's bytes."""
    sizes = [f"{size:g} {what}" if size < 1e6 else f"{round(size)} {what}" for size, what in shape]
    width = [] if element_bytes == 1 else [f"{element_bytes} bytes"]
    quantity = prod(size for size, _ in shape) * element_bytes
    return Contribution(name, quantity, " × ".join(sizes + width))
