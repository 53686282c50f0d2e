"""What a user's `--quantization` makes of a checkpoint.

Online methods quantise 16-bit weights while vLLM loads them (fp8, experts_int8,
bitsandbytes). Asked of a 16-bit checkpoint, any other method means "such a checkpoint
of this model", which is what sizing wants to know.
"""

from __future__ import annotations

from collections.abc import Mapping

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.models.quantization import unsupported
from vllm_preflight.models.weight_scheme import Quantization, WeightScheme

# The same method under vLLM's several names.
_SAME: Mapping[str, str] = {
    "awq_marlin": "awq",
    "auto_awq": "awq",
    "gptq_marlin": "gptq",
    "auto_gptq": "gptq",
    "modelopt_fp4": "modelopt",
    "modelopt_mixed": "modelopt",
    "modelopt_mxfp8": "modelopt",
    "gpt_oss_mxfp4": "mxfp4",
    "deepseek_v4_fp8": "fp8",
    "fp8_per_tensor": "fp8",
    "int8_per_channel_weight_only": "experts_int8",
    "auto_round": "auto-round",
    "inc": "auto-round",
    "compressed_tensors": "compressed-tensors",
    "w8a8": "int8",
    "w4a16": "int4",
    "fp4": "nvfp4",
    "bnb": "bitsandbytes",
}
_GROUPS = WeightScheme("int_group", bits=4, group_size=128, weight_only=True)
_REQUESTED: Mapping[str, Quantization] = {
    "fp8": Quantization(
        "fp8", WeightScheme("fp8_tensor"), online=True, label="FP8 per tensor, quantised online"
    ),
    "fp8_per_channel": Quantization(
        "fp8",
        WeightScheme("fp8_channel"),
        online=True,
        label="FP8 per channel, quantised online",
    ),
    "fp8_per_block": Quantization(
        "fp8",
        WeightScheme("fp8_block", block=(128, 128)),
        online=True,
        label="FP8 block 128x128, quantised online",
    ),
    "mxfp8": Quantization(
        "mxfp8", WeightScheme("mxfp8", group_size=32), online=True, label="MXFP8, quantised online"
    ),
    "experts_int8": Quantization(
        "experts_int8",
        WeightScheme("int8_channel", weight_only=True),
        experts_only=True,
        online=True,
        label="INT8 experts, quantised online",
    ),
    "nvfp4_per_token": Quantization(
        "nvfp4",
        WeightScheme("nvfp4", bits=4, group_size=16),
        experts_only=True,
        online=True,
        label="NVFP4 experts, quantised online",
    ),
    "bitsandbytes": Quantization(
        "bitsandbytes",
        WeightScheme("bnb4", bits=4, group_size=64, weight_only=True),
        online=True,
        label="bitsandbytes 4-bit NF4, quantised online",
    ),
    "awq": Quantization(
        "awq",
        WeightScheme("int_group", bits=4, group_size=128, zero_points=True, weight_only=True),
        label="AWQ INT4 group 128",
    ),
    "gptq": Quantization("gptq", _GROUPS, label="GPTQ INT4 group 128"),
    "int4": Quantization("compressed-tensors", _GROUPS, label="compressed-tensors INT4 group 128"),
    "int8": Quantization(
        "compressed-tensors",
        WeightScheme("int8_channel"),
        label="compressed-tensors INT8 per channel",
    ),
    "compressed-tensors": Quantization(
        "compressed-tensors",
        WeightScheme("fp8_channel"),
        label="compressed-tensors FP8 per channel",
    ),
    "mxfp4": Quantization("mxfp4", WeightScheme("mxfp4", bits=4, group_size=32), label="MXFP4"),
    "nvfp4": Quantization(
        "modelopt", WeightScheme("nvfp4", bits=4, group_size=16), label="ModelOpt NVFP4"
    ),
    "modelopt": Quantization(
        "modelopt", WeightScheme("fp8_tensor"), label="ModelOpt FP8 per tensor"
    ),
}
REQUESTABLE = ("auto", "none", *_REQUESTED)


def is_what_if(name: str) -> bool:
    """Whether a word names a kind of checkpoint, not something done to 16-bit weights."""
    name = name.lower()
    found = _REQUESTED.get(_SAME.get(name, name))
    return found is not None and not found.online


def requested(quantization: Quantization, method: str | None) -> Quantization:
    """The quantisation in effect when a user asks for `method`.

    `method` None or "auto" takes the checkpoint's own, "none" the model in 16 bit.

    Raises:
        InvalidRequest: the method is not known, or the checkpoint is already quantised
            another way (vLLM refuses to mix).
        UnsupportedArchitecture: the method's layouts are not modelled (GGUF).
    """
    name = (method or "auto").lower()
    name = _SAME.get(name, name)
    if name == "auto" or _matches(quantization.method, name):
        return quantization
    if name == "none":
        return Quantization()
    if name == "gguf":
        raise unsupported("quantisation GGUF", "quant_method")
    found = _REQUESTED.get(name)
    if found is None:
        # Names that vLLM does not have either are refused before anything is sized.
        raise unsupported(f"quantisation {method!r} of a 16-bit checkpoint", "quant_method")
    if quantization.method != "none":
        raise InvalidRequest(
            f"The checkpoint is quantised already ({quantization.label}), so vLLM refuses "
            f"quantization {method!r}.",
            "Leave quantization at auto, or name the 16-bit checkpoint of the model.",
        )
    return found


def _matches(own: str, name: str) -> bool:
    # A 4-bit request names a number format, which the checkpoint's method may carry.
    # moe_wna16 is another kernel for the experts of the same checkpoints.
    carriers = {
        "nvfp4": {"modelopt", "compressed-tensors"},
        "int4": {"compressed-tensors"},
        "int8": {"compressed-tensors"},
        "moe_wna16": {"awq", "gptq"},
    }
    return own != "none" and (own == name or own in carriers.get(name, ()))
