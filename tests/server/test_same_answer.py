"""The same question by command line, library, MCP over stdio and HTTP, and /api: one answer.

What may differ, as documented: the library raises what the others say, MCP tells a refusal's
sentence without its code, and find_models shortens its answer in a conversation.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import partial
from io import StringIO
from pathlib import Path
from typing import Any, cast

import anyio
import pytest
from mcp import Client, StdioServerParameters
from tests.server.asked import ANSWERED, REFUSED, Question
from tests.server.conftest import text_of
from tests.server.web.test_http import Server, served

import vllm_preflight as vp
from vllm_preflight_server.cli.main import main

ASKED = {**ANSWERED, **REFUSED}
TOOLS = {
    "plan": "plan_deployment",
    "check": "predict_startup",
    "compare": "compare_hardware",
    "find": "find_models",
    "explain": "explain_startup_log",
    "inspect": "inspect_model",
    "generate": "generate_artifacts",
    "overhead": "compute_overhead",
}
FULL = {"plan", "check", "compare", "explain", "inspect"}
# What find_models says in a conversation in place of all its rows.
OWN_OF_FIND = {"largest", "has_more"}
EXPLAINED = {"plan", "check", "explain", "inspect"}
LIBRARY: Mapping[str, Callable[..., Any]] = {
    "plan": partial(vp.plan, explain=True),
    "check": vp.check,
    "compare": vp.compare,
    "find": vp.find_models,
    "explain": vp.explain,
    "inspect": vp.inspect,
    "generate": vp.generate,
    "overhead": vp.overhead,
}


@dataclass(frozen=True)
class Told:
    """An answer, or a refusal with its code where the surface has one."""

    answer: Mapping[str, Any] | None = None
    sentence: str = ""
    code: str | None = None


def by_library(question: Question) -> Told:
    name, fields = question
    try:
        answer = LIBRARY[name](**fields)
    except vp.PreflightError as error:
        return Told(sentence=str(error), code=error.code)
    return Told(json.loads(json.dumps(answer.to_json_dict())))


def by_command_line(question: Question, folder: Path) -> Told:
    name, fields = question
    shown = StringIO()
    with redirect_stdout(shown), redirect_stderr(StringIO()):
        main(words_of(name, fields, folder))
    answer = json.loads(shown.getvalue())
    if answer.keys() == {"error"}:
        problem = answer["error"]
        sentence = f"{problem['message']} {problem['hint']}".strip()
        return Told(sentence=sentence, code=problem["code"])
    return Told(answer)


def words_of(name: str, fields: Mapping[str, Any], folder: Path) -> list[str]:
    """The question as it is typed: the model first, a log as a file, a line after its dashes."""
    words, end = [name, "--json"], list[str]()
    if name in EXPLAINED:
        words.append("--explain")
    if name == "generate":
        words += ["-o", str(folder / "files")]
    for field, value in fields.items():
        flag = f"--{field.replace('_', '-')}"
        if field == "model" and name not in ("explain", "overhead"):
            words.append(value)
        elif field == "log":
            (folder / "log").write_text(value, encoding="utf-8")
            words.append(str(folder / "log"))
        elif field == "command":
            end = ["--", value]
        elif field == "kinds":
            words += ["--only", ",".join(value)]
        elif isinstance(value, bool):
            words.append(flag if value else flag.replace("--", "--no-", 1))
        else:
            words += [flag, value if isinstance(value, str) else json.dumps(value)]
    return [*words, *end]


def by_mcp(target: str | StdioServerParameters) -> dict[str, Told]:
    """Every question by a client of its own, in one session."""

    async def session() -> dict[str, Told]:
        told: dict[str, Told] = {}
        async with Client(target) as client:
            for case, (name, fields) in ASKED.items():
                asked = {**fields, "detail": "full"} if name in FULL else fields
                result = await client.call_tool(TOOLS[name], asked)
                if result.is_error:
                    told[case] = Told(sentence=text_of(result))
                else:
                    told[case] = Told(result.structured_content)
        return told

    return anyio.run(session)


def by_api(server: Server, question: Question) -> Told:
    name, fields = question
    path = f"/api/{'find-models' if name == 'find' else name}"
    answered = server.ask(path=path, body=json.dumps(fields).encode())
    body = json.loads(answered.body)
    if answered.status == 200:
        return Told(body)
    return Told(sentence=body["detail"], code=body["code"])


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with served() as running:
        yield running


@pytest.fixture(scope="module")
def stdio() -> dict[str, Told]:
    serve = ["-m", "vllm_preflight_server.cli", "serve"]
    offline = {**os.environ, "HF_HUB_OFFLINE": "1"}
    return by_mcp(StdioServerParameters(command=sys.executable, args=serve, env=offline))


@pytest.fixture(scope="module")
def http(server: Server) -> dict[str, Told]:
    return by_mcp(server.url)


@pytest.mark.parametrize("case", ANSWERED)
def test_an_answer(
    case: str, stdio: dict[str, Told], http: dict[str, Told], server: Server, tmp_path: Path
) -> None:
    question = ASKED[case]
    library = by_library(question)
    assert library.answer is not None, library.sentence
    assert by_command_line(question, tmp_path) == library
    assert by_api(server, question) == library
    if question[0] != "find":
        assert stdio[case] == library
        assert http[case] == library
        return
    assert stdio[case] == http[case]
    short = stdio[case].answer
    assert short is not None and short.keys() - library.answer.keys() == OWN_OF_FIND
    assert is_part({name: short[name] for name in short.keys() - OWN_OF_FIND}, library.answer)


@pytest.mark.parametrize("case", REFUSED)
def test_a_refusal(
    case: str, stdio: dict[str, Told], http: dict[str, Told], server: Server, tmp_path: Path
) -> None:
    question = ASKED[case]
    library = by_library(question)
    assert library.answer is None and library.sentence and library.code
    assert by_command_line(question, tmp_path) == library
    assert by_api(server, question) == library
    assert stdio[case] == http[case] == Told(sentence=library.sentence)


def is_part(short: object, whole: object) -> bool:
    """Whether everything that is said is what the whole answer says."""
    if isinstance(short, dict) and isinstance(whole, dict):
        said, there = cast(dict[str, object], short), cast(dict[str, object], whole)
        return all(name in there and is_part(said[name], there[name]) for name in said)
    if isinstance(short, list) and isinstance(whole, list):
        items, rows = cast(list[object], short), cast(list[object], whole)
        return len(items) <= len(rows) and all(map(is_part, items, rows))
    return short == whole
