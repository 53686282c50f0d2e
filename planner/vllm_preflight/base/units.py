"""Units: integer bytes inside the engine, GiB only at its edge.

vLLM, CUDA and Hugging Face mix GB and GiB freely; here one GiB is 2**30 bytes
and there is no GB.
"""

import re

BYTES_TO_GIB = 1024**3
BYTES_TO_MIB = 1024**2

# A number with vLLM's suffix: decimal in lower case, binary in upper case.
SCALED_INT = re.compile(r"(\d{1,18}(?:\.\d{1,18})?)([kKmMgGtT])")
_POWERS = {"k": 1, "m": 2, "g": 3, "t": 4}


def gib_to_bytes(gib: float) -> int:
    """Whole bytes in `gib` GiB, rounded to the nearest byte."""
    return round(gib * BYTES_TO_GIB)


def bytes_to_gib(num_bytes: int | float, digits: int = 2) -> float:
    """`num_bytes` as GiB, rounded to `digits` decimals for an answer."""
    return round(num_bytes / BYTES_TO_GIB, digits)


def scaled_int(text: str) -> int | None:
    """An integer with a suffix as vLLM reads it: "1k" is 1,000, "1K" is 1,024.

    None for any other text, and for a decimal with a binary suffix, which vLLM refuses.
    """
    match = SCALED_INT.fullmatch(text.strip())
    if match is None:
        return None
    number, suffix = match.groups()
    power = _POWERS[suffix.lower()]
    if suffix.islower():
        return int(float(number) * 1000**power)
    return None if "." in number else int(number) * 1024**power


def ceil_div(numerator: int, denominator: int) -> int:
    """Smallest integer not below `numerator / denominator` (exact, no floats)."""
    return -(-numerator // denominator)


def round_up(value: int, multiple: int) -> int:
    """Smallest multiple of `multiple` that is not below `value`."""
    return ceil_div(value, multiple) * multiple
