"""Words as the systems join them: command and args, variables in $(X) and ${X}.

A value that nobody knows stays in the words between two marks, so that any later splitting
keeps it whole and the flag it belongs to can be named.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.launch.words.expand import Expanded
from vllm_preflight.launch.words.find import find_in_words
from vllm_preflight.launch.words.server import ServerCommand
from vllm_preflight.manifests.nodes import Fields, Items, Node, Text

_OPEN, _CLOSE = "\ue000", "\ue001"
_MARKED = re.compile(f"{_OPEN}([^{_OPEN}{_CLOSE}]*){_CLOSE}")
_POD_REFERENCE = re.compile(r"\$(\$)?\(([A-Za-z_][A-Za-z0-9_.-]*)\)")
_PARAMETER = re.compile(r"\$\{\{([A-Za-z_]\w*)\}\}|\$\{([A-Za-z_]\w*)\}")
# What a template language was to fill in.
_TEMPLATE = re.compile(r"\{\{[^{}\n]{0,300}\}\}")
_LONGEST = 100_000

Values = Mapping[str, str]


def unknown(shown: str) -> str:
    """A value that nobody knows, shown as it is written."""
    return f"{_OPEN}{shown}{_CLOSE}"


def as_expanded(text: str) -> Expanded:
    """A word with what is unknown in it named."""
    text = _TEMPLATE.sub(lambda found: unknown(found[0]), text)
    missing = tuple(found[1] for found in _MARKED.finditer(text))
    return Expanded(_MARKED.sub(lambda found: found[1], text), missing)


def replaced_in_pod(text: str, values: Values) -> str:
    """Kubernetes' $(X) replaced; $$(X) is $(X) itself."""

    def value(found: re.Match[str]) -> str:
        if found[1]:
            return found[0][1:]
        known = values.get(found[2])
        return unknown(found[0]) if known is None else known

    return replaced(_POD_REFERENCE, value, text)


def replaced(pattern: re.Pattern[str], value: Callable[[re.Match[str]], str], text: str) -> str:
    """`text` with every match as its value; InvalidRequest where that grows without bounds."""
    parts: list[str] = []
    place, length = 0, len(text)
    for found in pattern.finditer(text):
        part = value(found)
        length += len(part)
        if length > len(text) + _LONGEST:
            raise InvalidRequest(
                f"Variables make a text of more than {_LONGEST:,} characters.",
                "Give the values that the server is started with.",
            )
        parts += text[place : found.start()], part
        place = found.end()
    return "".join(parts) + text[place:]


def with_parameters(node: Node, values: Values) -> Node:
    """An object of an OpenShift Template with ${X} and ${{X}} filled in, as `oc process` does."""
    if isinstance(node, Text):

        def value(found: re.Match[str]) -> str:
            known = values.get(found[1] or found[2])
            return found[0] if known is None else known

        return node.moved(_PARAMETER.sub(value, node)[:_LONGEST])
    if isinstance(node, Fields):
        filled = Fields(node.line)
        filled.lines = node.lines
        for key, item in node.items():
            filled[key] = with_parameters(item, values)
        return filled
    if isinstance(node, Items):
        items = Items(node.line)
        items.extend(with_parameters(item, values) for item in node)
        return items
    return node


def words_of(node: Node) -> list[Text]:
    """The words of a list, or of a text that is taken for one word."""
    if isinstance(node, Text):
        return [node]
    return [item for item in node if isinstance(item, Text)] if isinstance(node, Items) else []


def split_words(text: Text) -> list[Text]:
    """A text as a shell splits it, each word standing where the text does."""
    try:
        return [text.moved(word) for word in shlex.split(str(text), comments=False)]
    except ValueError:
        raise InvalidRequest(
            f"The quotes of the words in line {text.line} do not match.", "Close every quote."
        ) from None


def read_command(
    words: Sequence[Text],
    values: Values,
    *,
    image: str | None = None,
    own_entry: bool = False,
    expand: Callable[[str, Values], str] = replaced_in_pod,
) -> ServerCommand | None:
    """The server that a container's words start; None where they start none.

    `own_entry`: the words are arguments of the image's own entry point. `values` are the
    container's variables.
    """
    texts = [expand(str(word), values) for word in words]
    expanded = [as_expanded(text) for text in texts]
    variables = {name: as_expanded(value) for name, value in values.items()}
    found = find_in_words(expanded, variables)
    if found is None and own_entry:
        rest = expanded[1:] if texts[:1] == ["serve"] else expanded
        environment = {name: value.text for name, value in variables.items()}
        found = ServerCommand(tuple(rest), environment, entry="image", image=image)
    return None if found is None else _unmarked(found, image)


def read_script(
    text: str, values: Values, handed: Sequence[str] = (), *, image: str | None = None
) -> ServerCommand | None:
    """The first server of shell text that sees these variables; None for none.

    `handed` are its name and arguments as a pod hands them in, where they are known.
    """
    variables = {name: as_expanded(value) for name, value in values.items()}
    behind = [as_expanded(replaced_in_pod(word, values)) for word in handed]
    found = find_in_words([Expanded("sh"), Expanded("-c"), Expanded(text), *behind], variables)
    return None if found is None else _unmarked(found, image)


def _unmarked(command: ServerCommand, image: str | None) -> ServerCommand:
    words: list[Expanded] = []
    for word in command.words:
        shown = as_expanded(word.text)
        words.append(Expanded(shown.text, (*word.missing, *shown.missing)))
    environment = {name: value for name, value in command.environment.items() if _OPEN not in value}
    # Where the words stood in a shell's text is no place in the manifest.
    return replace(
        command,
        words=tuple(words),
        environment=environment,
        image=command.image or image,
        levels=(),
        head=None,
        program=None,
    )


def with_settings(command: ServerCommand, settings: Sequence[Text]) -> ServerCommand:
    """The command with the words of its --config file in its place, before its own flags."""
    texts = [word.text for word in command.words]
    place = texts.index("--config")
    rest = [*command.words[:place], *command.words[place + 2 :]]
    written = [str(word) for word in settings]
    named = bool(rest) and not rest[0].text.startswith("-")
    if command.entry == "serve" and "--model" in written[:-1]:
        # `vllm serve` takes the model of a file where none is named, and no flag for it.
        at = written.index("--model")
        model, written = written[at + 1], written[:at] + written[at + 2 :]
        rest, named = (rest, named) if named else ([Expanded(model), *rest], True)
    words = [*rest[:named], *(Expanded(word) for word in written), *rest[named:]]
    return replace(command, words=tuple(words))


def flag(name: str, value: object, at: Text) -> list[Text]:
    """A flag with its value as words that stand where the value does."""
    return [at.moved(f"--{name.replace('_', '-')}"), at.moved(str(value))]
