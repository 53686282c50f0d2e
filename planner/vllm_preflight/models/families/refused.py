"""Classes of vLLM 0.33 whose config alone cannot tell what they hold, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

_FILE = "a part of it lies in a file of its own beside the checkpoint, which is not read here"
_CODE = "its vision tower is built by code that lies with the checkpoint"
_FORMAT = "its config is in the maker's own format"

REASONS: Mapping[str, str] = {
    "ClefFlashForJointSchema": _FILE,
    "ClefOmniForJointSchema": _FILE,
    "D3ForSequenceClassification": _FILE,
    "FireRedASR2ForConditionalGeneration": _FORMAT,
    "FunASRForConditionalGeneration": _FORMAT,
    "KananaVForConditionalGeneration": "its projector is built by timm from a name",
    "Llama_Nemotron_Nano_VL": _CODE,
    "NemotronParseForConditionalGeneration": _CODE,
    "RadioMBartPrefixForCausalLM": _CODE,
    "Terratorch": "TerraTorch builds it from a configuration of its own",
}


def refusal_reason(classes: Iterable[str]) -> str:
    """Why the first refused class among `classes` is refused, empty when none is."""
    return next((REASONS[name] for name in classes if name in REASONS), "")
