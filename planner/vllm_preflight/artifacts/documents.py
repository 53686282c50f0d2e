"""YAML and unit files, written by serialisers that know their quoting."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import yaml

from vllm_preflight.artifacts.shell_files import comment

_WIDTH = 100
_RARE_BREAKS = frozenset("\x85\u2028\u2029")


class _Dumper(yaml.SafeDumper):
    """Writes what occurs twice out twice: people edit these files."""

    def ignore_aliases(self, data: object) -> bool:
        """Never an anchor."""
        del data
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    """Several lines as a block, which PyYAML quotes where a block cannot hold them.

    YAML's other line breaks would be read back as plain newlines unless they are escaped.
    """
    style = '"' if _RARE_BREAKS.intersection(text) else "|" if "\n" in text else None
    return cast(Any, dumper).represent_scalar("tag:yaml.org,2002:str", text, style)


_Dumper.add_representer(str, _represent_text)


def yaml_text(head: str, *documents: Mapping[str, Any], notes: Sequence[str] = ()) -> str:
    """`documents` as YAML in the order given; `head` and `notes` are comments above them."""
    return "".join(map(comment, (head, *notes))) + dump_yaml(*documents)


def dump_yaml(*documents: Mapping[str, Any], width: float = _WIDTH) -> str:
    """`documents` as YAML that reads back equal."""
    return yaml.dump_all(
        documents, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=width
    )


def unit_text(head: str, sections: Mapping[str, Sequence[tuple[str, str]]]) -> str:
    """A systemd unit; a key may repeat. Values are lines of `unit_command` or plain words."""
    lines = [comment(head)]
    for section, entries in sections.items():
        lines += [f"\n[{section}]\n", *(f"{key}={value}\n" for key, value in entries)]
    return "".join(lines)


def unit_command(words: Sequence[str]) -> str:
    """A command line as ExecStart= takes it (systemd.service(5)), over several lines.

    `%` and `$` are doubled, so that nothing is a specifier or a variable; what would end
    a word is quoted and escaped as in C.
    """
    parts: list[str] = []
    for word in words:
        separator = " \\\n    " if word.startswith("--") else " "
        parts.append((separator if parts else "") + _unit_word(word))
    return "".join(parts)


def _unit_word(word: str) -> str:
    doubled = word.replace("\\", "\\\\").replace("%", "%%").replace("$", "$$")
    escaped = doubled.replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
    escaped = escaped.replace("\r", "\\r")
    plain = escaped == word and word and not any(c.isspace() or c in "';" for c in word)
    return word if plain else f'"{escaped}"'
