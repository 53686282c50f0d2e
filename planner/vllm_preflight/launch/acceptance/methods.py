"""Which quantisation method a launch runs with, and what the release refuses of it.

Source: vLLM config/model.py (_verify_quantization), config/vllm.py
(_get_quantization_config) and model_loader/weight_utils.py (get_quant_config) of the
wheels named in quantization.json.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from vllm_preflight.hardware.platforms import platform_of
from vllm_preflight.launch.acceptance.checkpoints import fits_marlin, refused_format, refused_layout
from vllm_preflight.launch.acceptance.tables import Span, releases_with, span_of, table
from vllm_preflight.launch.inputs import LaunchInputs
from vllm_preflight.launch.launch import LaunchProblem, Version
from vllm_preflight.models.config_files import PACKED_FILE
from vllm_preflight.models.config_view import ConfigView
from vllm_preflight.models.quantization import quantization_method, quantization_section

# Methods that load the same checkpoints: those a user may name for a stored one.
_LOADERS: Mapping[str, frozenset[str]] = {
    "awq": frozenset({"awq_marlin", "auto_awq", "marlin", "moe_wna16"}),
    "gptq": frozenset(
        {"gptq_marlin", "auto_gptq", "marlin", "moe_wna16", "gptq_bitblas", "gptq_marlin_24"}
    ),
    "modelopt": frozenset(
        {"modelopt_fp4", "modelopt_mxfp8", "modelopt_mixed", "mxfp8", "nvfp4", "petit_nvfp4"}
    ),
    "fp8": frozenset({"deepseek_v4_fp8"}),
    "mxfp4": frozenset({"gpt_oss_mxfp4"}),
    "auto-round": frozenset({"inc"}),
}
ALLOW_DEPRECATED = "allow_deprecated_quantization"
# Loads any quantised checkpoint when asked to.
_UNIVERSAL = "humming"
_MODELOPT = {"NVFP4": "modelopt_fp4", "MXFP8": "modelopt_mxfp8", "MIXED": "modelopt_mixed"}
# Until these releases a checkpoint that fits Marlin was loaded by a method of that name.
_MARLIN_UNTIL: Mapping[str, Version] = {"awq": (0, 23, 0), "gptq": (0, 21, 0)}
_SM100 = 10
_ONLINE_MXFP4_SINCE: Version = (0, 28, 0)


@dataclass(frozen=True, slots=True)
class Chosen:
    """The method in effect, "" for 16 bit, and whether the checkpoint brings it."""

    method: str
    stored: bool


def check_quantization(inputs: LaunchInputs, dtype: str) -> str | None:
    """The launch's quantisation: None for the checkpoint's own, "none" for 16 bit.

    Notes what the release refuses of the method asked for or stored, on this GPU and in
    `dtype`; after a refusal the checkpoint is taken as it is.
    """
    asked, section = inputs.request.quantization, inputs.quantization_section
    stored = stored_method(section)
    if asked == "auto" or (asked == "none" and not stored):
        asked = ""
    foreign = refused_format(inputs.config) if section is None else _unasked(asked, stored, section)
    chosen = foreign or _chosen(asked, stored, section, inputs)
    if isinstance(chosen, LaunchProblem):
        inputs.notes.problems.append(chosen)
        return None
    if not chosen.method:
        return None
    problem = _refused(chosen, section, inputs, dtype)
    if problem is not None:
        inputs.notes.problems.append(problem)
        return None
    return _in_effect(chosen, asked, inputs)


def stored_method(section: ConfigView | None) -> str:
    """The checkpoint's own method by vLLM's name, "" where it has none."""
    if section is None:
        return ""
    named = quantization_method(section)
    if named == "intel/auto-round":
        return "auto-round"
    if named.startswith("modelopt"):
        return "modelopt"
    return named if named in {"auto-round", "compressed-tensors"} else named.replace("-", "_")


def refused_stored(
    config: Mapping[str, Any], version: Version, *, allow_deprecated: bool = False
) -> LaunchProblem | None:
    """Why the release cannot load the quantisation a config names, by the name alone."""
    section = quantization_section(config)
    stored = stored_method(section)
    if not stored:
        return None
    method = _loader(stored, section, None, version)
    if not method:
        return _unknown_stored(stored, version)
    return None if allow_deprecated else _deprecated(method, version)


def _deprecated(method: str, version: Version) -> LaunchProblem | None:
    """The refusal of a method that the release keeps for those alone who ask for it."""
    if span_of(table("quantization")["deprecated"].get(method, ()), version) is None:
        return None
    return LaunchProblem(
        f"The quantization method {method} is deprecated and will be removed in future versions "
        "of vLLM. To bypass, set `--allow-deprecated-quantization`.",
        ("--allow-deprecated-quantization",),
    )


def method_facts(method: str, version: Version) -> Span | None:
    """What a release says of a method, None where it has none of that name."""
    return span_of(table("quantization")["methods"].get(method, ()), version)


def loads_16_bit(method: str, facts: Span) -> bool:
    """Whether a method takes a 16-bit checkpoint, and quantises it while loading.

    bitsandbytes does without the file that its class looks for.
    """
    if facts.get("online") or method == "bitsandbytes":
        return True
    return not (facts.get("files") or facts.get("needs_config"))


def _chosen(
    asked: str, stored: str, section: ConfigView | None, inputs: LaunchInputs
) -> Chosen | LaunchProblem:
    version = inputs.notes.version
    if asked == "none":
        return LaunchProblem(
            f"Unknown quantization method: none. The checkpoint is quantised ({stored}), and vLLM "
            "serves it as it is stored.",
            ("the model's 16-bit checkpoint",),
        )
    if not stored:
        if asked and method_facts(asked, version) is None:
            return _unknown(asked, version, _online_remedies(version))
        return Chosen(asked, stored=False)
    accepted = {stored, _UNIVERSAL, *_LOADERS.get(stored, ())}
    if asked and asked not in accepted:
        return LaunchProblem(
            f"Quantization method specified in the model config ({stored}) does not match the "
            f"quantization method specified in the `quantization` argument ({asked}).",
            ("no --quantization",),
        )
    if asked and method_facts(asked, version) is None:
        return _unknown(asked, version, ("no --quantization",))
    loader = asked or _loader(stored, section, inputs, version)
    return Chosen(loader, stored=True) if loader else _unknown_stored(stored, version)


def _unasked(asked: str, stored: str, section: ConfigView) -> LaunchProblem | None:
    """Why packed weights do not load whose only description vLLM is not told to read."""
    file = section.text(PACKED_FILE)
    if not file or asked in {stored, *_LOADERS.get(stored, ())}:
        return None
    if asked and asked != "none":
        return LaunchProblem(
            f"--quantization {asked} does not load weights that {stored} packed ({file}).",
            (f"--quantization {stored}",),
        )
    return LaunchProblem(
        f"There is no module or parameter named qweight: the checkpoint is packed by {stored}, "
        f"and only {file} says so, which vLLM reads where --quantization names the method.",
        (f"--quantization {stored}",),
    )


def _loader(
    stored: str, section: ConfigView | None, inputs: LaunchInputs | None, version: Version
) -> str:
    """The method a release loads a stored one with, "" where it has none."""
    name = stored
    if stored == "auto-round" and version >= (0, 15, 0):
        name = "inc"
    elif stored == "modelopt" and section is not None:
        algorithm = section.text("quant_algo").upper()
        if section.section("quantized_layers"):
            algorithm = "MIXED_PRECISION"
        name = next((m for word, m in _MODELOPT.items() if word in algorithm), stored)
        if name == "modelopt_fp4" and version < (0, 9, 0):
            name = "nvfp4"
    elif stored in _MARLIN_UNTIL and section is not None and inputs is not None:
        name = _marlin(stored, section, inputs)
    return name if method_facts(name, version) is not None else ""


def _marlin(stored: str, section: ConfigView, inputs: LaunchInputs) -> str:
    version, marlin = inputs.notes.version, f"{stored}_marlin"
    if version > _MARLIN_UNTIL[stored]:
        return f"auto_{stored}"
    if platform_of(inputs.gpu).name == "rocm":
        # Marlin's kernels are CUDA's.
        return stored
    facts = method_facts(marlin, version)
    capable = facts is not None and not _below(facts, inputs)
    return marlin if capable and fits_marlin(stored, section) else stored


def _refused(
    chosen: Chosen, section: ConfigView | None, inputs: LaunchInputs, dtype: str
) -> LaunchProblem | None:
    method, version = chosen.method, inputs.notes.version
    facts = method_facts(method, version)
    assert facts is not None
    deprecated = None if inputs.flag(ALLOW_DEPRECATED) else _deprecated(method, version)
    if deprecated is not None:
        return deprecated
    if not chosen.stored and not loads_16_bit(method, facts):
        return LaunchProblem(
            f"Cannot find the config file for {method}: the checkpoint is not quantised, and "
            f"{method} loads only what already is.",
            _online_remedies(version),
        )
    on_rocm = platform_of(inputs.gpu).name == "rocm"
    if on_rocm and (foreign := _not_in_rocm(chosen, version)):
        return foreign
    if _below(facts, inputs):
        capability = inputs.gpu.compute_capability
        assert capability is not None
        return LaunchProblem(
            f"The quantization method {method} is not supported for the current GPU. Minimum "
            f"capability: {facts['least_capability']}. Current capability: "
            f"{capability[0] * 10 + capability[1]}.",
            kind="unsupported" if chosen.stored else "invalid_arguments",
        )
    # A dtype that nobody asked for may be the base model's, where a checkpoint is known by its
    # name; with CUDA's kernels most take either.
    assumed = on_rocm and inputs.request.dtype == "auto"
    if dtype not in facts.get("dtypes", (dtype,)) and not assumed:
        accepted = facts["dtypes"]
        return LaunchProblem(
            f"torch.{dtype} is not supported for quantization method {method}. Supported dtypes: "
            f"[{', '.join(f'torch.{name}' for name in accepted)}]",
            () if "bfloat16" in accepted else (f"--dtype {accepted[0]}",),
        )
    if chosen.stored and section is not None:
        return refused_layout(stored_method(section), section, version)
    if method == "nvfp4_per_token" and inputs.architecture.moe is not None:
        capability = inputs.gpu.compute_capability
        if capability is not None and capability[0] != _SM100:
            return LaunchProblem(
                "nvfp4_per_token online quantization requires a Blackwell (SM100) GPU.",
                _online_remedies(version),
            )
    return None


def _not_in_rocm(chosen: Chosen, version: Version) -> LaunchProblem | None:
    """Why ROCm's platform does not take the method (platforms/rocm.py, verify_quantization)."""
    spans = table("quantization")["rocm"].get(chosen.method, ())
    if span_of(spans, version) is not None:
        return None
    with_it = releases_with(spans, version)
    return LaunchProblem(
        f"{chosen.method} quantization is currently not supported in rocm.",
        (with_it,) if with_it else (),
        kind="unsupported" if chosen.stored else "invalid_arguments",
    )


def _in_effect(chosen: Chosen, asked: str, inputs: LaunchInputs) -> str | None:
    """What sizes the weights, after everything was accepted."""
    if chosen.stored:
        return asked if asked == _UNIVERSAL else None
    if chosen.method == "mxfp4" and inputs.notes.version < _ONLINE_MXFP4_SINCE:
        if inputs.architecture.moe is not None:
            inputs.notes.problems.append(
                LaunchProblem(
                    "Before 0.28 vLLM's mxfp4 loads experts that are stored in MXFP4; what it does "
                    "with 16-bit experts is not modelled here.",
                    kind="not_modelled",
                )
            )
            return None
        inputs.notes.warn("mxfp4 leaves linear layers in 16 bit in this release of vLLM.")
        return "none"
    return chosen.method


def _unknown(method: str, version: Version, remedies: tuple[str, ...]) -> LaunchProblem:
    turn = releases_with(table("quantization")["methods"].get(method, ()), version)
    message = f"Unknown quantization method: {method}."
    if turn is not None:
        message = f"{message} {turn} has it."
    return LaunchProblem(message, remedies)


def _unknown_stored(method: str, version: Version) -> LaunchProblem:
    """The checkpoint's own method is none of the release's."""
    turn = releases_with(table("quantization")["methods"].get(method, ()), version)
    remedies = (turn,) if turn else ()
    found = _unknown(method, version, (*remedies, "another checkpoint of the model"))
    return replace(found, kind="unsupported")


def _online_remedies(version: Version) -> tuple[str, ...]:
    """What a release quantises 16-bit weights with while it loads them."""
    name = "fp8_per_tensor" if method_facts("fp8_per_tensor", version) else "fp8"
    return (f"--quantization {name}", "a checkpoint that is stored quantised")


def _below(facts: Span, inputs: LaunchInputs) -> bool:
    capability = inputs.gpu.compute_capability
    least = facts.get("least_capability")
    if capability is None or least is None:
        return False
    return capability[0] * 10 + capability[1] < least
