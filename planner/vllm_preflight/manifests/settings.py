"""vLLM's arguments written as keys and values: config files, engine_kwargs, KAITO's configs."""

from __future__ import annotations

import json
from collections.abc import Iterator

from vllm_preflight.launch.flags.table import parser_of
from vllm_preflight.launch.versions import NEWEST_KNOWN
from vllm_preflight.manifests.nodes import Fields, Items, Node, Text, is_true, plain_value


def setting_words(settings: Fields) -> Iterator[Text]:
    """The settings as flags, as vLLM's config files are read; each stands on its key's line."""
    for key, value in settings.items():
        place = Text.at("", settings.lines.get(key, settings.line))
        yield from _setting(key, value, place)


def _setting(key: str, value: Node, place: Text) -> Iterator[Text]:
    name = f"--{key.replace('_', '-')}"
    if isinstance(value, Items):
        items = [str(item) for item in plain_value(value)]
        if items:
            yield place.moved(name)
            yield from (place.moved(item) for item in items)
    elif isinstance(value, Fields):
        yield place.moved(name)
        yield place.moved(json.dumps(plain_value(value), default=str))
    elif value is None:
        return
    elif isinstance(plain := plain_value(value), bool):
        spelled = parser_of(NEWEST_KNOWN).by_spelling
        if is_true(value):
            yield place.moved(name)
        elif (negation := f"--no-{name[2:]}") in spelled:
            yield place.moved(negation)
    else:
        yield place.moved(name)
        yield place.moved(str(plain))
