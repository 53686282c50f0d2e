"""A plan for a checkpoint that is quantised another way: "what if it were 4-bit?".

vLLM's --quantization loads a checkpoint or quantises one while loading; a word such as
"awq" on a 16-bit checkpoint does neither. A plan takes it as a question about another
checkpoint of the model: the catalogue's where it has one, else a supposed one, for which
there is nothing to run.
"""

from __future__ import annotations

from dataclasses import replace

from vllm_preflight.contract.plan import PlanRequest
from vllm_preflight.launch.acceptance.methods import loads_16_bit, method_facts
from vllm_preflight.launch.versions import parse_version
from vllm_preflight.models.model import Model
from vllm_preflight.models.quantization_requests import is_what_if, requested
from vllm_preflight.models.weight_scheme import Quantization
from vllm_preflight.recommend.checkpoints import variants


def planned_checkpoint(model: Model, request: PlanRequest) -> tuple[Model, PlanRequest]:
    """The model and request to plan: as asked, unless the quantisation is a what-if.

    Raises:
        InvalidRequest: the checkpoint is quantised already, another way.
    """
    word = request.quantization
    stored = model.quantization.method
    if word == "none" and stored != "none":
        wanted = Quantization()
    elif stored == "none" and is_what_if(word) and not _loads_16_bit(word, request):
        wanted = requested(model.quantization, word)
    else:
        return model, request
    own = request.model_copy(update={"quantization": "auto"})
    for other in variants(model):
        if _alike(other.quantization, wanted):
            note = f"{word} is planned with {other.id}, such a checkpoint of {model.id}."
            return replace(other, notes=(*other.notes, note)), own.model_copy(
                update={"model": other.id, "revision": None}
            )
    note = (
        f"The catalogue has no {word} checkpoint of {model.id}: this is what one would need, and "
        "there is nothing to run before you name one."
    )
    config = {key: value for key, value in model.config.items() if "quantization" not in key}
    supposed = replace(
        model, config=config, quantization=wanted, supposed=True, notes=(*model.notes, note)
    )
    return supposed, own


def _loads_16_bit(word: str, request: PlanRequest) -> bool:
    """Whether the release's own method of that name quantises 16-bit weights."""
    facts = method_facts(word, parse_version(request.vllm_version))
    return facts is not None and loads_16_bit(word, facts)


def _alike(found: Quantization, wanted: Quantization) -> bool:
    if wanted.method == "none" or found.method == "none":
        return found.method == wanted.method
    one, other = found.default, wanted.default
    return (
        one is not None and other is not None and (one.kind, one.bits) == (other.kind, other.bits)
    )
