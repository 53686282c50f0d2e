"""Whether the bytes of a checkpoint's tensors can be what its config says they are."""

from __future__ import annotations

from vllm_preflight.base.units import bytes_to_gib
from vllm_preflight.models.architecture import Architecture
from vllm_preflight.models.parameters import count_parameters
from vllm_preflight.models.weight_scheme import Quantization

# Bytes a parameter. 16-bit weights take 2; room is left for parts that are not counted the way
# they are stored. A quantised checkpoint stays below its 16-bit size unless most is left in it.
_LEAST_UNQUANTIZED = 1.8
_MOST_QUANTIZED = 1.95
# Less than 2 bits a parameter is a part of a checkpoint, or a stand-in for one.
_LEAST = 0.2


def contradiction(
    architecture: Architecture, quantization: Quantization, checkpoint_bytes: int | None
) -> tuple[str, ...]:
    """A warning where the stored bytes contradict the config's quantisation, else nothing.

    `checkpoint_bytes` is the sum over all tensors of a Hub listing, an index or files.
    """
    if not checkpoint_bytes:
        return ()
    counted = count_parameters(architecture).total
    stored = checkpoint_bytes / counted
    size = f"{bytes_to_gib(checkpoint_bytes):.2f} GiB for {counted / 1e9:.2f} billion parameters"
    if quantization.method == "none" and _LEAST < stored < _LEAST_UNQUANTIZED:
        return (
            f"The files hold {size}, {stored:.2f} bytes a parameter, but config.json names no "
            "quantisation: the weights are smaller than said here, or files are missing.",
        )
    if quantization.default is not None and stored > _MOST_QUANTIZED:
        return (
            f"The files hold {size}, {stored:.2f} bytes a parameter, but config.json says they "
            f"are quantised ({quantization.label}): the weights are larger than said here, or "
            "there are copies beside them.",
        )
    return ()
