"""Units: integer bytes inside the engine, GiB only at its edge.

vLLM, CUDA and Hugging Face mix GB and GiB freely; here one GiB is 2**30 bytes
and there is no GB.
"""

BYTES_TO_GIB = 1024**3
BYTES_TO_MIB = 1024**2


def gib_to_bytes(gib: float) -> int:
    """Whole bytes in `gib` GiB, rounded to the nearest byte."""
    return round(gib * BYTES_TO_GIB)


def bytes_to_gib(num_bytes: int | float, digits: int = 2) -> float:
    """`num_bytes` as GiB, rounded to `digits` decimals for an answer."""
    return round(num_bytes / BYTES_TO_GIB, digits)


def ceil_div(numerator: int, denominator: int) -> int:
    """Smallest integer not below `numerator / denominator` (exact, no floats)."""
    return -(-numerator // denominator)


def round_up(value: int, multiple: int) -> int:
    """Smallest multiple of `multiple` that is not below `value`."""
    return ceil_div(value, multiple) * multiple
