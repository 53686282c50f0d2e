"""What a checkpoint's name says: the model it was made from, and how its weights are stored.

Publishers write the storage of weights at the end of a name (`Qwen3-8B-FP8`,
`Llama-3.1-8B-Instruct-quantized.w4a16`, `gemma-3-27b-it-qat-q4_0-gguf`). The words are a claim,
not a fact: what is built on them is labelled so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

Precision = Literal[
    "16-bit",
    "fp8",
    "awq",
    "gptq-int4",
    "gptq-int8",
    "w4a16",
    "w8a16",
    "w8a8",
    "int4",
    "int8",
    "nvfp4",
    "nvfp4a16",
    "mxfp4",
    "mxfp8",
    "bitsandbytes",
    "other",
]

# Words that name a storage, by themselves.
_NAMED: dict[str, Precision] = {
    "bf16": "16-bit",
    "fp16": "16-bit",
    "bfloat16": "16-bit",
    "fp8": "fp8",
    "awq": "awq",
    "gptq": "gptq-int4",
    "w4a16": "w4a16",
    "w8a16": "w8a16",
    "w8a8": "w8a8",
    "int4": "int4",
    "4bit": "int4",
    "int8": "int8",
    "8bit": "int8",
    "nvfp4": "nvfp4",
    "fp4": "nvfp4",
    "nvfp4a16": "nvfp4a16",
    "mxfp4": "mxfp4",
    "mxfp8": "mxfp8",
    "bnb": "bitsandbytes",
    "gguf": "other",
    "mlx": "other",
    "exl2": "other",
    "exl3": "other",
    "hqq": "other",
    "aqlm": "other",
    "autoround": "other",
    "int2": "other",
    "3bit": "other",
    "2bit": "other",
}
# Words that only say more about a storage.
_DETAIL = re.compile(
    r"quantized|quant|quants|dynamic|static|block|tensor|channel|per|pertensor|perchannel|kv|qat|ct|sym|asym|marlin"
    r"|g\d{2,3}|w\d+a\d+|w|a|unsloth|ptpc|qad"
)
# A version of the checkpoint, where it stands last; before a storage it is the model's.
_ISSUE = re.compile(r"v\d")
_WORDS = re.compile(r"[-_.]")


@dataclass(frozen=True)
class CheckpointName:
    """A model id taken apart.

    Attributes:
        organisation: what stands before the slash; empty when there is none.
        base: the name without the words on storage: of which model this is a checkpoint.
        precision: the storage the name claims, None when it claims none.
    """

    organisation: str
    base: str
    precision: Precision | None


@lru_cache(maxsize=4096)
def read_name(model: str) -> CheckpointName:
    """Base model and claimed storage of a checkpoint by its id alone."""
    organisation, _, name = model.rpartition("/")
    spans = _word_spans(name)
    first, named = len(spans), list[Precision]()
    while first > 1:
        word = spans[first - 1][2]
        if word in _NAMED:
            named.append(_NAMED[word])
        elif not (_DETAIL.fullmatch(word) or (not named and _ISSUE.fullmatch(word))):
            break
        first -= 1
    if not named:
        return CheckpointName(organisation, _one_spelling(name), None)
    base = name[: spans[first - 1][1]]
    return CheckpointName(organisation, _one_spelling(base), _together(named))


def _word_spans(name: str) -> list[tuple[int, int, str]]:
    """Start, end and lower-case text of each word of a name."""
    ends = [match.start() for match in _WORDS.finditer(name)] + [len(name)]
    starts = [0] + [match.end() for match in _WORDS.finditer(name)]
    return [(start, end, name[start:end].lower()) for start, end in zip(starts, ends, strict=True)]


def _together(named: list[Precision]) -> Precision:
    """One storage of several words: a method beside its bits is the method."""
    words = set(named)
    if "other" in words or {"nvfp4", "fp8"} <= words:
        return "other"
    if "gptq-int4" in words:
        return "gptq-int8" if "int8" in words else "gptq-int4"
    for method in ("awq", "bitsandbytes", "mxfp8", "mxfp4", "nvfp4a16", "nvfp4", "w4a16", "w8a8"):
        if method in words:
            return method
    words.discard("16-bit")
    if len(words) > 1:
        return "other"
    return words.pop() if words else "16-bit"


def _one_spelling(name: str) -> str:
    """Meta's own two spellings of one name as one: Meta-Llama-3.1-8B is Llama-3.1-8B."""
    return re.sub(r"^meta-(?=llama-3)", "", name, flags=re.IGNORECASE)
