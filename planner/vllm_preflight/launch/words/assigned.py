"""A simple command with its variables in place, and what it sets for those after it."""

from __future__ import annotations

from dataclasses import replace

from vllm_preflight.launch.words.expand import Expanded, Variables, assignment, expand, set_variable
from vllm_preflight.launch.words.split import SimpleCommand, Word, split_commands

# After these, NAME=value sets a variable for what follows.
_SETTING = frozenset({"env", "sudo", "-E", "exec", "nohup"})
_SETTERS = frozenset({"export", "declare", "typeset", "local", "readonly", "set"})


def expanded(
    simple: SimpleCommand, known: Variables
) -> tuple[list[Expanded], tuple[str, ...], Variables]:
    """The words of a command, the names set for it alone, and the variables that it sees.

    What stands before a program is not yet set when a shell reads the words behind it, and
    no longer after it. A command of assignments alone has no words, and changes `known`.
    """
    leading = 0
    while leading < len(simple.words) and assignment(simple.words[leading]):
        leading += 1
    rest = simple.words[leading:]
    if not rest:
        for word in simple.words:
            set_variable(word, known)
        return [], (), known
    head = rest[0][0].text if rest[0] else ""
    if head in _SETTERS:
        _declare(head, simple, leading + 1, known)
        return [], (), known
    if head == "alias":
        for word in rest[1:]:
            _set_alias(word, known)
        return [], (), known
    seen = known
    names: list[str] = []
    words: list[Expanded] = []
    for index, (word, span) in enumerate(zip(simple.words, simple.spans, strict=True)):
        found = assignment(word)
        sets = index < leading or bool(words and program_of(words[-1].text) in _SETTING)
        if index == leading and head in known.aliases:
            words += [replace(part, span=span) for part in known.aliases[head]]
            continue
        if found is None or not sets:
            words += expand(word, known, span)
            continue
        seen = known.copy() if seen is known else seen
        set_variable(word, seen)
        seen.exported.add(found[0])
        names.append(found[0])
    return words, tuple(names), seen


def _set_alias(word: Word, known: Variables) -> None:
    """What `alias name='program words'` does, where that is one command."""
    found = assignment(word)
    (text, *_) = expand(found[2], known) if found and found[2] else [Expanded("")]
    commands = split_commands(text.text)
    if found is not None and len(commands) == 1 and not text.missing:
        parts = [part for piece in commands[0].words for part in expand(piece, known)]
        known.aliases[found[0]] = tuple(parts)


def _declare(head: str, simple: SimpleCommand, start: int, known: Variables) -> None:
    """What `export`, `declare` and `set` do."""
    texts = [word[0].text if word else "" for word in simple.words[start:]]
    if head == "set":
        known.exports_all = known.exports_all or "allexport" in texts or "-a" in texts
        if "--" in texts:
            handed = simple.words[start + texts.index("--") + 1 :]
            known.arrays["@"] = [part for word in handed for part in expand(word, known)]
        return
    exports = head == "export" or "-x" in texts
    for word, text in zip(simple.words[start:], texts, strict=True):
        found = assignment(word)
        name = found[0] if found else text
        if not set_variable(word, known) and "=" in text:
            # export "NAME=value": quoted as a whole.
            name, _, value = text.partition("=")
            known.assign(name, Expanded(value))
        if exports:
            known.exported.add(name)


def program_of(word: str) -> str:
    """The name of a program without its folder, as Windows writes it too."""
    return word[max(word.rfind("/"), word.rfind("\\")) + 1 :].removesuffix(".exe")
