"""Reading a model's JSON files with bounds, and merging what belongs to its config.

Sizes in a file or a server's answer are never trusted: a file is read up to its cap
and refused above it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.base.units import BYTES_TO_MIB
from vllm_preflight.models.architecture import Architecture

CONFIG_NAME = "config.json"
MODELOPT_NAME = "hf_quant_config.json"
# What sentence-transformers writes beside a checkpoint made to embed.
MODULES_NAME = "modules.json"
# Where it writes how long a text may be; vLLM takes the first that is there.
SENTENCE_NAMES = tuple(
    f"sentence_{kind}_config.json"
    for kind in ("bert", "roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet")
)
# The largest published config.json we know, with one entry per expert, has 2.4 MB.
CONFIG_CAP = 16 * BYTES_TO_MIB
MODULES_CAP = BYTES_TO_MIB
_REPAIR = "Download the file again, or repair it."
_JSON_KINDS: Mapping[type, str] = {
    list: "a list",
    str: "a text",
    bool: "true or false",
    type(None): "null",
}
# The first release that knows a pooling module by its name (transformers_utils/config.py).
_POOLING_SINCE: Mapping[str, tuple[int, int, int]] = {
    "sentence_transformers.models.Pooling": (0, 0, 0),
    "sentence_transformers.sentence_transformer.modules.pooling.Pooling": (0, 30, 0),
}


def read_config(folder: Path) -> dict[str, Any]:
    """The folder's config.json, with hf_quant_config.json merged into it when present.

    Raises:
        InvalidRequest: a file is unreadable, too large, or not a JSON object.
    """
    config = read_json_object(folder / CONFIG_NAME, CONFIG_CAP)
    modelopt_path = folder / MODELOPT_NAME
    if modelopt_path.is_file():
        config = with_modelopt(config, read_json_object(modelopt_path, CONFIG_CAP))
    return config


def with_modelopt(config: Mapping[str, Any], modelopt: Mapping[str, Any]) -> dict[str, Any]:
    """The config with ModelOpt's hf_quant_config.json as its `quantization_config`.

    ModelOpt writes `{"producer": ..., "quantization": {...}}` beside a config that does
    not name it; a config that has a `quantization_config` of its own keeps it.
    """
    quantization = modelopt.get("quantization")
    if config.get("quantization_config") is not None or not isinstance(quantization, Mapping):
        return dict(config)
    scheme = {"quant_method": "modelopt", **cast(Mapping[str, Any], quantization)}
    return {**config, "quantization_config": scheme}


def read_json_object(path: Path, cap: int) -> dict[str, Any]:
    """The JSON object in `path`, read up to `cap` bytes.

    Raises:
        InvalidRequest: the file is unreadable, larger than `cap`, not JSON, or JSON but
            not an object.
    """
    return parse_json_object(read_bounded(path, cap), str(path))


def read_bounded(path: Path, cap: int) -> bytes:
    """All bytes of a regular file of at most `cap` bytes; raises InvalidRequest."""
    if not path.is_file():
        raise InvalidRequest(f"{path} is not a file.", "Check the path.")
    try:
        with path.open("rb") as stream:
            data = stream.read(cap + 1)
    except OSError as error:
        raise InvalidRequest(
            f"{path} cannot be read: {error.strerror or error}.", "Check the file's permissions."
        ) from error
    if len(data) > cap:
        raise InvalidRequest(
            f"{path} is larger than {cap / BYTES_TO_MIB:.3g} MiB, more than any file of its kind.",
            "Check that it is the file you mean.",
        )
    return data


def parse_json_object(data: bytes, name: str, hint: str = _REPAIR) -> dict[str, Any]:
    """`data` as a JSON object; `name` is what the error calls it. Raises InvalidRequest."""
    value = _parsed(data, name, hint)
    if not isinstance(value, dict):
        kind = _JSON_KINDS.get(type(value), "a number")
        raise InvalidRequest(f"{name} holds {kind} where a JSON object is needed.", hint)
    return cast(dict[str, Any], value)


def pooling_since(modules: bytes, name: str) -> tuple[int, int, int] | None:
    """The first release that embeds, whatever the class, by a modules.json; None for none.

    Source: vLLM 0.33 transformers_utils/config.py (get_pooling_config). Raises
    InvalidRequest when it is not JSON.
    """
    value = _parsed(modules, name, _REPAIR)
    entries = cast(list[object], value) if isinstance(value, list) else []
    kinds = (str(as_object(entry).get("type")) for entry in entries)
    return min((_POOLING_SINCE[kind] for kind in kinds if kind in _POOLING_SINCE), default=None)


def with_sentence_length(
    architecture: Architecture, sentence: Mapping[str, Any]
) -> tuple[Architecture, tuple[str, ...]]:
    """The architecture with the length of a sentence-transformers file, and a note of it.

    vLLM takes its `max_seq_length` instead of what the config says, longer or shorter
    (0.33 config/model.py:_get_and_verify_max_len).
    """
    length = sentence.get("max_seq_length")
    if type(length) is not int or length <= 0:
        return architecture, ()
    note = f"The repository's sentence-transformers file sets texts of at most {length:,} tokens."
    limited = replace(
        architecture, max_position=length, unasked_length=None, max_position_known=True
    )
    return limited, (note,)


def _parsed(data: bytes, name: str, hint: str) -> object:
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        # Bad UTF-8 and numbers of thousands of digits are ValueErrors too.
        reason = str(error).partition(". ")[0] or type(error).__name__
        raise InvalidRequest(f"{name} is not valid JSON: {reason}.", hint) from error


def as_object(value: object) -> Mapping[str, Any]:
    """A member of a JSON object as an object itself, empty when it is anything else."""
    return cast(Mapping[str, Any], value) if isinstance(value, Mapping) else {}
