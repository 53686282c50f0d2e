"""What a model repository's file names say: which weights vLLM loads, what is missing.

The same judgement serves a local folder, a cached snapshot and a listing on the Hub.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.base.units import BYTES_TO_MIB
from vllm_preflight.models.config_files import as_object

INDEX_NAME = "model.safetensors.index.json"
# The largest published index, of a thousand billion parameters in experts, has 28 MB.
INDEX_CAP = 32 * BYTES_TO_MIB
SAFETENSORS = ".safetensors"
_SHARD = re.compile(r"(?P<stem>.*)-(?P<number>\d{5})-of-(?P<count>\d{5})\.safetensors")
_FILE_NAME = re.compile(r"[\w.-]+", re.ASCII)
# Above this a shard count is a typing error or an attack.
_MOST_SHARDS = 10_000


@dataclass(frozen=True)
class WeightIndex:
    """An index's facts: the files that hold the tensors, and their bytes when it says so."""

    files: tuple[str, ...]
    total_size: int | None


def read_index(index: Mapping[str, Any], name: str) -> WeightIndex:
    """The facts of a `model.safetensors.index.json`.

    Raises:
        InvalidRequest: it maps no tensors to files, or to files outside its folder.
    """
    files = as_object(index.get("weight_map"))
    shards = {shard for shard in files.values() if isinstance(shard, str)}
    foreign = [shard for shard in shards if not _FILE_NAME.fullmatch(shard) or ".." in shard]
    if not shards or foreign:
        what = f"names {foreign[0][:80]!r}, which is no file beside it" if foreign else "is empty"
        raise InvalidRequest(f"The weight_map of {name} {what}.", "Download the index again.")
    total: object = as_object(index.get("metadata")).get("total_size")
    # Some converters write a float.
    if not isinstance(total, int | float) or total <= 0 or total % 1:
        total = None
    return WeightIndex(tuple(sorted(shards)), None if total is None else int(total))


def weight_files(names: Collection[str]) -> tuple[str, ...]:
    """The safetensors files that hold a model's weights where there is no index.

    Mistral publishes the same weights twice; its `consolidated` files count only where
    they are alone. Adapters are not the model's weights.
    """
    files = sorted(
        name
        for name in names
        if name.endswith(SAFETENSORS) and "/" not in name and not name.startswith("adapter_")
    )
    own = [name for name in files if not name.startswith("consolidated")]
    return tuple(own or files)


def missing_shards(files: Collection[str]) -> tuple[str, ...]:
    """The shards that the names of the present ones ("…-00002-of-00005…") imply."""
    expected: set[str] = set()
    for name in files:
        shard = _SHARD.fullmatch(name)
        count = int(shard["count"]) if shard else 0
        if shard and count <= _MOST_SHARDS:
            stem = shard["stem"]
            expected.update(
                f"{stem}-{number:05}-of-{count:05}{SAFETENSORS}" for number in range(1, count + 1)
            )
    return tuple(sorted(expected.difference(files)))


def other_formats(names: Collection[str]) -> str:
    """The formats, other than safetensors, that the root's weights are in; often empty."""
    formats = {"GGUF": (".gguf",), "pickle": (".bin", ".pt", ".pth"), "NumPy": (".npz",)}
    return " and ".join(
        label
        for label, endings in formats.items()
        if any(name.lower().endswith(endings) for name in names)
    )


def without_config(names: Collection[str]) -> tuple[str, str]:
    """Why a repository with these files has no config.json, and what to do instead."""
    if "adapter_config.json" in names:
        return "it is an adapter (LoRA), not a model", "Give the base model the adapter belongs to."
    if "model_index.json" in names:
        return "it is a diffusers pipeline", "Give a language model; vLLM serves no pipelines."
    formats = other_formats(names)
    if formats and not any(name.endswith(SAFETENSORS) for name in names):
        return (
            f"it holds only {formats} files",
            "Give the original model in safetensors, or a folder that has its config.json.",
        )
    return "no file describes the architecture", "Give a repository or folder with a config.json."
