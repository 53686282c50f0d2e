"""Where in a piece of shell text a vLLM server is started, and with which words.

The text is data: it is split as a POSIX shell would split it, but nothing in it is
run, expanded from the real environment, or opened.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.launch.words.assigned import expanded, program_of
from vllm_preflight.launch.words.branches import Branches, left_open, with_arguments
from vllm_preflight.launch.words.containers import CONTAINER_TOOLS, Container, read_container
from vllm_preflight.launch.words.devices import by_directives, by_slurm
from vllm_preflight.launch.words.expand import Expanded, Variables
from vllm_preflight.launch.words.images import platform_of_image
from vllm_preflight.launch.words.nothing import nothing_found, refuse_copies, refuse_yaml
from vllm_preflight.launch.words.packages import note_installed
from vllm_preflight.launch.words.prepare import readings
from vllm_preflight.launch.words.server import Level, ServerCommand
from vllm_preflight.launch.words.split import SimpleCommand, Span, split_commands
from vllm_preflight.launch.words.wrappers import BATCH_MODULES, MODULES, RUN_BATCH, engine_words

_OTHERS = "The text starts more than one vLLM server; this is about the first."
NO_SERVER = (
    "vllm run-batch serves nobody: it works through its file and ends. Its engine starts as a "
    "server's does, with the batch runner's own defaults of sequences and tokens per step."
)
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
_SUBCOMMANDS = (["serve"], [RUN_BATCH])
_SERVER_FILES = ("vllm/entrypoints/openai/api_server.py", "vllm/entrypoints/api_server.py")
SHELLS = frozenset({"bash", "sh", "zsh", "dash", "ksh"})
# Programs that run a text they are given as one word, and those that run all their words.
_RUNNERS = frozenset(
    {"ssh", "tmux", "screen", "sbatch", "srun", "su", "watch", "script", "runuser", "wsl"}
)
_JOINED = frozenset({"eval", "ssh"})
_TEXT_OPTION = re.compile(r"--(?:wrap|command)=(.*)", re.DOTALL)
# What only shows or stores its words.
_QUOTING = frozenset({"echo", "printf", "cat", "grep", "git", "#"})
_CONDITION = re.compile(r"^[ \t]*(?:if|elif|case)\b|&&|\|\|", re.MULTILINE)
_NAMED = re.compile(r"\$\{?(\w+)")
_HANDED = re.compile(r"\$(?:[@*]|\{[@*]\})")
_SLURM_GPUS = "SLURM_GPUS_ON_NODE"
_BATCH = frozenset({"srun", "sbatch", "salloc"})
# Among how many words before a server its launcher is looked for.
_FIRST_WORDS = 40
_PINNED_PROGRAM = re.compile(r"vllm(?:\[[\w,.-]*\])?@\S+")


def find_server_command(text: str) -> ServerCommand:
    """The first vLLM server that the shell text starts.

    Understands `vllm serve`, `vllm run-batch`, `python -m vllm.entrypoints.openai.api_server`,
    all inside `bash -c "…"`, eval, ssh, tmux, sbatch and here-documents, `docker run … IMAGE
    …`, `kubectl run`, `uvx vllm@…`, Dockerfiles and unit files, lists of words and arguments
    alone, with assignments, arrays and `export` before them.

    Raises:
        InvalidRequest: there is none, quotes do not match, or more words than a command has.
    """
    refuse_yaml(text)
    limits = tuple(by_directives(text))
    # What Slurm sets for a batch script.
    given = {_SLURM_GPUS: Expanded(str(limits[0].count))} if limits else {}
    command = None
    problem: InvalidRequest | None = None
    for reading in readings(text):
        try:
            command = _find(reading, Variables(dict(given)), _DEEPEST_NESTING)
        except InvalidRequest as error:
            problem = problem or error
        if command is not None:
            break
    if command is None:
        raise problem or nothing_found(text)
    if len(command.words) > _MOST_WORDS:
        raise InvalidRequest(
            f"The command has {len(command.words)} words, more than {_MOST_WORDS}.",
            "Give only the line that starts vLLM.",
        )
    return replace(command, visible=(*command.visible, *limits))


def find_in_words(
    words: Sequence[Expanded], variables: Mapping[str, Expanded]
) -> ServerCommand | None:
    """The vLLM server that a program's words start with these variables set; None for none.

    No shell has read the words; a shell among them reads the one after its -c.
    Raises InvalidRequest as find_server_command.
    """
    known = Variables(dict(variables), exported=set(variables))
    return _server_in(words, known, _DEEPEST_NESTING) if words else None


def _find(text: str, variables: Variables, depth: int) -> ServerCommand | None:
    known = variables.copy()
    documents: list[Span] = []
    branches = Branches()
    left_out: list[str] = []
    commands = split_commands(text)
    for index, whole in enumerate(commands):
        simple = branches.enter(whole, known)
        if simple is None:
            documents += whole.documents
            continue
        certain = branches.certain or branches.sets_first(simple, known)
        words, assigned, running = expanded(simple, known if certain else known.copy())
        if not certain and not words:
            left_out += left_open(simple, known)
        if words:
            command = _server_in(words, running, depth)
            held = Level(text)
            if command is None:
                fed = _fed(text, simple, words, running, depth)
                if fed is not None:
                    held, command = Level(text, fed[0], raw=True), fed[1]
            if command is not None:
                notes = _doubts(text, simple, known)
                later = [c for c in commands[index + 1 :] if _is_another(c, text, known, depth)]
                return replace(
                    command,
                    assigned=(*assigned, *command.assigned),
                    levels=_within(command, held),
                    notes=(*command.notes, *left_out, *notes, *((_OTHERS,) if later else ())),
                )
            note_installed([word.text for word in words], known)
        documents += simple.documents
    # A script that the text only writes is what it is about, where nothing else is.
    for place in documents if depth else ():
        command = _find(text[slice(*place)], known, depth - 1)
        if command is not None:
            return replace(command, levels=_within(command, Level(text, place, raw=True)))
    return None


def _doubts(text: str, simple: SimpleCommand, known: Variables) -> Iterator[str]:
    """What the text leaves open of a command: handed words, variables a condition decides."""
    written = text[simple.spans[0][0] : simple.spans[-1][1]]
    if _HANDED.search(written) and "@" not in known.arrays:
        yield "What a script is handed for $@ is not known: the answer is for nothing more."
    if _CONDITION.search(text) is None:
        return
    names = dict.fromkeys(_NAMED.findall(written))
    for name in names:
        if name in known.changed:
            yield (
                f"The text sets {name} more than once; this is about {known.values[name].text!r}."
            )


def _is_another(simple: SimpleCommand, text: str, known: Variables, depth: int) -> bool:
    """Whether a later command starts a server too."""
    if "vllm" not in text[simple.spans[0][0] : simple.spans[-1][1]]:
        return False
    try:
        words, _, seen = expanded(simple, known.copy())
        return bool(words) and _server_in(words, seen, depth) is not None
    except InvalidRequest:
        return False


def _within(command: ServerCommand, level: Level) -> tuple[Level, ...]:
    """The texts that hold a command, with one more around them.

    The last of them is open where a text was found in a word of this one.
    """
    if command.levels and command.levels[-1].text == "":
        # Where in this text the inner one stands was noted with it.
        open_level = command.levels[-1]
        return (*command.levels[:-1], replace(open_level, text=level.text))
    return (*command.levels, level)


def _nested(word: Expanded, text: str, variables: Variables, depth: int) -> ServerCommand | None:
    """The server in text that is (the end of) one word."""
    command = _find(text, variables, depth)
    if command is None:
        return None
    before = word.text.removesuffix(text)
    return replace(command, levels=(*command.levels, Level("", word.span, before)))


def _fed(
    text: str, simple: SimpleCommand, words: Sequence[Expanded], known: Variables, depth: int
) -> tuple[Span, ServerCommand] | None:
    """The server in a here-document that a shell runs, and where that stands."""
    head = program_of(words[0].text)
    if not depth or head not in SHELLS | _RUNNERS:
        return None
    for place in simple.documents:
        command = _find(text[slice(*place)], known, depth - 1)
        if command is not None:
            return place, command
    return None


def _server_in(words: Sequence[Expanded], variables: Variables, depth: int) -> ServerCommand | None:
    """The server that one simple command starts, if it starts one."""
    texts = [word.text for word in words]
    if program_of(texts[0]) in _QUOTING:
        return None
    for index, text in enumerate(texts):
        program = program_of(text)
        if depth and program in CONTAINER_TOOLS:
            container = read_container(words[index:])
            if container is not None:
                return _in_container(container, variables, depth - 1)
        if depth and program in SHELLS:
            found = _in_shell(words[index + 1 :], variables, depth - 1)
            if found is not None:
                return _batch(texts[:index], found)
        taken = _server_words(texts, index)
        if taken:
            refuse_copies(texts[:index])
            return _batch(texts[:index], _started(words, index, taken, variables))
    found = _run_text(words, variables, depth)
    return None if found is None else _batch(texts, found)


def _batch(texts: Sequence[str], command: ServerCommand) -> ServerCommand:
    """The command with what srun or sbatch before it asks for, and an image it runs in."""
    if not any(program_of(text) in _BATCH for text in texts[:_FIRST_WORDS]):
        return command
    image = next((t.partition("=")[2] for t in texts if t.startswith("--container-image=")), None)
    limits = (*command.visible, *by_slurm(texts))
    return replace(command, visible=limits, image=command.image or image)


def _server_words(texts: Sequence[str], index: int) -> int:
    """How many words from `index` on start an engine: `vllm serve`, `-m vllm.entrypoints…`."""
    word, after = texts[index], texts[index + 1 : index + 3]
    if word.endswith(_SERVER_FILES):
        return 1
    if word == "-m":
        if not after or after[0] not in _SERVER_MODULES:
            return 0
        return 2 + (after[1:] in _SUBCOMMANDS)
    if after[:1] not in _SUBCOMMANDS:
        return 0
    if _PINNED_PROGRAM.fullmatch(word):
        return 2 if "uvx" in texts[:index] or "run" in texts[:index] else 0
    return 2 if program_of(word) == "vllm" else 0


def _started(
    words: Sequence[Expanded], index: int, taken: int, variables: Variables
) -> ServerCommand:
    # `-m vllm.entrypoints.cli.main serve` says it once more.
    is_module = (words[index].text == "-m" and taken == 2) or taken == 1
    program = words[index + taken - 1].text
    is_batch = program == RUN_BATCH or program in BATCH_MODULES
    brought = Variables(installed=variables.installed, built_for=variables.built_for)
    note_installed([word.text for word in words[: index + 1]], brought)
    rest = words[index + taken :]
    return ServerCommand(
        engine_words(program, rest),
        variables.environment(),
        unexported=tuple(
            name
            for name in variables.values
            if name not in variables.exported and not variables.exports_all
        ),
        entry="batch" if is_batch else "module" if is_module else "serve",
        installed=brought.installed,
        built_for=brought.built_for,
        notes=(NO_SERVER,) if is_batch else (),
        head=words[index + taken - 1],
        program=words[0],
    )


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
            known = with_arguments(variables, words[index + 1 :])
            return _nested(word, word.text, known, depth)
        else:
            return None
    return None


def _run_text(words: Sequence[Expanded], variables: Variables, depth: int) -> ServerCommand | None:
    """The server in text that eval, ssh, tmux, sbatch and their like run."""
    programs = [program_of(word.text) for word in words]
    place = next((i for i, p in enumerate(programs) if p in _RUNNERS | _JOINED), None)
    if place is None or not depth:
        return None
    for word in words[place + 1 :]:
        if "vllm" not in word.text or " " not in word.text.strip():
            continue
        option = _TEXT_OPTION.fullmatch(word.text)
        text = option[1] if option else word.text
        command = _nested(word, text, variables, depth - 1)
        if command is not None:
            return command
    if programs[place] not in _JOINED:
        return None
    joined = " ".join(word.text for word in words[place + 1 :])
    return _nested(Expanded(joined), joined, variables, depth - 1)


def _in_container(container: Container, variables: Variables, depth: int) -> ServerCommand | None:
    """The server of `docker run`: options, the image, then vLLM's own words.

    A container sees the variables that -e hands in, not the shell's.
    """
    inside = _handed_on(variables) if container.inherits else Variables()
    for name, value in container.environment.items():
        known = variables.values.get(name)
        inside.assign(name, value if value is not None else known or Expanded(""))
        inside.exported.add(name)
    image = container.image
    notes = tuple(_container_notes(container))
    nested = _server_in(container.words, inside, depth) if container.words else None
    if nested is not None:
        outer = nested.levels or nested.program is None
        return replace(
            nested,
            image=nested.image or image.text,
            visible=(*container.visible, *nested.visible),
            program=nested.program if outer else image,
            notes=(*notes, *nested.notes),
        )
    if not container.is_server:
        return None
    return ServerCommand(
        container.arguments,
        inside.environment(),
        entry="image",
        image=image.text,
        visible=container.visible,
        notes=notes,
        head=container.head,
        program=image,
    )


def _handed_on(variables: Variables) -> Variables:
    """What Apptainer hands into a container: the environment, and variables named for it."""
    handed = variables.environment()
    for prefix in ("APPTAINERENV_", "SINGULARITYENV_"):
        named = {k: v for k, v in handed.items() if k.startswith(prefix)}
        handed |= {name.removeprefix(prefix): value for name, value in named.items()}
    return Variables({k: Expanded(v) for k, v in handed.items()}, exported=set(handed))


def _container_notes(container: Container) -> Iterator[str]:
    for name in container.env_files:
        yield f"The variables that --env-file {name} sets are not read."
    if container.odd_gpus is not None:
        yield (
            f"Docker reads --gpus {container.odd_gpus} as two settings and refuses them: write "
            f"--gpus '\"{container.odd_gpus}\"'."
        )
    if not container.hands_gpus and platform_of_image(container.image.text) is None:
        yield (
            "The container is given no GPU (Docker's --gpus, Kubernetes' nvidia.com/gpu): vLLM "
            "finds one only where every container gets them."
        )
