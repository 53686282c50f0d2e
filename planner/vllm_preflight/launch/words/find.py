"""Where in a piece of shell text a vLLM server is started, and with which words.

The text is data: it is split as a POSIX shell would split it, but nothing in it is
run, expanded from the real environment, or opened.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.launch.words.branches import Branches
from vllm_preflight.launch.words.containers import CONTAINER_TOOLS, read_container
from vllm_preflight.launch.words.expand import Expanded, Variables, assignment, expand, set_variable
from vllm_preflight.launch.words.prepare import CURLY_QUOTES, readings
from vllm_preflight.launch.words.split import SimpleCommand, split_commands
from vllm_preflight.launch.words.wrappers import MODULES, engine_words

_MOST_WORDS = 2_000
# How often a command may hold another in `bash -c`, a container or a here-document.
_DEEPEST_NESTING = 3
_RUN_TEXT = re.compile(r"-[a-z]*c")
_SERVER_MODULES = frozenset(
    {
        "vllm.entrypoints.openai.api_server",
        "vllm.entrypoints.api_server",
        "vllm.entrypoints.cli.main",
        *MODULES,
    }
)
SHELLS = frozenset({"bash", "sh", "zsh", "dash", "ksh"})
# Programs that run a text they are given as one word, and those that run all their words.
_RUNNERS = frozenset(
    {"ssh", "tmux", "screen", "sbatch", "srun", "su", "watch", "script", "runuser", "wsl"}
)
_JOINED = frozenset({"eval", "ssh"})
_TEXT_OPTION = re.compile(r"--(?:wrap|command)=(.*)", re.DOTALL)
# What only shows or stores its words.
_QUOTING = frozenset({"echo", "printf", "cat", "grep", "git", "#"})
# After these, NAME=value sets a variable for what follows.
_SETTING = frozenset({"env", "sudo", "-E", "exec", "nohup"})
_OTHER_COMMANDS = re.compile(
    r"vllm\s+(?:bench\s+\w+|run-batch|launch\s+\w+|chat|complete)|trl\s+vllm-serve|\bLLM\("
)

Entry = Literal["serve", "module", "image"]


@dataclass(frozen=True, slots=True)
class ServerCommand:
    """The words after `vllm serve`, the variables set for it and the image it runs in.

    `entry` is how it is started: `vllm serve`, the older server module, or an image's own
    entry point. `assigned` are the variables written right before the command, `left_out`
    those set where only the running machine knows whether.
    """

    words: tuple[Expanded, ...]
    environment: Mapping[str, str] = field(default_factory=dict[str, str])
    assigned: tuple[str, ...] = ()
    entry: Entry = "serve"
    image: str | None = None
    left_out: tuple[str, ...] = ()


def find_server_command(text: str) -> ServerCommand:
    """The first vLLM server that the shell text starts.

    Understands `vllm serve`, `python -m vllm.entrypoints.openai.api_server`, both inside
    `bash -c "…"`, eval, ssh, tmux, sbatch and here-documents, `docker run … IMAGE …`, lists
    of words and arguments alone, with assignments, arrays and `export` before them.

    Raises:
        InvalidRequest: there is none, quotes do not match, or more words than a command has.
    """
    command = None
    problem: InvalidRequest | None = None
    for reading in readings(text):
        try:
            command = _find(reading, Variables(), _DEEPEST_NESTING)
        except InvalidRequest as error:
            problem = problem or error
        if command is not None:
            break
    if command is None:
        raise problem or _nothing_found(text)
    if len(command.words) > _MOST_WORDS:
        raise InvalidRequest(
            f"The command has {len(command.words)} words, more than {_MOST_WORDS}.",
            "Give only the line that starts vLLM.",
        )
    return command


def find_in_words(
    words: Sequence[Expanded], variables: Mapping[str, Expanded]
) -> ServerCommand | None:
    """The vLLM server that a program's words start with these variables set; None for none.

    No shell has read the words; a shell among them reads the one after its -c.
    Raises InvalidRequest as find_server_command.
    """
    return _server_in(words, Variables(dict(variables)), _DEEPEST_NESTING) if words else None


def _nothing_found(text: str) -> InvalidRequest:
    shown = text.strip()[:60]
    other = _OTHER_COMMANDS.search(text)
    if other:
        return InvalidRequest(
            f"{other[0]!r} is no server; this tool reads `vllm serve`.",
            "It takes the same engine arguments: give them as vllm serve MODEL ….",
        )
    if any(quote in text for quote in CURLY_QUOTES):
        return InvalidRequest(
            f"There is no vLLM server in {shown!r}; its curly quotes are none to a shell.",
            "Write straight quotes, ' or \".",
        )
    return InvalidRequest(
        f"There is no vLLM server in {shown!r}.",
        "Give a line such as: vllm serve MODEL --max-model-len 8192",
    )


def _find(text: str, variables: Variables, depth: int) -> ServerCommand | None:
    known = variables.copy()
    documents: list[str] = []
    branches = Branches()
    left_out: list[str] = []
    for whole in split_commands(text):
        simple = branches.enter(whole, known)
        if simple is None:
            continue
        certain = branches.certain
        words, assigned = _expanded(simple, known if certain else known.copy())
        if not certain and not words:
            left_out += _left_open(simple, known)
        if words:
            command = _server_in(words, known, depth)
            command = command or _fed(simple, words, known, depth)
            if command is not None:
                out = tuple(dict.fromkeys((*left_out, *command.left_out)))
                return replace(command, assigned=(*assigned, *command.assigned), left_out=out)
        documents += simple.documents
    # A script that the text only writes is what it is about, where nothing else is.
    for document in documents if depth else ():
        command = _find(document, known, depth - 1)
        if command is not None:
            return command
    return None


def _left_open(simple: SimpleCommand, known: Variables) -> list[str]:
    """The variables that a command may set; those never set before are empty without it."""
    names = [found[0] for word in simple.words if (found := assignment(word))]
    for name in names:
        if name not in known.values and name not in known.arrays:
            known.assign(name, Expanded(""))
            known.arrays[name] = []
    return names


def _expanded(simple: SimpleCommand, known: Variables) -> tuple[list[Expanded], tuple[str, ...]]:
    """The words of a command and the names assigned before them; assignments alone are done."""
    leading = 0
    while leading < len(simple.words) and assignment(simple.words[leading]):
        leading += 1
    rest = simple.words[leading:]
    names = [found[0] for word in simple.words[:leading] if (found := assignment(word))]
    head = rest[0][0].text if rest and rest[0] else ""
    sets = head in {"export", "declare", "local", "readonly", "set"}
    for word in simple.words[:leading]:
        set_variable(word, known)
    if sets:
        for word in rest[1:]:
            set_variable(word, known)
        return [], ()
    words: list[Expanded] = []
    for word in rest:
        found = assignment(word)
        if found and words and _program(words[-1].text) in _SETTING:
            set_variable(word, known)
            names.append(found[0])
        else:
            words += expand(word, known)
    return words, tuple(names)


def _fed(
    simple: SimpleCommand, words: Sequence[Expanded], known: Variables, depth: int
) -> ServerCommand | None:
    """The server in a here-document that a shell runs."""
    head = _program(words[0].text)
    if not depth or head not in SHELLS | _RUNNERS:
        return None
    for document in simple.documents:
        command = _find(document, known, depth - 1)
        if command is not None:
            return command
    return None


def _program(word: str) -> str:
    return word.rsplit("/", 1)[-1]


def _server_in(words: Sequence[Expanded], variables: Variables, depth: int) -> ServerCommand | None:
    """The server that one simple command starts, if it starts one."""
    texts = [word.text for word in words]
    if _program(texts[0]) in _QUOTING:
        return None
    for index, text in enumerate(texts):
        after = texts[index + 1 : index + 3]
        program = _program(text)
        if depth and program in CONTAINER_TOOLS:
            return _in_container(words[index:], variables, depth - 1)
        if depth and program in SHELLS:
            found = _in_shell(words[index + 1 :], variables, depth - 1)
            if found is not None:
                return found
        if _starts_server(text, after):
            return _started(words, index, variables)
    return _run_text(texts, variables, depth)


def _started(words: Sequence[Expanded], index: int, variables: Variables) -> ServerCommand:
    is_module = words[index].text == "-m"
    rest = words[index + 2 :]
    serve = not is_module
    if is_module and rest and rest[0].text == "serve":
        # `-m vllm.entrypoints.cli.main serve` says it once more.
        rest, serve = rest[1:], True
    if is_module:
        rest = list(engine_words(words[index + 1].text, rest))
    environment = {name: value.text for name, value in variables.values.items()}
    return ServerCommand(tuple(rest), environment, entry="serve" if serve else "module")


def _starts_server(word: str, after: Sequence[str]) -> bool:
    """Whether `word` and what follows are `vllm serve` or `-m vllm.entrypoints…`."""
    if word == "-m":
        return bool(after) and after[0] in _SERVER_MODULES
    return _program(word) == "vllm" and after[:1] == ["serve"]


def _in_shell(words: Sequence[Expanded], variables: Variables, depth: int) -> ServerCommand | None:
    """The server in the text after `bash … -c …`."""
    runs = named = False
    for index, word in enumerate(words):
        if named:
            # The option that `-o` sets: `bash -euo pipefail -c …`.
            named = False
        elif word.text.startswith("-"):
            runs = runs or bool(_RUN_TEXT.fullmatch(word.text))
            named = word.text.endswith("o") and not word.text.startswith("--")
        elif runs:
            return _find(word.text, _with_arguments(variables, words[index + 1 :]), depth)
        else:
            return None
    return None


def _with_arguments(variables: Variables, words: Sequence[Expanded]) -> Variables:
    """The variables with the words after `-c TEXT` as $0, $1, … and $@."""
    known = variables.copy()
    for index, word in enumerate(words):
        known.assign(str(index), word)
    known.arrays["@"] = list(words[1:])
    return known


def _run_text(texts: Sequence[str], variables: Variables, depth: int) -> ServerCommand | None:
    """The server in text that eval, ssh, tmux, sbatch and their like run."""
    programs = [_program(text) for text in texts]
    place = next((i for i, p in enumerate(programs) if p in _RUNNERS | _JOINED), None)
    if place is None or not depth:
        return None
    candidates = [text for text in texts[place + 1 :] if "vllm" in text and " " in text.strip()]
    if programs[place] in _JOINED:
        candidates.append(" ".join(texts[place + 1 :]))
    for candidate in candidates:
        option = _TEXT_OPTION.fullmatch(candidate)
        command = _find(option[1] if option else candidate, variables, depth - 1)
        if command is not None:
            return command
    return None


def _in_container(
    words: Sequence[Expanded], variables: Variables, depth: int
) -> ServerCommand | None:
    """The server of `docker run`: options, the image, then vLLM's own words.

    A container sees the variables that -e hands in, not the shell's.
    """
    container = read_container(words)
    if container is None:
        return None
    inside = Variables()
    for name, value in container.environment.items():
        known = variables.values.get(name)
        inside.assign(name, value if value is not None else known or Expanded(""))
    handed = {name: value.text for name, value in inside.values.items()}
    nested = _server_in(container.words, inside, depth) if container.words else None
    if nested is not None:
        return replace(nested, image=nested.image or container.image)
    if not container.is_server:
        return None
    return ServerCommand(container.arguments, handed, entry="image", image=container.image)
