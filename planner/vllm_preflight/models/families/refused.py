"""Classes of vLLM 0.33 whose config alone cannot tell what they hold, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

_FILE = "a part of it lies in a file of its own beside the checkpoint, which is not read here"
_CODE = "its vision tower is built by code that lies with the checkpoint"
_FORMAT = "its config is in the maker's own format"
_SPARSE = "what its sparse attention keeps beside keys and values is not modelled here"
_BACKEND = "transformers' own modules run its towers, which are not modelled here"

REASONS: Mapping[str, str] = {
    "DeepseekV41ForCausalLM": _SPARSE,
    "DiffusionGemmaForBlockDiffusion": "it generates blocks by diffusion, and the buffers of "
    "that are not modelled here",
    "Dots3NoteForCausalLM": _SPARSE,
    "Emu3ForConditionalGeneration": _BACKEND,
    "EmbeddingGemma2Model": "its layers' shapes are listed one by one, which is not read here",
    "FlintForCausalLM": "its kernels lay experts out anew, which is not modelled here",
    "HYV4ForCausalLM": _SPARSE,
    "HunYuanVLForConditionalGeneration": _BACKEND,
    "InklingForCausalLM": "its convolutions' caches are not modelled here",
    "InklingForConditionalGeneration": "its convolutions' caches are not modelled here",
    "MiMoV2OmniForCausalLM": _FILE,
    "MuseSparkForConditionalGeneration": _SPARSE,
    "Qwen4ExpForCausalLM": _SPARSE,
    "Qwen4ExpForConditionalGeneration": _SPARSE,
    "Step5ForCausalLM": _SPARSE,
    "Step5ForConditionalGeneration": _SPARSE,
    "VibeVoiceAsrForConditionalGeneration": _BACKEND,
    "ClefFlashForJointSchema": _FILE,
    "ClefOmniForJointSchema": _FILE,
    "D3ForSequenceClassification": _FILE,
    "FireRedASR2ForConditionalGeneration": _FORMAT,
    "FunASRForConditionalGeneration": _FORMAT,
    "Llama_Nemotron_Nano_VL": _CODE,
    "NemotronParseForConditionalGeneration": _CODE,
    "RadioMBartPrefixForCausalLM": _CODE,
    "Terratorch": "TerraTorch builds it from a configuration of its own",
}


def refusal_reason(classes: Iterable[str]) -> str:
    """Why the first refused class among `classes` is refused, empty when none is."""
    return next((REASONS[name] for name in classes if name in REASONS), "")
