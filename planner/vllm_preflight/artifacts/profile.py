"""Profiles: a plan's question in a YAML file, so that it can be asked again exactly.

Version 2, the current one, is {vllm_preflight_profile: 2, request: {…}, hardware: {…}}, with
`hardware` only where the GPUs were found rather than named. Version 1 is a bare mapping of
plan_deployment's arguments, as tools are called with; it is migrated when read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from pydantic import TypeAdapter, ValidationError

from vllm_preflight.artifacts.documents import yaml_text
from vllm_preflight.artifacts.request import GenerateRequest
from vllm_preflight.base.documents import parse_yaml
from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.contract.plan import PlanRequest
from vllm_preflight.contract.request import validate_request
from vllm_preflight.hardware.select import Hardware
from vllm_preflight.models.config_files import parse_json_object

PROFILE_VERSION = 2
_VERSION_KEY = "vllm_preflight_profile"
_LONGEST = 1_000_000
_HINT = "The kind of file called profile is one."

_HARDWARE = TypeAdapter(Hardware)


@dataclass(frozen=True)
class Profile:
    """A plan's request, and the hardware it was answered for where it was detected."""

    request: PlanRequest
    hardware: Hardware | None = None


def write_profile(profile: Profile, head: str) -> str:
    """The profile as YAML with `head` as a comment; reading it gives an equal profile."""
    request = profile.request
    document: dict[str, Any] = {
        _VERSION_KEY: PROFILE_VERSION,
        "request": request.model_dump(mode="json", include=set(request.model_fields_set)),
    }
    if profile.hardware is not None:
        document["hardware"] = _HARDWARE.dump_python(
            profile.hardware, mode="json", exclude_none=True
        )
    return yaml_text(head, document)


def read_profile(text: str) -> Profile:
    """The profile in `text`, YAML or JSON, of this or an older version.

    Raises:
        InvalidRequest: no profile, of a newer version, or with values that cannot be.
    """
    document = _document(text)
    if _VERSION_KEY not in document:
        document = {_VERSION_KEY: 1, "request": document}
    version = document[_VERSION_KEY]
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise InvalidRequest(f"{_VERSION_KEY} is {version!r}, which is no version.", _HINT)
    if version > PROFILE_VERSION:
        raise InvalidRequest(
            f"The profile is of version {version}; this release reads up to {PROFILE_VERSION}.",
            "Update vllm-preflight.",
        )
    while version < PROFILE_VERSION:
        document = _MIGRATIONS[version](document)
        version = document[_VERSION_KEY]
    unknown = document.keys() - {_VERSION_KEY, "request", "hardware"}
    if unknown:
        raise InvalidRequest(f"A profile has no {', '.join(sorted(unknown))}.", _HINT)
    request = validate_request(PlanRequest, _mapping(document.get("request"), "request"))
    hardware = document.get("hardware")
    if hardware is None:
        return Profile(request)
    return Profile(request, _read_hardware(_mapping(hardware, "hardware")))


def plan_of(request: GenerateRequest) -> Profile:
    """The plan that is meant: the profile's, with arguments and then fields over it.

    Raises:
        InvalidRequest: a value that cannot be, or no model.
    """
    saved = None if request.profile is None else read_profile(request.profile)
    given = request.model_fields_set - {"profile", "arguments", "kinds"}
    fields = request.model_dump(include=set(given), exclude_none=True)
    if request.arguments is not None:
        written = parse_json_object(
            request.arguments.encode(),
            "arguments",
            "Write a JSON object of a plan's fields.",
        )
        fields = {**written, **fields}
    return changed_plan(saved, fields)


def changed_plan(saved: Profile | None, fields: Mapping[str, Any]) -> Profile:
    """`saved` with `fields` over it; hardware of its own is only kept under its own request."""
    if saved is None:
        if "model" not in fields:
            raise InvalidRequest("No model is named.", "Give model, or a profile.")
        return Profile(validate_request(PlanRequest, fields))
    if not fields:
        return saved
    old = saved.request.model_dump(include=set(saved.request.model_fields_set))
    changed = Profile(validate_request(PlanRequest, {**old, **fields}), saved.hardware)
    kept = fields.keys().isdisjoint({"gpu", "gpus", "vram_gb", "nodes", "interconnect"})
    return changed if kept else Profile(changed.request)


def _add_hardware(document: Mapping[str, Any]) -> dict[str, Any]:
    """Version 1 had nothing beside the request."""
    return {**document, _VERSION_KEY: 2}


_MIGRATIONS: Mapping[int, Callable[[Mapping[str, Any]], dict[str, Any]]] = {1: _add_hardware}


def _document(text: str) -> dict[str, Any]:
    if len(text) > _LONGEST:
        raise InvalidRequest(f"The profile has more than {_LONGEST:,} characters.", _HINT)
    try:
        document = parse_yaml(text)
    except ValueError as error:
        raise InvalidRequest(f"The profile {error}.", _HINT) from error
    return _mapping(document, "The profile")


def _mapping(value: object, what: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidRequest(f"{what} is no mapping of names to values.", _HINT)
    return {str(key): item for key, item in cast(dict[object, Any], value).items()}


def _read_hardware(values: Mapping[str, Any]) -> Hardware:
    try:
        return _HARDWARE.validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InvalidRequest(
            f"The profile's hardware.{where} cannot be: {first['msg']}.", _HINT
        ) from error
