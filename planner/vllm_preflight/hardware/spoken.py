"""Hardware as people and systems write it: a card, a count, an instance type, a MIG profile.

"H100", "2x RTX 3090", "H100:8", "p5.48xlarge", "H100 MIG 3g.40gb", a Kubernetes label, a
line of lspci, "RTX 4090 and RTX 3090": each is read by rule to the GPU that decides and
the number of GPUs, where the name says one. What has two readings is refused with both.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from vllm_preflight.base.errors import UnknownGpu
from vllm_preflight.hardware.cards import (
    find_card,
    leaves_open,
    matching_cards,
    neighbours,
    shorten,
    unknown,
)
from vllm_preflight.hardware.facts import load_catalog
from vllm_preflight.hardware.gpu import Gpu
from vllm_preflight.hardware.instances import (
    Instance,
    attached_gpus,
    family,
    find_instance,
    near_instances,
    other_chip,
)
from vllm_preflight.hardware.mig import (
    Profile,
    any_instance,
    find_profile,
    instance_of,
    profiles_of,
)
from vllm_preflight.hardware.names import form_of, squash
from vllm_preflight.hardware.weakest import weakest

# Longer than any line of lspci; a longer text is no name.
_LONGEST = 160
_WORDS = {
    "one": 1,
    "single": 1,
    "two": 2,
    "dual": 2,
    "three": 3,
    "triple": 3,
    "four": 4,
    "quad": 4,
    "six": 6,
    "eight": 8,
    "octo": 8,
}
_N = r"(?P<n>[1-9]\d{0,3})"
_CARD = r"(?P<card>.*[A-Za-z0-9].*)"
# Ways to write a count, each with the card's name beside it. Those with a mark of their
# own, or a bare number in front, are counts before they are sizes ("16 T4", "L4:24").
_MARKED = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # 4×L40S, 4 * L40S
        rf"{_N}\s*[×*]\s*{_CARD}",
        rf"{_CARD}\s*\(?\s*[×*]\s*{_N}\s*\)?",
        # H100:8, A100:80GB:4
        rf"{_CARD}:\s*{_N}",
        # 8 H100
        rf"(?P<n>[1-9]\d?)[\s-]+(?=[A-Za-z]){_CARD}",
    )
)
_COUNTED = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        # 2x RTX 3090, 8 x H100, 8 GPUs of H100
        rf"{_N}\s*x\s*{_CARD}",
        rf"{_N}[\s-]*gpus?\b[\s:]*(?:of\s+)?{_CARD}",
        # RTX 3090 x2, H100x8, H100 (x8), H100 (8x), H100 8x
        rf"{_CARD}\s*\(?\s*x\s*{_N}\s*\)?",
        rf"{_CARD}\s*\(\s*{_N}\s*[x×*]?\s*\)",
        rf"{_CARD}\s+{_N}\s*[x×*]",
        # H100 8-GPU, gpu-h100-sxm_8gpu-128vcpu-1600gb
        rf"{_CARD}[\s_-]+{_N}[\s-]?gpus?\b(?:-\d+vcpu-\d+gb)?",
        # gpu_8x_h100_sxm5, h100-80gb.8x
        rf"gpu[_-]{_N}x[_-]{_CARD}",
        rf"{_CARD}\.{_N}x",
    )
)
_WORDED = re.compile(rf"(?P<n>{'|'.join(_WORDS)})\s+{_CARD}", re.IGNORECASE)
# A label with its key: "nvidia.com/gpu.product=NVIDIA-L4".
_KEYED = re.compile(r"[\w.-]+/[\w.-]+\s*[=:]\s*(.+)")
_SHARED = re.compile(r"[\s-]shared$", re.IGNORECASE)
_PARTS = re.compile(r"\s+(?:and|plus|with)\s+|\s*[+&,;]\s*")
_BRACKETED = re.compile(r"\[([^\[\]]+)\](?=[^\[\]]*$)")
# What lspci adds to a card's name: steppings, and the other name of laptop parts.
_LSPCI_EXTRA = re.compile(r"\s*(?:/ max-q|rev\.? \w+|lite hash rate)\s*$", re.IGNORECASE)


@dataclass(frozen=True)
class NamedHardware:
    """What a name means: the GPU, how many of it, and what has to be said about that.

    `gpus` is None where the name says no number; `instance` is the instance type it was.
    """

    gpu: Gpu
    gpus: int | None = None
    instance: Instance | None = None
    notes: tuple[str, ...] = ()


@lru_cache(maxsize=512)
def read_hardware_name(name: str) -> NamedHardware:
    """The GPU, and the number of GPUs, that a name in any of these forms means.

    Raises:
        UnknownGpu: no such card or instance, or several that differ; the hint names them.
    """
    if len(name) > _LONGEST:
        raise unknown(name)
    text = re.sub(r"\((?:R|TM|C)\)|[®™]", " ", name, flags=re.IGNORECASE)
    text = re.sub(r"\s+", " ", text).strip()
    if keyed := _KEYED.fullmatch(text):
        text = keyed[1]
    try:
        return _one_kind(text)
    except UnknownGpu as error:
        parts = [part for part in _PARTS.split(text) if part.strip()]
        if len(parts) < 2 or "[" in text or find_profile(text):
            raise
        return _mixed(parts, error)


def _mixed(parts: list[str], error: UnknownGpu) -> NamedHardware:
    """Several kinds of GPU in one machine: as many as all, each like the weakest."""
    try:
        kinds = [_one_kind(part.strip()) for part in parts]
    except UnknownGpu as of_part:
        # A part that is open has its own choices; of one that is nothing the whole is said.
        raise (of_part if "leaves open" in of_part.message else error) from None
    least = weakest([kind.gpu for kind in kinds])
    names = sorted({kind.gpu.name for kind in kinds})
    notes = [note for kind in kinds for note in kind.notes]
    if len(names) > 1:
        notes.append(f"The GPUs differ ({', '.join(names)}); the weakest, {least.name}, decides.")
    return NamedHardware(least, sum(kind.gpus or 1 for kind in kinds), notes=tuple(notes))


def _one_kind(text: str) -> NamedHardware:
    if instance := find_instance(text):
        return _of_instance(instance)
    if attached := attached_gpus(text):
        return _one_kind(attached)
    if chip := other_chip(text):
        raise UnknownGpu(
            f"{shorten(text)} has no GPU but {chip}, whose vLLM is not modelled.",
            "Name a GPU, or an instance type that has one.",
        )
    first: UnknownGpu | None = None
    for count, card in _readings(text):
        try:
            found = _kind(card)
        except UnknownGpu as error:
            # The last reading has the least around the card's name.
            first = error if first is None or "leaves open" in error.message else first
            continue
        if found.gpus is not None and count is not None:
            raise UnknownGpu(
                f'"{shorten(text)}" counts {card}, which is {found.gpus} GPUs already.',
                "Name the instance type alone, and give nodes for more of them.",
            )
        return replace(found, gpus=count or found.gpus)
    if of_family := family(text):
        return _of_family(text, of_family)
    if not neighbours(text) and (near := near_instances(text)):
        raise UnknownGpu(
            f'No GPU or instance type called "{shorten(text)}" is known.',
            f"Nearest instance types: {', '.join(near)}.",
        )
    raise first or unknown(text)


def _readings(text: str) -> Iterator[tuple[int | None, str]]:
    """A text as (count, card), the surest reading first."""
    marked, counted = _counts(text, _MARKED), _counts(text, _COUNTED)
    if match := _WORDED.fullmatch(text):
        counted.append((_WORDS[match["n"].lower()], match["card"]))
    readings = [*marked, (None, text), *counted]
    yield from readings
    # "2 H100s"
    yield from ((count, card[:-1]) for count, card in readings if card.lower().endswith("s"))


def _counts(text: str, patterns: tuple[re.Pattern[str], ...]) -> list[tuple[int | None, str]]:
    matches = (pattern.fullmatch(text) for pattern in patterns)
    return [(int(match["n"]), match["card"].strip(" -_,:")) for match in matches if match]


def _of_instance(instance: Instance) -> NamedHardware:
    gpu = find_card(instance.gpu)
    if instance.gpus is None:
        return NamedHardware(gpu, instance=instance)
    note = f"{instance.id} ({instance.provider}) has {instance.gpus} × {gpu.name}."
    return NamedHardware(gpu, instance.gpus, instance, (note,))


def _of_family(text: str, instances: tuple[Instance, ...]) -> NamedHardware:
    """The GPU of a family of instance types, where all its sizes have the same."""
    if len({instance.gpu for instance in instances}) > 1:
        raise leaves_open(text, [instance.id for instance in instances[:4]])
    sizes = ", ".join(f"{instance.id} has {instance.gpus}" for instance in instances)
    gpu = find_card(instances[0].gpu)
    return NamedHardware(gpu, notes=(f"{shorten(text)} instances have {gpu.name}: {sizes}.",))


def _kind(text: str) -> NamedHardware:
    """One kind of GPU, counted by nobody."""
    if instance := find_instance(text):
        return _of_instance(instance)
    notes: tuple[str, ...] = ()
    if shared := _SHARED.search(text):
        text = text[: shared.start()]
        notes = (
            "The label says the GPU is shared by time slices: what other pods hold of its memory "
            "is not free; free_vram_gb tells how much is.",
        )
    if bracketed := _BRACKETED.search(text):
        return NamedHardware(_alternatives(text, bracketed[1]), notes=notes)
    if profiled := find_profile(text):
        gpu, more = _part(text, *profiled)
        return NamedHardware(gpu, notes=(*notes, *more))
    return NamedHardware(_card(text), notes=notes)


def _card(text: str) -> Gpu:
    of_architecture = [
        gpu.name for gpu in load_catalog() if gpu.architecture and squash(text) == gpu.architecture
    ]
    if of_architecture:
        raise leaves_open(text, of_architecture)
    return find_card(text)


def _alternatives(text: str, names: str) -> Gpu:
    """The card in the brackets of a line of lspci; several where PCI ids do not tell."""
    names = _LSPCI_EXTRA.sub("", names.strip())
    parts = [part.strip() for part in names.split("/")]
    if len(parts) == 1:
        return _card(names)
    raise leaves_open(text, parts)


def _part(text: str, profile: Profile, card: str) -> tuple[Gpu, tuple[str, ...]]:
    """The MIG instance of a named card, or of any that has the profile."""
    if not card:
        found = any_instance(profile)
        if found is None:
            raise unknown(text)
        gpu, names = found
        if len(names) == 1:
            return gpu, ()
        some = ", ".join(names[:4]) + (", …" if len(names) > 4 else "")
        return gpu, (
            f"{len(names)} cards have the MIG profile {profile.name} ({some}): the least memory "
            "and the oldest generation are taken, and no speed is estimated. Name the card too.",
        )
    cards = matching_cards(squash(card)) or [find_card(card)]
    parts = _usual([part for gpu in cards if (part := instance_of(gpu, profile))])
    if len(parts) == 1:
        return parts[0], ()
    if parts:
        raise leaves_open(text, [part.name for part in parts])
    usual = _usual(cards)
    have = list(dict.fromkeys(p.name for gpu in usual for p in profiles_of(gpu)))
    raise UnknownGpu(
        f"{usual[0].name} has no MIG profile {profile.name}.",
        f"It has {', '.join(have)}." if have else "MIG does not split it.",
    )


def _usual(gpus: list[Gpu]) -> list[Gpu]:
    """Those of the usual form, where their names say one."""
    forms = {form for gpu in gpus if (form := form_of(gpu.name)) is not None}
    return [gpu for gpu in gpus if form_of(gpu.name) in (None, min(forms, default=None))]
