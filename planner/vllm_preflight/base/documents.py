"""YAML that somebody else wrote, as plain values."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

from vllm_preflight.base.cancellation import check_stop
from vllm_preflight.base.strangers import before_strangers

# The library takes a second for 100,000 characters, and longer the deeper they are nested.
_SHORT = 20_000
_DEEPEST = 50


def parse_yaml(text: str) -> object:
    """The value of one YAML or JSON document.

    Raises:
        ValueError: it is none, nested too deeply, or has an alias, with which a small file
            can be made enormous; the message is a part of a sentence.
    """
    # Few questions come with such a text, and the library is 1.5 MB of every server.
    import yaml

    if len(text) > _SHORT:
        before_strangers()
    try:
        # The package's functions have no types.
        events = cast(Iterable[object], cast(Any, yaml).parse(text, Loader=yaml.SafeLoader))
        depth = 0
        for event in events:
            check_stop()
            if isinstance(event, yaml.AliasEvent):
                raise ValueError("has a YAML alias (*name); write the value out")
            depth += isinstance(event, yaml.CollectionStartEvent)
            depth -= isinstance(event, yaml.CollectionEndEvent)
            if depth > _DEEPEST:
                raise ValueError("is nested too deeply")
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        where = getattr(error, "problem_mark", None)
        line = f" near line {where.line + 1}" if where is not None else ""
        raise ValueError(f"is no YAML or JSON{line}") from error
