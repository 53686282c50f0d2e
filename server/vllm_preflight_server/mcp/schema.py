"""JSON schemas as every client takes them: flat, inlined, without null unions.

Copilot, Gemini and LM Studio refuse `$ref`; Gemini refuses `type` lists and null
unions; some clients refuse a root `anyOf`. Pydantic writes all of these.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from vllm_preflight.contract.request import RequestModel, ordered_fields

Schema = dict[str, Any]

# Keys that repeat what the property's name says, or only cap the length of a text.
_DROPPED = frozenset({"title", "$defs", "minLength", "maxLength", "maxItems"})
# Bounds from here on only stop nonsense; the refusal names them.
_ONLY_SANE = 1_000


class _Schemas(GenerateJsonSchema):
    """Pydantic's own, without making a serialiser for each plain default."""

    def encode_default(self, dft: Any) -> Any:
        """A default as JSON."""
        if dft is None or isinstance(dft, str | int | float):
            return dft
        return super().encode_default(dft)


def input_schema(request: type[RequestModel], names: Iterable[str] | None = None) -> Schema:
    """The schema of a tool's arguments: flat, closed, optional rather than nullable.

    With `names` only those fields; a request still takes the others.
    """
    schema = tidy(request.model_json_schema(schema_generator=_Schemas))
    shown = ordered_fields(request) if names is None else names
    schema["properties"] = {name: schema["properties"][name] for name in shown}
    schema.pop("description", None)
    return schema


def output_schema(model: type[BaseModel]) -> Schema:
    """The schema of a tool's structured answer: the sections that every answer holds.

    Definitions are sent with every conversation, so scalars and what may be absent are left
    to the answer, and sections stay open; the names inside them carry their units.
    """
    schema = tidy(model.model_json_schema(mode="serialization", schema_generator=_Schemas))
    sections = cast(Mapping[str, Schema], schema["properties"])
    always = cast(list[str], schema.get("required", []))
    return {
        "type": "object",
        "properties": {
            name: _outline(sections[name])
            for name in always
            if sections[name]["type"] in ("object", "array")
        },
    }


def _outline(section: Schema) -> Schema:
    """What kind of value a section is, and its items; nothing below."""
    outline = {"type": section["type"]}
    if "items" in section:
        outline["items"] = _outline(cast(Schema, section["items"]))
    return outline


def tidy(schema: Mapping[str, Any]) -> Schema:
    """`schema` with references inlined, null alternatives and titles dropped."""
    definitions = cast(Mapping[str, Any], schema.get("$defs", {}))
    return cast(Schema, _tidied(schema, definitions))


def _tidied(node: object, definitions: Mapping[str, Any]) -> object:
    if isinstance(node, list):
        return [_tidied(item, definitions) for item in cast(list[object], node)]
    if not isinstance(node, Mapping):
        return node
    members = _without_null(dict(cast(Mapping[str, Any], node)))
    if "$ref" in members:
        target = definitions[str(members.pop("$ref")).rpartition("/")[2]]
        members = {**target, **members}
    result: Schema = {}
    for key, value in members.items():
        if key in _DROPPED or (key == "default" and value in (None, "", [])):
            continue
        if key == "maximum" and cast(float, value) >= _ONLY_SANE:
            continue
        if key == "properties":
            properties = cast(Mapping[str, Any], value)
            result[key] = {name: _tidied(item, definitions) for name, item in properties.items()}
        else:
            result[key] = _tidied(cast(object, value), definitions)
    return result


def _without_null(members: Schema) -> Schema:
    """A union with null as its other alternative; a remaining union stays."""
    alternatives = members.get("anyOf")
    if not isinstance(alternatives, list):
        return members
    kept = [item for item in cast(list[Any], alternatives) if item != {"type": "null"}]
    rest = {key: value for key, value in members.items() if key != "anyOf"}
    if len(kept) == 1:
        return {**kept[0], **rest}
    return {**rest, "anyOf": kept}
