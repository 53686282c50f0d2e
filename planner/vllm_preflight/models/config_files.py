"""Reading a model's JSON files with bounds, and merging what belongs to its config.

Sizes in a file or a server's answer are never trusted: a file is read up to its cap
and refused above it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.base.units import BYTES_TO_MIB
from vllm_preflight.models.architecture import Architecture
from vllm_preflight.models.mistral_params import PARAMS_NAME, config_of_params

CONFIG_NAME = "config.json"
MODELOPT_NAME = "hf_quant_config.json"
# What AutoAWQ and AutoGPTQ wrote beside a config that does not name them; vLLM takes the
# first that is there. Source: vLLM layers/quantization (get_config_filenames).
PACKED_NAMES: Mapping[str, str] = {"quant_config.json": "awq", "quantize_config.json": "gptq"}
# Where a quantisation that stands only in such a file says so.
PACKED_FILE = "stated_in"
TOKENIZER_NAME = "tokenizer_config.json"
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
# What is parsed takes up to forty times the memory of its text.
_MOST_PARTS = 400_000
_MOST_VALUES = 2_000_000
# Those of 2**63, and a sign.
_MOST_DIGITS = 20
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


def config_name(names: Collection[str]) -> str | None:
    """Which of a repository's files is its config; None where it has none."""
    return next((name for name in (CONFIG_NAME, PARAMS_NAME) if name in names), None)


def read_config(folder: Path) -> dict[str, Any]:
    """The folder's config.json, with hf_quant_config.json merged into it when present.

    A folder in Mistral's own format has a params.json instead.

    Raises:
        InvalidRequest: a file is unreadable, too large, or not a JSON object.
    """
    if not (folder / CONFIG_NAME).is_file() and (folder / PARAMS_NAME).is_file():
        return config_of_params(read_json_object(folder / PARAMS_NAME, CONFIG_CAP))
    config = read_json_object(folder / CONFIG_NAME, CONFIG_CAP)
    modelopt_path = folder / MODELOPT_NAME
    if modelopt_path.is_file():
        config = with_modelopt(config, read_json_object(modelopt_path, CONFIG_CAP))
    packed = next((name for name in PACKED_NAMES if (folder / name).is_file()), None)
    if packed is not None:
        config = with_packed(config, packed, read_json_object(folder / packed, CONFIG_CAP))
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


def with_packed(config: Mapping[str, Any], name: str, stated: Mapping[str, Any]) -> dict[str, Any]:
    """The config with the content of one of PACKED_NAMES as its `quantization_config`.

    Marked with the file's name, for vLLM reads it only where its method is asked for.
    """
    if any(config.get(key) for key in ("quantization_config", "compression_config")):
        return dict(config)
    method = str(stated.get("quant_method") or PACKED_NAMES[name])
    scheme = {**stated, "quant_method": method, PACKED_FILE: name}
    # AutoAWQ's own names of what transformers calls otherwise.
    for own, usual in (("w_bit", "bits"), ("q_group_size", "group_size")):
        if own in stated:
            scheme.setdefault(usual, stated[own])
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
        architecture,
        max_position=length,
        unasked_length=None,
        max_position_known=True,
        tokenizer_length=None,
    )
    return limited, (note,)


def asks_tokenizer(config: Mapping[str, Any], architecture: Architecture) -> bool:
    """Whether vLLM may take a length from the tokenizer's file: models that only embed do."""
    return architecture.task == "embed" or "position_embedding_type" in config


def with_tokenizer_length(architecture: Architecture, stated: Mapping[str, Any]) -> Architecture:
    """The architecture with the `model_max_length` of a tokenizer_config.json.

    `launch/lengths.py` says where vLLM minds it.
    """
    length = stated.get("model_max_length")
    if isinstance(length, bool) or not isinstance(length, int | float) or length < 1:
        return architecture
    return replace(architecture, tokenizer_length=int(length))


def _parsed(data: bytes, name: str, hint: str) -> object:
    try:
        # As transformers and vLLM open it: UTF-8, without a byte order mark.
        text = data.decode("utf-8")
        if max(data.count(b"["), data.count(b"{")) > _MOST_PARTS or data.count(b",") > _MOST_VALUES:
            raise ValueError(f"it has more than {_MOST_PARTS:,} lists or {_MOST_VALUES:,} values")
        return json.loads(text, parse_int=whole_number)
    except (ValueError, RecursionError) as error:
        # Bad UTF-8 and numbers of thousands of digits are ValueErrors too.
        reason = str(error).partition(". ")[0] or type(error).__name__
        raise InvalidRequest(f"{name} is not valid JSON: {reason}.", hint) from error


def whole_number(digits: str) -> int:
    """A whole number of JSON; raises ValueError for one that no count or size can be."""
    if len(digits) > _MOST_DIGITS:
        raise ValueError(f"it has a whole number of {len(digits):,} digits")
    return int(digits)


def as_object(value: object) -> Mapping[str, Any]:
    """A member of a JSON object as an object itself, empty when it is anything else."""
    return cast(Mapping[str, Any], value) if isinstance(value, Mapping) else {}
