"""The strict base of every request: unknown fields, odd numbers and wrong types in a sentence."""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Collection, Mapping, Sequence
from functools import cache
from typing import Annotated, Any, TypeVar, cast, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_core import PydanticCustomError

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.base.units import scaled_int

Count = Annotated[int, Field(ge=1, le=1024)]


def _whole(value: object) -> object:
    """A number with a suffix, as vLLM's flags take it: 32k, 128K."""
    number = scaled_int(value) if isinstance(value, str) else None
    return value if number is None else number


# Lets a whole number come with a suffix; behind Field, which would else lose its bounds.
SCALED = BeforeValidator(_whole)
Tokens = Annotated[int, Field(ge=1, le=100_000_000), SCALED]


Gib = Annotated[float, Field(ge=0, le=1_000_000)]


def _json_text(value: object) -> object:
    return json.dumps(value) if isinstance(value, dict | list) else value


# JSON as vLLM's flags take it; models also send the object itself.
JsonText = Annotated[str, Field(max_length=10_000), BeforeValidator(_json_text)]


# A file's text; where it is JSON, models also send the object itself.
FileText = Annotated[str, Field(max_length=1_000_000), BeforeValidator(_json_text)]


# More than any question has: each that is wrong would be looked at.
_MOST_FIELDS = 200
_MOST_VALUES = 50_000
# So many are named; whoever mends them asks again.
_MOST_PROBLEMS = 10

RequestT = TypeVar("RequestT", bound="RequestModel")


# Names people and models give to a field, where spelling alone leads elsewhere.
_SPOKEN = {
    "tp": "tensor_parallel_size",
    "tp_size": "tensor_parallel_size",
    "pp": "pipeline_parallel_size",
    "dp": "data_parallel_size",
    "context": "max_model_len",
    "context_length": "max_model_len",
    "max_context": "max_model_len",
    "gpu_count": "gpus",
    "gpu_name": "gpu",
    "gpu_type": "gpu",
    "num_gpus": "gpus",
    "vram": "vram_gb",
    "batch_size": "concurrency",
    "users": "concurrency",
    "requests": "concurrency",
    "input_tokens": "prompt_tokens",
    "output_tokens": "gen_tokens",
    "max_tokens": "gen_tokens",
    "utilization": "gpu_memory_utilization",
    "model_id": "model",
    "version": "vllm_version",
}


class RequestModel(BaseModel, extra="forbid", allow_inf_nan=False, frozen=True):
    """A strict model: an unknown field, a non-finite number, true for 1 are errors."""

    @field_validator("*", mode="before")
    @classmethod
    def _truth_is_no_number(cls, value: object, info: ValidationInfo) -> object:
        if isinstance(value, bool) and info.field_name in _numbers(cls):
            raise PydanticCustomError("number_from_truth", "A truth value should be a number")
        return value


@cache
def _numbers(request_class: type[BaseModel]) -> frozenset[str]:
    """Fields that take numbers, and no truth value."""
    kinds = {name: _kinds(field.annotation) for name, field in request_class.model_fields.items()}
    return frozenset(
        name for name, found in kinds.items() if found & {int, float} and bool not in found
    )


def _kinds(annotation: Any) -> set[Any]:
    """The types that an annotation names, at any depth."""
    members = get_args(annotation)
    return set[Any]().union(*map(_kinds, members)) if members else {annotation}


def ordered_fields(request_class: type[RequestModel]) -> list[str]:
    """A request's fields, the essential first: as its bases are named, then its own.

    Pydantic's own order starts with the last base.
    """
    inherited = (
        name
        for base in request_class.__bases__
        if issubclass(base, RequestModel)
        for name in ordered_fields(base)
    )
    return list(dict.fromkeys((*inherited, *request_class.model_fields)))


def validate_request(request_class: type[RequestT], data: Mapping[str, Any]) -> RequestT:
    """`data` as a request, or InvalidRequest in a sentence a person can act on.

    Every faulty field is named with its value and the rule it breaks; an unknown
    field is answered with the nearest known one.
    """
    _refuse_crowds(data)
    try:
        return request_class.model_validate(dict(data))
    except ValidationError as error:
        found = error.errors(include_url=False)
        problems = [_problem(request_class, dict(item)) for item in found[:_MOST_PROBLEMS]]
        if len(found) > _MOST_PROBLEMS:
            problems.append(f"{len(found) - _MOST_PROBLEMS:,} more values are wrong.")
        raise InvalidRequest(" ".join(problems), "Correct the value and ask again.") from error


def _refuse_crowds(data: Mapping[str, Any]) -> None:
    """Refuse more than any question has, before each value is looked at."""
    if len(data) > _MOST_FIELDS:
        raise InvalidRequest(
            f"The question has {len(data):,} fields, more than {_MOST_FIELDS}.",
            "Give only those that it needs.",
        )
    waiting: list[object] = list(data.values())
    count = 0
    while waiting:
        value = waiting.pop()
        if isinstance(value, Mapping):
            members = list(cast(Mapping[str, object], value).values())
        elif isinstance(value, list | tuple):
            members = list(cast(Sequence[object], value))
        else:
            continue
        count += len(members)
        if count > _MOST_VALUES:
            raise InvalidRequest(
                f"The question has more than {_MOST_VALUES:,} values.", "Ask with fewer."
            )
        waiting += members


# Rules that only a number can break.
_OF_NUMBERS = frozenset(
    {"greater_than", "greater_than_equal", "less_than", "less_than_equal", "finite_number"}
)


def number_problem(
    request_class: type[RequestT], data: Mapping[str, Any]
) -> tuple[str, str] | None:
    """The first field of `data` whose number breaks a rule, and what it must be."""
    try:
        request_class.model_validate(dict(data))
    except ValidationError as error:
        for item in error.errors():
            if item["type"] in _OF_NUMBERS:
                return str(item["loc"][0]), str(item["msg"]).partition(" should ")[2]
    return None


# Where a field may belong that is none.
_FLAGS = "; what vllm serve takes goes into vllm_args as its flag"
# Pydantic's rules that speak of parsing, in plain words.
_RULES: Mapping[str, str] = {
    "int_parsing": "be a whole number",
    "int_parsing_size": "be a whole number of a plausible size",
    "int_from_float": "be a whole number",
    "float_parsing": "be a number",
    "bool_parsing": "be true or false",
    "tuple_type": "be a list of names",
    "string_unicode": "be text that the terminal's encoding can carry",
}


def _problem(request_class: type[RequestModel], item: Mapping[str, Any]) -> str:
    field = ".".join(str(part) for part in item["loc"] if not str(part).startswith("constrained"))
    if item["type"] == "extra_forbidden":
        near = _nearest_field(field, request_class.model_fields)
        if near is not None:
            return f"There is no field {field!r}; did you mean {near!r}?"
        flags = "vllm_args" in request_class.model_fields
        return f"There is no field {field!r}{_FLAGS if flags else ''}."
    if item["type"] == "missing":
        return f"The field {field!r} is required."
    if not field:
        sentence = str(item["msg"]).removeprefix("Value error, ")
        return f"{sentence[:1].upper()}{sentence[1:]}."
    shown = _shown(item.get("input"))
    # Pydantic's rules read "Input should be …" or "String should have …".
    rule = str(item["msg"]).removeprefix("Value error, ").partition(" should ")
    needed = _RULES.get(str(item["type"])) or rule[2] or f"be {rule[0]}"
    return f"{field} is {shown}, but must {needed}."


def _shown(given: object) -> str:
    """A value as it is told; a number the same where it came as text, as from a command line."""
    is_number = isinstance(given, str) and given.isascii() and _is_number(given)
    shown = str(given) if is_number else repr(given)
    return shown if len(shown) <= 60 else shown[:57] + "..."


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _nearest_field(name: str, fields: Collection[str]) -> str | None:
    spoken = _SPOKEN.get(name.lower().replace("-", "_"))
    if spoken is not None:
        return spoken if spoken in fields else None
    near = next(iter(difflib.get_close_matches(name, fields, n=1, cutoff=0.6)), None)
    if near is not None:
        return near
    meant = difflib.get_close_matches(name, _SPOKEN, n=1, cutoff=0.7)
    return _nearest_field(meant[0], fields) if meant else None
