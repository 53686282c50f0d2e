"""Text as people paste it, made into what a shell would read.

Prompts and JSON lists of words (Dockerfiles, manifests) are taken for what they show; long
dashes and curly quotes of word processors are only named, for vLLM would not take them.
"""

from __future__ import annotations

import ast
import json
import re
import shlex
from collections.abc import Iterator
from typing import Any, cast

from vllm_preflight.launch.words.recipes import as_shell

# user@host:~$, (venv) $, PS C:\>, and a bare $, % or > with a blank after it.
_PROMPT = re.compile(
    r"^[ \t]*(?:\([\w.-]+\)[ \t]*)?"
    r"(?:[\w.-]+@[\w.-]+:?[^\s$#%>]*|PS [A-Za-z]:[^\n>]*|[A-Za-z]:\\[^\n>]*)?[$%>#][ \t]+",
    re.MULTILINE,
)
_PLAIN_PROMPT = re.compile(_PROMPT.pattern.replace("[$%>#]", "[$%>]"), re.MULTILINE)
# Markdown's fences, and what notebooks write before a shell's words.
_FENCED = re.compile(
    r"^[ \t]*(?:```|~~~)[^\n]*\n(.*?)^[ \t]*(?:```|~~~)[ \t]*$", re.MULTILINE | re.DOTALL
)
_MARKUP = re.compile(
    r"^[ \t]*(?:(?:```|~~~)[\w+-]*[ \t]*\n|%%(?:bash|sh|shell|script)\b[^\n]*\n|!(?=\w))",
    re.MULTILINE,
)
_INLINE_CODE = re.compile(r"`([^`\n]*\bvllm\b[^`\n]*)`")
# Python that starts a program: its list of words, or its one text.
_PYTHON = re.compile(r"\b(?:subprocess|os)\.\w+\(|\bPopen\(")
_PYTHON_LIST = re.compile(r"\[[^\[\]]*[\"']vllm[\"'][^\[\]]*\]")
_PYTHON_TEXT = re.compile(r"\"[^\"\n]*\bvllm\b[^\"\n]*\"|'[^'\n]*\bvllm\b[^'\n]*'")
_LISTED = re.compile(
    r"^[ \t]*(?:CMD|ENTRYPOINT|\"?(?:command|args|cmd)\"?[ \t]*[:=])?[ \t]*(\[.*\])[ \t,]*$",
    re.DOTALL,
)
_BARE_ARGUMENTS = re.compile(r"^\s*(?:serve\s|--?[A-Za-z])")
CURLY_QUOTES = "“”„‘’‚«»"


def readings(text: str) -> Iterator[str]:
    """The text and other ways to read it, the most literal first.

    Each is shell text: what a Dockerfile or a unit file starts, prompts taken off, a list of
    words joined, the arguments alone with `vllm serve` before them, commented commands, those
    in Markdown's fences and back-ticks, in notebooks and in Python's calls.
    """
    recipe = as_shell(text)
    if recipe is not None:
        yield recipe
        if _BARE_ARGUMENTS.match(recipe):
            yield _completed(recipe)
        return
    listed = _listed(text)
    if listed is not None:
        yield listed
        yield _completed(listed)
        return
    blocks = [block for block in _FENCED.findall(text) if "vllm" in block]
    if blocks:
        yield from _shell_readings("\n".join(blocks))
    yield from _shell_readings(_MARKUP.sub("", text))
    yield from _quoted(text)


def _shell_readings(text: str) -> Iterator[str]:
    yield _PLAIN_PROMPT.sub("", text)
    if _BARE_ARGUMENTS.match(text):
        yield _completed(text)
    yield _PROMPT.sub("", text)


def _quoted(text: str) -> Iterator[str]:
    """Commands that prose or Python quotes."""
    if _PYTHON.search(text):
        for written in (*_PYTHON_LIST.findall(text), *_PYTHON_TEXT.findall(text)):
            try:
                value: object = ast.literal_eval(written)
            except (ValueError, SyntaxError, RecursionError, MemoryError):
                continue
            yield value if isinstance(value, str) else shlex.join(map(str, cast(list[Any], value)))
    yield from _INLINE_CODE.findall(text)


def _completed(text: str) -> str:
    """Arguments alone, behind the command they belong to."""
    return "vllm serve " + text.strip().removeprefix("serve ")


def _listed(text: str) -> str | None:
    """The words of a JSON list, as a Dockerfile or a manifest writes a command."""
    match = _LISTED.match(text)
    if match is None:
        return None
    try:
        items: object = json.loads(match[1])
    except (ValueError, RecursionError):
        return None
    if not isinstance(items, list) or not items:
        return None
    words = cast(list[object], items)
    if not all(isinstance(word, str | int | float) for word in words):
        return None
    return shlex.join(str(word) for word in words)
