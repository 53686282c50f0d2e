"""Answers as text: the facts of the structured answer, as short Markdown.

Some clients show a model only the text, others only the structure, so both hold the
same facts. The text is a view of the structure and nothing else.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, cast


def as_markdown(answer: Mapping[str, Any]) -> str:
    """`answer` (JSON values) as Markdown: a line for each section, then lists and tables."""
    return "\n".join(_lines(answer, level=2)).strip()


def as_html(answer: Mapping[str, Any]) -> str:
    """`answer` (JSON values) as an HTML fragment: nested tables, all text escaped."""
    rows = (
        f"<tr><th style='text-align:left;vertical-align:top'>{escape(key)}</th>"
        f"<td style='text-align:left'>{_cell(value)}</td></tr>"
        for key, value in answer.items()
        if value not in ([], {})
    )
    return f"<table>{''.join(rows)}</table>"


def _cell(value: object) -> str:
    if isinstance(value, Mapping):
        return as_html(cast(Mapping[str, Any], value))
    if not isinstance(value, list):
        return escape(scalar(value))
    items = cast(list[object], value)
    if all(isinstance(item, int | float) for item in items):
        return escape(_inline(items))
    return "".join(f"<div>{_cell(item)}</div>" for item in items)


def scalar(value: object) -> str:
    """A JSON scalar as people read it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) or (isinstance(value, float) and value.is_integer()):
        return f"{value:,.0f}"
    return str(value)


def _lines(members: Mapping[str, Any], level: int) -> list[str]:
    """Scalars and flat sections a line each; what has lists or texts in it under a heading.

    Below the sections of an answer a few words in a list are part of the line.
    """
    members = {key: value for key, value in members.items() if value not in ([], {})}
    nested = _holds_rows if level == 2 else _holds_texts
    lines: list[str] = []
    sections: list[str] = []
    for key, value in members.items():
        if nested(value):
            sections += ["", f"{'#' * level} {key}", *_section(value, level)]
        else:
            lines.append(f"{key}: {_member(key, value)}")
    return lines + sections


def _member(key: str, value: object) -> str:
    # vLLM's sentence, as predicted or as a log has it: somebody else's words.
    text = _inline(value, " | ")
    return f'"{text}"' if key == "message" else text


def _section(value: object, level: int) -> list[str]:
    if isinstance(value, str):
        return _fenced(value)
    if isinstance(value, Mapping):
        return _lines(cast(Mapping[str, Any], value), level + 1)
    items = cast(Sequence[object], value)
    if items and all(isinstance(item, Mapping) for item in items):
        return _table(cast(Sequence[Mapping[str, Any]], items))
    return [f"- {_inline(item)}" for item in items]


def _fenced(text: str) -> list[str]:
    """A file's text between fences longer than any run of backticks in it."""
    fence = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    return [fence, text.rstrip("\n"), fence]


def _table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = ["| " + " | ".join(columns) + " |", "|" + "---|" * len(columns)]
    for row in rows:
        cells = [_inline(row[key]).replace("|", "\\|") if key in row else "" for key in columns]
        lines.append("| " + " | ".join(cells) + " |")
    return lines


def _holds_texts(value: object) -> bool:
    """Whether a value needs more than a line: the text of a file, or rows of a table."""
    if isinstance(value, str):
        # What ends a line is the text of a file.
        return value.endswith("\n")
    if isinstance(value, Mapping):
        return any(map(_holds_texts, cast(Mapping[str, object], value).values()))
    if isinstance(value, list):
        return any(isinstance(item, Mapping) for item in cast(list[object], value))
    return False


def _holds_rows(value: object) -> bool:
    """The same at the top, where a list of sentences is a list, too."""
    if isinstance(value, list):
        return any(isinstance(item, Mapping | str) for item in cast(list[object], value))
    return _holds_texts(value)


def _inline(value: object, between: str = ", ") -> str:
    if isinstance(value, list):
        items = cast(list[object], value)
        joint = "; " if any(isinstance(item, str) for item in items) else " to "
        return joint.join(map(_inline, items)) or "none"
    if isinstance(value, Mapping):
        members = cast(Mapping[str, Any], value)
        return between.join(f"{key} {_inline(item)}" for key, item in members.items()) or "none"
    return scalar(value).replace("\n", " ")
