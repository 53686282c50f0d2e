"""The words of GPU names: which must be said, which may, and how each may be written.

A name is read as words of a card's known names, in any order, in any case, with any or
no punctuation: "rtx4090", "A100-80g" and "NVIDIA GeForce RTX 4090" are words of one
card each. Words that tell products apart ("4070", "ti", "super", "laptop") must all be
said; vendor, brand, memory size and form may be left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from vllm_preflight.hardware.gpu import ComputeCapability

# Words nobody has to say. "pro" is not among them for NVIDIA: RTX PRO 6000 is another
# card than RTX 6000 Ada.
BRANDS = {
    "NVIDIA": {"nvidia", "geforce", "rtx", "gtx", "tesla", "quadro", "corporation"}
    | {"jetson", "agx", "developer", "kit"},
    "AMD": {"amd", "radeon", "instinct", "rx", "pro", "ai", "gcd", "oam", "micro", "devices"},
    "Intel": {"intel", "arc", "pro", "hpu", "corporation"},
    "Huawei": {"huawei", "ascend", "npu"},
    "Google": {"google", "tpu"},
}
# What people and systems add to any name.
ANYWHERE = {
    "gpu",
    "gpus",
    "graphics",
    "accelerator",
    "card",
    "generation",
    "edition",
    "with",
    "hgx",
    "vws",
    "ampere",
    "hopper",
    "lovelace",
    "blackwell",
    "tensor",
    "core",
    "hbm2",
    "hbm2e",
    "hbm3",
    "hbm3e",
    "gddr6",
    "gddr6x",
    "gddr7",
}
# Forms a card comes in, the usual one first: a name without a form means that one.
FORMS = ("sxm", "pcie", "nvl", "server", "workstation")
# How lists of offers write the forms of RTX PRO cards.
_SHORT_FORMS = {"server": {"s", "se"}, "workstation": {"ws", "wk"}}
# The SXM generation that a compute capability's boards have.
_SXM_OF_MAJOR = {7: {"sxm2", "sxm3"}, 8: {"sxm4"}, 9: {"sxm5"}, 10: {"sxm6"}}
MEMORY_WORD = re.compile(r"(\d+)(g|gb|gib)")
# Far longer than any name of a GPU; keeps a search over word orders short.
LONGEST_NAME = 80


def squash(text: str) -> str:
    """Letters and digits of `text` in lower case: what is left of a name in any writing."""
    return re.sub(r"[\W_]+", "", text.lower())


@dataclass(frozen=True)
class Spelling:
    """One known name of a GPU as words: those that must be said and those that may.

    Of `choices` one word must be said: the ways to write a size that tells cards apart.
    """

    required: frozenset[str]
    optional: frozenset[str]
    choices: frozenset[str] = frozenset()

    def matches(self, squashed: str) -> bool:
        """Whether `squashed` consists of these words, each once, all required ones said."""
        if len(squashed) > LONGEST_NAME or not all(word in squashed for word in self.required):
            return False
        return self._consume(squashed, frozenset())

    def _consume(self, rest: str, used: frozenset[str]) -> bool:
        if not rest:
            return used >= self.required and (not self.choices or bool(used & self.choices))
        return any(
            self._consume(rest[len(word) :], used | {word})
            for word in self._words
            if word not in used and rest.startswith(word)
        )

    @cached_property
    def _words(self) -> frozenset[str]:
        return self.required | self.optional | self.choices


def spelling(
    name: str,
    vendor: str,
    capability: ComputeCapability | None = None,
    also: Iterable[str] = (),
    must_say: Iterable[str] = (),
) -> Spelling:
    """The words of one of a GPU's names.

    `also` may be said though this name lacks them; `must_say` has to be, though words
    like it may be left out elsewhere.
    """
    brands = BRANDS.get(vendor, set[str]()) | ANYWHERE
    optional = brands | set(also)
    required: set[str] = set()
    choices: set[str] = set()
    for word in split_words(name):
        if sized := MEMORY_WORD.fullmatch(word):
            optional |= memory_words(sized[1])
        elif re.fullmatch(r"sxm\d?", word):
            optional |= {"sxm", word} | _sxm_words(capability)
        elif word in FORMS or word in brands:
            optional |= {word} | _SHORT_FORMS.get(word, set())
        else:
            required.add(word)
    for word in must_say:
        if sized := MEMORY_WORD.fullmatch(word):
            choices |= memory_words(sized[1])
        else:
            required.add(word)
    return Spelling(frozenset(required), frozenset(optional - choices), frozenset(choices))


def split_words(name: str) -> list[str]:
    """The words of a full name: "H100 SXM5 80GB" gives h100, sxm5, 80gb."""
    return re.findall(r"[a-z0-9]+", name.lower())


def sizes_in(name: str) -> list[str]:
    """The memory sizes a name says: "H20 141GB" gives 141gb."""
    return [word for word in split_words(name) if MEMORY_WORD.fullmatch(word)]


def memory_words(size: str) -> set[str]:
    """The ways to say a size: "80gb", "80g", "80gib", "80"."""
    return {size, f"{size}g", f"{size}gb", f"{size}gib"}


def board_words(name: str, capability: ComputeCapability | None) -> set[str]:
    """Forms that may be said of a card whose name says none: it has only that one."""
    if form_of(name) is not None:
        return set()
    return {"pcie", "sxm"} | _sxm_words(capability) if _may_be_sxm(capability) else {"pcie"}


def form_of(name: str) -> int | None:
    """Rank of the form a card's name says, the usual one lowest; None when it says none."""
    words = [re.sub(r"^(sxm)\d$", r"\1", word) for word in split_words(name)]
    return min((FORMS.index(word) for word in words if word in FORMS), default=None)


def _may_be_sxm(capability: ComputeCapability | None) -> bool:
    return capability is not None and capability[0] in {9, 10}


def _sxm_words(capability: ComputeCapability | None) -> set[str]:
    return _SXM_OF_MAJOR.get(capability[0], set()) if capability else set()
