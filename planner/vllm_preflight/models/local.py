"""Reading a model from a local folder: its config and the headers of its weights.

Only the folder's own files are read. A link that leads out of the folder is refused,
except into the blobs of the Hugging Face cache that the folder is a snapshot of.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.models.architecture import Architecture
from vllm_preflight.models.config_files import (
    CONFIG_CAP,
    CONFIG_NAME,
    MODELOPT_NAME,
    MODULES_CAP,
    MODULES_NAME,
    PACKED_NAMES,
    SENTENCE_NAMES,
    TOKENIZER_NAME,
    asks_tokenizer,
    config_name,
    pooling_since,
    read_bounded,
    read_config,
    read_json_object,
    with_sentence_length,
    with_tokenizer_length,
)
from vllm_preflight.models.config_reader import read_architecture
from vllm_preflight.models.mistral_params import PARAMS_NAME
from vllm_preflight.models.model import Model
from vllm_preflight.models.quantization import read_quantization
from vllm_preflight.models.repository_files import (
    INDEX_CAP,
    INDEX_NAME,
    SAFETENSORS,
    WeightIndex,
    missing_shards,
    other_formats,
    read_index,
    weight_files,
    without_config,
)
from vllm_preflight.models.safetensors_files import StoredTensors, combined, read_stored
from vllm_preflight.models.stored_bytes import contradiction

Progress = Callable[[str], None]

_READ = (
    *(CONFIG_NAME, PARAMS_NAME, MODELOPT_NAME, MODULES_NAME, INDEX_NAME, TOKENIZER_NAME),
    *(*SENTENCE_NAMES, *PACKED_NAMES),
)


@dataclass(frozen=True)
class FolderFacts:
    """What a folder says of a model.

    Attributes:
        name: the file that holds the config, config.json or params.json.
        config: its content in config.json's keys, with hf_quant_config.json merged into it.
        architecture: what the config describes, pooled where modules.json says so.
        stored: bytes and elements of all tensors, None when not all files are there.
        checkpoint_bytes: bytes of all tensors, from the headers or else from the index.
        notes: what a reader of the facts should know.
    """

    name: str
    config: Mapping[str, Any]
    architecture: Architecture
    stored: StoredTensors | None
    checkpoint_bytes: int | None
    notes: tuple[str, ...]


def load_folder(folder: Path, progress: Progress) -> Model:
    """The model in a local folder.

    Raises:
        InvalidRequest: no config.json there, or a file is damaged or leads elsewhere.
        UnsupportedArchitecture: the config is of an architecture that is not understood.
    """
    progress(f"reading the config and safetensors headers in {folder}")
    facts = read_folder(folder)
    return Model(
        id=str(folder),
        origin="local",
        provenance=f"{facts.name} in the local folder {folder}",
        config=facts.config,
        architecture=facts.architecture,
        quantization=read_quantization(facts.config),
        params_published=facts.stored.elements if facts.stored else None,
        checkpoint_bytes=facts.checkpoint_bytes,
        bytes_by_dtype=facts.stored.bytes_by_dtype if facts.stored else {},
        notes=facts.notes,
    )


def read_folder(folder: Path) -> FolderFacts:
    """The facts in a folder's config, index and safetensors headers.

    Raises:
        InvalidRequest: no config.json there, or a file is damaged or leads elsewhere.
        UnsupportedArchitecture: the config is of an architecture that is not understood.
    """
    names = file_names(folder)
    name = config_name(names)
    if name is None:
        reason, hint = without_config(names)
        raise InvalidRequest(f"The folder {folder} has no {CONFIG_NAME}: {reason}.", hint)
    _refuse_links_outside(folder, names)
    config = read_config(folder)
    modules = folder / MODULES_NAME
    pooled = (
        pooling_since(read_bounded(modules, MODULES_CAP), str(modules))
        if MODULES_NAME in names
        else None
    )
    architecture = replace(read_architecture(config), pools_since=pooled)
    if TOKENIZER_NAME in names and asks_tokenizer(config, architecture):
        tokenizer = read_json_object(folder / TOKENIZER_NAME, CONFIG_CAP)
        architecture = with_tokenizer_length(architecture, tokenizer)
    sentence = next((name for name in SENTENCE_NAMES if name in names), None)
    said: tuple[str, ...] = ()
    if sentence is not None:
        stated = read_json_object(folder / sentence, MODULES_CAP)
        architecture, said = with_sentence_length(architecture, stated)
    index: WeightIndex | None = None
    if INDEX_NAME in names:
        path = folder / INDEX_NAME
        index = read_index(read_json_object(path, INDEX_CAP), str(path))
    files = index.files if index else weight_files(names)
    absent = [name for name in files if name not in names] if index else missing_shards(files)
    notes = [*said]
    stored: StoredTensors | None = None
    if not files:
        formats = other_formats(names)
        there = f"only {formats} weights" if formats else "no weights"
        notes.append(f"The folder has {there}: what is stored follows from the config alone.")
    elif absent:
        notes.append(
            f"{len(absent)} of {len(set(files).union(absent))} safetensors files are missing "
            f"from the folder, {absent[0]} first."
        )
    else:
        stored = combined(read_stored(folder / name) for name in files)
    indexed = index.total_size if index else None
    if stored and indexed and indexed != stored.total_bytes:
        notes.append(
            f"{INDEX_NAME} says {indexed:,} bytes, the files hold {stored.total_bytes:,}; the "
            "files count."
        )
    checkpoint_bytes = stored.total_bytes if stored else indexed
    notes += contradiction(architecture, read_quantization(config), checkpoint_bytes)
    return FolderFacts(name, config, architecture, stored, checkpoint_bytes, tuple(notes))


def fingerprint(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """Name, size and time of every file that is read; equal while nothing changed."""
    marks: list[tuple[str, int, int]] = []
    for name in sorted(file_names(folder)):
        if name in _READ or name.endswith(SAFETENSORS):
            try:
                status = (folder / name).stat()
            except OSError:
                continue  # A dangling link: reading it says what is wrong.
            marks.append((name, status.st_size, status.st_mtime_ns))
    return tuple(marks)


def file_names(folder: Path) -> frozenset[str]:
    """The names in a folder; raises InvalidRequest when it cannot be listed."""
    try:
        return frozenset(os.listdir(folder))
    except OSError as error:
        raise InvalidRequest(
            f"The folder {folder} cannot be listed: {error.strerror or error}.",
            "Check its permissions.",
        ) from error


def _refuse_links_outside(folder: Path, names: frozenset[str]) -> None:
    roots = [folder.resolve()]
    if roots[0].parent.name == "snapshots":
        # <cache>/models--org--name/snapshots/<commit>, with blobs beside it or shared.
        repository = roots[0].parent.parent
        roots += [repository / "blobs", repository.parent / "blobs"]
    for name in names:
        if not (name.endswith(SAFETENSORS) or name in _READ):
            continue
        try:
            target = (folder / name).resolve()
        except (OSError, RuntimeError) as error:
            raise InvalidRequest(
                f"{folder / name} is a link that leads to itself.", "Copy the file into the folder."
            ) from error
        if not any(target.is_relative_to(root) for root in roots):
            raise InvalidRequest(
                f"{folder / name} is a link to a file outside the folder.",
                "Copy the file into the folder, or give the folder that really holds it.",
            )
