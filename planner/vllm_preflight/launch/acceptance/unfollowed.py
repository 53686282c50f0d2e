"""Arguments that decide which weights lie on a GPU, in a way that is not followed here.

Source: vLLM 0.33 config/quantization.py, config/offload.py, config/multimodal.py.
"""

from __future__ import annotations

from vllm_preflight.base.errors import UnsupportedArchitecture
from vllm_preflight.launch.inputs import LaunchInputs


def check_followed(inputs: LaunchInputs) -> None:
    """Raise UnsupportedArchitecture where the weights would be others than those counted."""
    if inputs.notes.problems:
        # What vLLM refuses loads nothing.
        return
    extra, request = inputs.extra, inputs.request
    unfollowed = {
        "--quantization-config": extra.get("quantization_config"),
        "--model-class-overrides": extra.get("model_class_overrides"),
        "--offload-group-size": (inputs.number("offload_group_size") or 0) > 0,
        "--cpu-offload-params": request.cpu_offload_gb and extra.get("cpu_offload_params"),
        "--mm-encoder-only": inputs.flag("mm_encoder_only"),
    }
    for flag, given in unfollowed.items():
        if given:
            raise UnsupportedArchitecture(
                f"What {flag} makes of the weights is not modelled here.",
                "Ask with --quantization fp8_per_tensor or another method by its name."
                if flag == "--quantization-config"
                else f"Ask without {flag} to see what the model takes whole.",
            )
