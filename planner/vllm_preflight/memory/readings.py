"""A start-up of a model with facts that no source states: what every reading of them agrees on.

A catalogue entry that is part of a config may leave open how the weights are stored, or count
other parameters than are published. Both readings are simulated: where they come to the same,
the answer stands, with an interval over both; else nobody here can say, and what settles it is
named. Of shapes that the published parameters contradict nothing is said. A length that is not
known decides only a launch that asks for none.
"""

from __future__ import annotations

from dataclasses import replace

from vllm_preflight.contract.explain import Calibration
from vllm_preflight.contract.verdict import HOPELESS, SURE
from vllm_preflight.hardware.gpu import ComputeCapability, Gpu
from vllm_preflight.launch.launch import Launch
from vllm_preflight.memory.failures import StartupFailure
from vllm_preflight.memory.startup import Startup, simulate_startup
from vllm_preflight.models.catalog_models import LENGTH
from vllm_preflight.models.model import Assumption, Model

# What fails whatever the length.
_WITHOUT_LENGTH = frozenset({"weights_do_not_fit", "no_kv_cache_memory"})
# Lengths are tried that are so much shorter than a first guess, in whole steps.
_SHORTENED = (0.0, 0.05, 0.1, 0.2, 0.4)
_STEP = 1024


def answered_startup(
    model: Model,
    gpu: Gpu,
    capability: ComputeCapability,
    launch: Launch,
    *,
    calibration: Calibration | None = None,
) -> Startup:
    """`simulate_startup`, as far as what is assumed of the model does not decide it.

    What vLLM refuses before it loads stays refused.

    Raises:
        UnsupportedArchitecture: the model's scheme or layers are not understood.
    """
    startup = simulate_startup(model, gpu, capability, launch, calibration=calibration)
    if launch.problems:
        return startup
    refuted = next((one for one in model.assumed if one.refuted), None)
    if refuted is not None:
        return _open(startup, refuted.sentence, refuted.settle)
    for assumption in model.assumed:
        if assumption.other_weights == 1 or launch.quantization is not None:
            continue
        other = _other(model, assumption)
        second = simulate_startup(other, gpu, capability, launch, calibration=calibration)
        startup = _by_both(startup, second, assumption)
    return _by_length(startup, calibration)


def _other(model: Model, assumption: Assumption) -> Model:
    scale = model.weight_scale * assumption.other_weights
    return replace(model, weight_scale=scale, assumed=())


def _by_both(startup: Startup, other: Startup, assumption: Assumption) -> Startup:
    if _word(startup) != _word(other):
        one, two = _word(startup), _word(other)
        message = f"{assumption.sentence} With the one it {one}, with the other it {two}."
        return _open(startup, message, assumption.settle)
    (low, high), (other_low, other_high) = startup.available_interval, other.available_interval
    return replace(
        startup,
        available_interval=(min(low, other_low), max(high, other_high)),
        start_probability=min(startup.start_probability, other.start_probability),
    )


def _by_length(startup: Startup, calibration: Calibration | None) -> Startup:
    launch, failure = startup.launch, startup.failure
    open_length = not startup.model.architecture.max_position_known
    if not open_length or "max_model_len" not in launch.defaulted or launch.max_model_len_auto:
        return startup
    if startup.kv.tokens is None or (failure is not None and failure.kind in _WITHOUT_LENGTH):
        return startup
    longest = _surely_starts(startup, calibration)
    settled = [one.settle for one in startup.model.assumed if one.fact == LENGTH]
    message = (
        f"The longest length of {startup.model.id} is not known, and vLLM takes all of it where "
        "--max-model-len is not given."
    )
    remedies = [f"--max-model-len {longest}"] if longest else []
    return _open(startup, message, *remedies, *settled)


def _surely_starts(startup: Startup, calibration: Calibration | None) -> int:
    """The longest length up to the assumed one that surely starts, 0 where none was found."""
    first = min(startup.launch.max_model_len, startup.kv_low.estimated_max_model_len)
    for share in _SHORTENED:
        length = int(first * (1 - share))
        length -= length % _STEP if length > _STEP and share else 0
        if length < 1:
            break
        launch = replace(startup.launch, max_model_len=length)
        tried = simulate_startup(
            startup.model, startup.gpu, startup.capability, launch, calibration=calibration
        )
        if _word(tried) == "starts":
            return length
    return 0


def _open(startup: Startup, message: str, *remedies: str) -> Startup:
    failure = StartupFailure("not_modelled", message, remedies)
    return replace(startup, failure=failure, start_probability=0.0)


def _word(startup: Startup) -> str:
    if startup.failure is None and startup.start_probability >= SURE:
        return "starts"
    return "does not start" if startup.start_probability < HOPELESS else "may start"
