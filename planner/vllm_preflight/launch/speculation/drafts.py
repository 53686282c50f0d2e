"""The draft of each method: lookups, the target's own layers, heads and whole models.

Source: config/speculative.py of vLLM 0.9.2 to 0.33.0.
"""

from __future__ import annotations

from vllm_preflight.base.errors import PreflightError
from vllm_preflight.launch.launch import Speculation
from vllm_preflight.launch.speculation.drafting import TARGETS_WITH_STAGES
from vllm_preflight.launch.speculation.reading import Reading
from vllm_preflight.launch.speculation.table import eagle3_targets
from vllm_preflight.launch.versions import format_version
from vllm_preflight.models.drafts.formats import HEAD_METHODS
from vllm_preflight.models.served import as_head

NO_MODEL = "num_speculative_tokens was provided but without speculative model."
_LOOKUP_METHODS = frozenset({"ngram", "ngram_gpu", "suffix"})
_NOT_MODELLED = frozenset({"extract_hidden_states", "custom_class"})
# What the V1 engine lacked while the V0 engine still took over (engine/arg_utils.py).
_OLD_ENGINE_METHODS = frozenset({"draft_model", "mlp_speculator"})
_OLD_ENGINE_ENDS = (0, 11, 0)
_DRAFT_MODELS = (0, 15, 0)
# First release that refuses a method it cannot place instead of taking it for draft_model.
_METHOD_REFUSED = (0, 15, 0)
_NO_DRAFT_MODELS = (
    "Draft model speculative decoding is not supported yet. Please consider using other "
    "speculative decoding methods such as ngram, medusa, eagle, or mtp."
)
_NOT_A_DRAFT_MODEL = (
    "Speculative decoding with draft model is not supported yet. Please consider using other "
    "speculative decoding methods such as ngram, medusa, eagle, or mtp."
)


def with_drafter(reading: Reading, method: str, tokens: int) -> Speculation | None:
    """The speculation of a method with the draft it uses; None where vLLM refuses it."""
    if method in _LOOKUP_METHODS:
        return Speculation(method, tokens, reading.drafting.name)
    if method in _NOT_MODELLED:
        reading.not_modelled(f"What the method {method} keeps on the GPU is not modelled.")
        return Speculation(method, tokens, reading.drafting.name)
    if method == "mtp":
        return _prediction(reading, tokens)
    if method in _OLD_ENGINE_METHODS and reading.version < _OLD_ENGINE_ENDS:
        reading.not_modelled(
            f"vLLM {format_version(reading.version)} runs the method {method} in its V0 engine, "
            "whose memory sizing is not described here.",
            "vLLM 0.15.0",
        )
        return Speculation(method, tokens, reading.drafting.name)
    if method == "mlp_speculator":
        reading.refuse(
            "Model architectures ['MLPSpeculatorPreTrainedModel'] are not supported for now.",
            "drop --speculative-config",
        )
        return None
    if method == "draft_model" and reading.version < _DRAFT_MODELS:
        reading.refuse(_NO_DRAFT_MODELS, "vLLM 0.15.0")
        return None
    if method == "eagle3" and not _takes_eagle3(reading):
        return None
    if reading.drafting.name is None:
        return _stages_of_target(reading, tokens) if method == "dspark" else _no_model(reading)
    return _with_draft(reading, method, tokens, reading.drafting.name)


def _no_model(reading: Reading) -> None:
    reading.refuse(NO_MODEL, 'name the draft as "model" in --speculative-config')


def _with_draft(reading: Reading, method: str, tokens: int, name: str) -> Speculation | None:
    """A draft with weights of its own."""
    draft = reading.drafting.draft
    plain = Speculation(method, tokens, name)
    head = next((known for known in HEAD_METHODS if known == method), None)
    if draft is None:
        reason = f" ({reading.drafting.unknown.rstrip('.')})" if reading.drafting.unknown else ""
        reading.not_modelled(
            f"The draft {name} is not known here{reason}: its weights and its share of the KV "
            "cache are not counted.",
            "give a local folder with the draft's config.json as the draft",
        )
        return plain
    if head is not None:
        try:
            draft = as_head(draft, head)
        except PreflightError as error:
            reading.not_modelled(f"{error.message} Its weights and KV cache are not counted.")
            return plain
    elif draft.architecture.drafts:
        reading.not_modelled(
            f"vLLM takes {name} for an independent draft model, because its name does not say "
            f"that it is a head of {draft.architecture.drafts}.",
            f'give "method": "{draft.architecture.drafts}" in --speculative-config',
        )
        return plain
    for note in draft.notes:
        reading.inputs.notes.warn(note if draft.id in note else f"Of the draft {draft.id}: {note}")
    return Speculation(
        method,
        tokens,
        name,
        drafter=draft,
        shares_embedding=head is not None
        and draft.architecture.hidden_size == reading.target.hidden_size,
        quantization=reading.text("quantization"),
        kv_cache_dtype=reading.text("kv_cache_dtype"),
    )


def _stages_of_target(reading: Reading, tokens: int) -> Speculation | None:
    """DSpark without a draft: the stages that a DeepSeek-V4 checkpoint ships."""
    if not reading.target.model_type.startswith(TARGETS_WITH_STAGES):
        reading.refuse(
            "dspark without a draft needs a DeepSeek-V4 checkpoint that ships its stages; "
            f"{reading.target.model_type} has none.",
            'name the draft as "model" in --speculative-config',
        )
        return None
    stages = reading.drafting.draft
    if stages is None:
        reading.not_modelled(
            f"{reading.drafting.unknown} The weights and KV cache of the DSpark stages are not "
            "counted."
        )
        return Speculation("dspark", tokens)
    asked = reading.inputs.request.quantization
    return Speculation(
        "dspark",
        tokens,
        drafter=stages,
        shares_embedding=True,
        quantization=None if asked in {"auto", "none"} else asked,
    )


def _prediction(reading: Reading, tokens: int) -> Speculation | None:
    """Multi-token prediction with the model's own layers."""
    name, version = reading.drafting.name, reading.version
    if name is not None and not reading.drafts_itself:
        reading.not_modelled(
            f"Multi-token prediction with the separate model {name} is not modelled: its "
            "weights and its share of the KV cache are not counted."
        )
        return Speculation("mtp", tokens, name)
    if not reading.predicts:
        reading.refuse(
            "Unsupported speculative method: 'mtp'"
            if version >= _METHOD_REFUSED
            else _NOT_A_DRAFT_MODEL,
            f"drop --speculative-config: {reading.target.model_type} has no prediction layers "
            f"that vLLM {format_version(version)} loads",
        )
        return None
    each = reading.n_predict
    if not reading.target.predictor_layers:
        reading.not_modelled(
            "The facts at hand describe no prediction layers of this model: their weights and "
            "KV cache are not counted."
        )
    elif each is not None and tokens > each and tokens % each:
        reading.refuse(
            f"num_speculative_tokens:{tokens} must be divisible by n_predict={each}",
            f'"num_speculative_tokens": {tokens // each * each}',
        )
        return None
    return Speculation("mtp", tokens)


def _takes_eagle3(reading: Reading) -> bool:
    targets = eagle3_targets(reading.version)
    model_type = reading.target.model_type
    if targets is None or any(name in model_type for name in targets):
        return True
    reading.refuse(
        f"Eagle3 is only supported for {list(targets)} models. Got "
        f"self.target_model_config.hf_text_config.model_type={model_type!r}",
        "drop --speculative-config",
    )
    return False
