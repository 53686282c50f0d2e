"""One card by its name: every card whose words the name consists of, and what is near."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from difflib import SequenceMatcher
from functools import cache, lru_cache

from vllm_preflight.base.errors import UnknownGpu
from vllm_preflight.hardware.facts import Entry, load_entries
from vllm_preflight.hardware.gpu import Gpu
from vllm_preflight.hardware.names import (
    ANYWHERE,
    BRANDS,
    LONGEST_NAME,
    Spelling,
    board_words,
    form_of,
    memory_words,
    sizes_in,
    spelling,
    split_words,
    squash,
)

# How like a name must be to be offered in place of an unknown one, of 1.
_NEAR = 0.66
# A word this short is in too many names to say that one of them is meant.
_TELLING_LETTERS = 3
_NO_HELP = "Give vram_gb, the GiB that CUDA shows, for a card the catalogue lacks."


@lru_cache(maxsize=512)
def find_card(name: str) -> Gpu:
    """The card meant by `name`: any case and punctuation, brand and form optional.

    A name without a form means the usual one: SXM before PCIe before NVL, server before
    workstation, so "H100" is the SXM card. A name that leaves the memory size open is
    refused ("A100": 40 or 80 GB), because the answer would hang on it.

    Raises:
        UnknownGpu: no such card, or several that differ in memory; the hint names them.
    """
    squashed = squash(name)
    if (exact := _exact_names().get(squashed)) is not None:
        return exact
    found = matching_cards(squashed)
    forms = {form for gpu in found if (form := form_of(gpu.name)) is not None}
    likely = [gpu for gpu in found if form_of(gpu.name) in (None, min(forms, default=None))]
    if len(likely) == 1:
        return likely[0]
    if likely:
        raise leaves_open(name, [gpu.name for gpu in likely])
    raise unknown(name)


def matching_cards(squashed: str) -> list[Gpu]:
    """The cards of the catalogue whose words `squashed` consists of, in its order."""
    return [
        entry.gpu
        for entry, spellings in _spellings()
        if any(spelled.matches(squashed) for spelled in spellings)
    ]


def gpus_with_nvml_name(nvml_name: str) -> tuple[Gpu, ...]:
    """The catalogue's cards that NVML calls `nvml_name`, or that are found by it.

    Cards whose size has to be said elsewhere are among them: NVML does not say it.
    """
    squashed = squash(nvml_name)
    return tuple(
        entry.gpu
        for entry, spellings in _spellings()
        if squashed in map(squash, entry.gpu.nvml_names)
        or any(spelled.matches(squashed) for spelled in spellings)
        or any(spelled.matches(squashed) for spelled in _unsized(entry))
    )


def leaves_open(name: str, choices: list[str]) -> UnknownGpu:
    """The error for a name that means several cards."""
    return UnknownGpu(
        f'"{shorten(name)}" leaves open which GPU is meant: {" or ".join(choices)}.',
        f"Say which, such as {choices[-1]!r}.",
    )


def unknown(name: str) -> UnknownGpu:
    """The error for a name that means no card, with names that are near, if any are."""
    shown = shorten(name)
    message = f'No GPU called "{shown}" is in the catalogue.'
    if card := card_of_other_size(name):
        return UnknownGpu(
            message,
            f"{card.name} has another size; for a card that was changed give vram_gb too, the "
            f"GiB that CUDA shows: gpu={card.name!r}, vram_gb=….",
        )
    said = f"Nearest names: {', '.join(near)}. " if (near := neighbours(name)) else ""
    return UnknownGpu(message, f"{said}{_NO_HELP}")


def card_of_other_size(name: str) -> Gpu | None:
    """The one card that `name` would be without the memory size it says; None elsewhere."""
    text, sizes = re.subn(r"[\s-]*\b\d+\s*(?:g|gb|gib)\b", "", name[:LONGEST_NAME], flags=re.I)
    found = matching_cards(squash(text)) if sizes and squash(text) else []
    return found[0] if len(found) == 1 else None


def shorten(name: str) -> str:
    """A name as it is quoted in messages."""
    return name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}…"


def neighbours(text: str, n: int = 3) -> tuple[str, ...]:
    """At most `n` catalogue names that `text` may have been meant for; often none."""
    core = _core(split_words(text[:LONGEST_NAME]), _BRAND_WORDS)
    if len(core) < _TELLING_LETTERS - 1:
        return ()
    likeness = {entry.gpu.name: _likeness(core, entry, spelled) for entry, spelled in _spellings()}
    # A stable sort keeps the catalogue's order among equals.
    near = sorted(
        (name for name, value in likeness.items() if value >= _NEAR),
        key=lambda name: -likeness[name],
    )
    return tuple(near[:n])


def nearest_gpus(text: str, n: int = 3) -> tuple[str, ...]:
    """The `n` catalogue names written most like `text`, the nearest first, however far.

    Names that contain the text come first, so this completes what a user has begun to
    type; then names whose own words are in the text; then names that resemble it.
    """
    squashed = squash(text)

    def rank(pair: tuple[Entry, tuple[Spelling, ...]]) -> tuple[bool, int, float]:
        entry, (own, *_) = pair
        ways = [squash(way) for way in (entry.gpu.name, *entry.gpu.nvml_names)]
        return (
            any(squashed in way for way in ways),
            sum(len(word) for word in own.required if word in squashed),
            max(SequenceMatcher(None, way, squashed).ratio() for way in (*ways, *own.required)),
        )

    ranked = sorted(_spellings(), key=rank, reverse=True)
    return tuple(entry.gpu.name for entry, _ in ranked[: max(0, n)])


_BRAND_WORDS = ANYWHERE.union(*BRANDS.values())
# Letters that are typed and read for digits.
_LOOKALIKES = str.maketrans("oil", "011")


def _core(words: Iterable[str], without: Collection[str]) -> str:
    return "".join(word for word in words if word not in without).translate(_LOOKALIKES)


def _likeness(core: str, entry: Entry, spellings: tuple[Spelling, ...]) -> float:
    """How like `core`, a name without brands, is to a card's telling words, up to 1."""
    own = spellings[0].required
    telling = [word for word in own if len(word) >= _TELLING_LETTERS and re.search(r"\d", word)]
    if telling and all(word in core for word in telling):
        # The card's own number is said: another variant of it, or another size.
        return 0.9 + 0.1 * sum(len(word) for word in own if word in core) / len(core)
    ways = [
        _core((word for word in split_words(way) if word in spelled.required), ())
        for way, spelled in zip(
            (entry.gpu.name, *entry.gpu.nvml_names, *entry.aliases), spellings, strict=True
        )
    ]
    return 0.9 * max(SequenceMatcher(None, way, core).ratio() for way in ways)


@cache
def _exact_names() -> dict[str, Gpu]:
    """The catalogue's own names, squashed."""
    return {squash(entry.gpu.name): entry.gpu for entry in load_entries()}


@cache
def _spellings() -> tuple[tuple[Entry, tuple[Spelling, ...]], ...]:
    """Each GPU with the ways to write it, the catalogue's name first."""
    return tuple((entry, _spelled(entry, entry.must_say)) for entry in load_entries())


def _unsized(entry: Entry) -> tuple[Spelling, ...]:
    """The spellings of a card whose size must be said, without the size; else none."""
    words = tuple(word for word in entry.must_say if not word[0].isdigit())
    return _spelled(entry, words) if words != entry.must_say else ()


def _spelled(entry: Entry, must_say: tuple[str, ...]) -> tuple[Spelling, ...]:
    gpu, capability = entry.gpu, entry.gpu.compute_capability
    also = memory_words(f"{entry.nominal_gib:g}") | board_words(gpu.name, capability)
    ways = [(name, must_say) for name in (gpu.name, *gpu.nvml_names)]
    # An alias says by itself which card it is; a size it has is part of that.
    sizes = tuple(word for word in must_say if word[0].isdigit())
    ways += [(name, (*sizes, *sizes_in(name))) for name in entry.aliases]
    return tuple(spelling(name, gpu.vendor, capability, also, said) for name, said in ways)
