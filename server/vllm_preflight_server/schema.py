"""JSON schemas as every client takes them: flat, inlined, without null unions.

Copilot, Gemini and LM Studio refuse `$ref`; Gemini refuses `type` lists and null
unions; some clients refuse a root `anyOf`. Pydantic writes all of these.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from pydantic import BaseModel

Schema = dict[str, Any]

# Keys that repeat what the property's name or description already says.
_DROPPED = frozenset({"title", "$defs"})


def input_schema(model: type[BaseModel]) -> Schema:
    """The schema of a tool's arguments: flat, closed, optional rather than nullable."""
    schema = tidy(model.model_json_schema())
    # Pydantic puts the fields of the last base first; the first base has the essentials.
    order = [name for base in model.__bases__ for name in getattr(base, "model_fields", {})]
    names = dict.fromkeys(name for name in (*order, *model.model_fields))
    schema["properties"] = {name: schema["properties"][name] for name in names}
    return schema


def output_schema(model: type[BaseModel]) -> Schema:
    """The schema of a tool's structured answer.

    Only its sections are described: names carry their units, and definitions are sent
    to a model with every conversation.
    """
    schema = tidy(model.model_json_schema(mode="serialization"))
    sections = cast(Mapping[str, Schema], schema["properties"])
    schema["properties"] = {
        name: {
            **cast(Schema, _undescribed(section)),
            **{key: section[key] for key in ("description",) if key in section},
        }
        for name, section in sections.items()
    }
    return schema


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
        if key == "properties":
            properties = cast(Mapping[str, Any], value)
            result[key] = {name: _tidied(item, definitions) for name, item in properties.items()}
        else:
            result[key] = _tidied(cast(object, value), definitions)
    return result


def _undescribed(node: object) -> object:
    """A schema without descriptions; a property of that name stays."""
    if isinstance(node, list):
        return [_undescribed(item) for item in cast(list[object], node)]
    if not isinstance(node, Mapping):
        return node
    members = cast(Mapping[str, object], node)
    return {
        key: _undescribed(value)
        for key, value in members.items()
        if key != "description" or not isinstance(value, str)
    }


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
