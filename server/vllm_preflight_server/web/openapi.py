"""The description of the JSON API, made from the models that check and answer requests."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, cast

from pydantic.json_schema import models_json_schema

from vllm_preflight import __version__
from vllm_preflight_server.mcp.question import ToolSpec

Document = dict[str, Any]

PROBLEM: Mapping[str, Any] = {
    "type": "object",
    "description": "RFC 9457: what is wrong, which value, what to do.",
    "properties": {
        "type": {"type": "string", "description": "about:blank; code says which."},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string", "description": "A sentence for people."},
        "code": {"type": "string", "description": "Stable, such as unknown_model."},
    },
    "required": ["type", "title", "status", "detail", "code"],
}
_PROBLEMS: Mapping[str, str] = {
    "400": "A value that cannot be used, or a body that is no JSON object.",
    "401": "The server wants a token.",
    "403": "An origin that is not served.",
    "404": "No such model or GPU.",
    "409": "Files were asked for of a plan that does not start.",
    "413": "More than the server reads.",
    "415": "The body is not application/json.",
    "421": "A host that is not served.",
    "422": "The model's architecture is not understood.",
    "502": "The Hugging Face Hub refused or did not answer.",
    "503": "The server is busy; ask again.",
    "504": "The answer took longer than it may.",
}
_REFERENCE = "#/components/schemas/{model}"


def openapi(
    questions: Mapping[str, ToolSpec[Any]],
    catalogues: Mapping[str, str],
    archives: Mapping[str, str],
) -> Document:
    """The OpenAPI 3.1 document of `questions` (name in the path → tool) and catalogues.

    `archives` are names in the path, each with the question whose files it answers with.
    """
    used = [(spec.request, "validation") for spec in questions.values()]
    used += [(spec.report, "serialization") for spec in questions.values()]
    names, definitions = models_json_schema(
        cast(Sequence[Any], dict.fromkeys(used)), ref_template=_REFERENCE
    )
    schemas = {**definitions.get("$defs", {}), "Problem": dict(PROBLEM)}
    paths: Document = {}
    for name, spec in questions.items():
        asked = names[(spec.request, "validation")]
        told = names[(spec.report, "serialization")]
        paths[f"/api/{name}"] = {"post": _question(name, spec, asked, _told(told))}
    for name, question in archives.items():
        spec = questions[question]
        asked = names[(spec.request, "validation")]
        paths[f"/api/{name}"] = {"post": _question(name, spec, asked, _FILES)}
    for name, summary in catalogues.items():
        paths[f"/api/{name}"] = {"get": _catalogue(name, summary)}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "vllm-preflight",
            "version": __version__,
            "summary": "Will this model start on these GPUs under vLLM, and with what?",
        },
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        # A server on loopback needs none.
        "security": [{}, {"token": []}],
    }


_FILES: Document = {
    "description": "The files as one archive; of all kinds, unless kinds says which.",
    "content": {"application/zip": {}},
}


def _told(schema: Any) -> Document:
    return {
        "description": "The answer; optional fields are left out, never null.",
        "content": {"application/json": {"schema": schema}},
    }


def _question(name: str, spec: ToolSpec[Any], asked: Any, told: Document) -> Document:
    return {
        "operationId": name.replace("-", "_").replace(".", "_"),
        "summary": spec.title,
        "description": spec.description,
        "requestBody": {"required": True, "content": {"application/json": {"schema": asked}}},
        "responses": {
            "200": told,
            **_problems(tuple(_PROBLEMS)),
        },
    }


def _catalogue(name: str, summary: str) -> Document:
    return {
        "operationId": name,
        "summary": summary,
        "responses": {
            "200": {
                "description": "The catalogue; with an ETag.",
                "content": {"application/json": {"schema": {"type": "object"}}},
            },
            "304": {"description": "It has not changed."},
            **_problems(("401", "403", "421", "503")),
        },
    }


def _problems(statuses: Sequence[str]) -> Document:
    schema = {"$ref": _REFERENCE.format(model="Problem")}
    content = {"application/problem+json": {"schema": schema}}
    return {s: {"description": _PROBLEMS[s], "content": content} for s in statuses}


@functools.lru_cache(maxsize=1)
def readable(title: str, rows: tuple[tuple[str, str, str], ...]) -> str:
    """A page that lists the API: method and path, summary, description; without scripts."""
    items = "".join(
        f"<h2><code>{escape(path)}</code></h2><p><b>{escape(summary)}</b></p>"
        f"<p>{escape(description)}</p>"
        for path, summary, description in rows
    )
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width">'
        "<style>body{font:16px/1.5 system-ui;max-width:48rem;margin:2rem auto;padding:0 1rem}"
        ":root{color-scheme:light dark}h2{font-size:1.1rem;margin-top:2rem}</style>"
        f"<h1>{escape(title)}</h1><p>Ask with POST and a JSON object; the whole description is "
        '<a href="openapi.json">openapi.json</a>.</p>'
        f"<main>{items}</main></html>"
    )
