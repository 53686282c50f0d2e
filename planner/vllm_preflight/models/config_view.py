"""Typed, forgiving access to a `config.json`, with errors that name the keys.

Old and new configs spell the same fact differently (`n_embd`, `hidden_size`), so a
getter takes aliases in order of preference. A missing or mistyped required key is
an `UnsupportedArchitecture` naming the aliases; nothing is ever guessed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from math import isfinite
from typing import Any, cast

from vllm_preflight.base.errors import UnsupportedArchitecture

# Above these a value is a typing error or an attack, not a model: no published config comes
# near them, and work grows with these numbers.
_LARGEST_INTEGER = 2**40
_LARGEST_BY_KEY = (
    (re.compile(r"(?:layers?|depth|blocks?|times)$"), 1_024),
    (re.compile(r"(?:heads?|experts)$"), 65_536),
    (re.compile(r"bits$"), 64),
    (re.compile(r"vocab_size"), 2**28),
    (re.compile(r"(?:size|dim|width|channels|rank)$"), 2**24),
)
# Lists and texts that are walked entry by entry; lists of modules have a limit of their own.
_MOST_ENTRIES = 4_096
_LONGEST_TEXT = 4_096
_MOST_CLASSES = 16
_LONGEST_CLASS = 60
_CLASS_NAME = re.compile(r"[\w.-]{1,100}", re.ASCII)


class ConfigView:
    """A read-only view of one level of a config, with class defaults behind it.

    `defaults` are the values the architecture's own config class fills in when the
    file leaves a key out (transformers writes only what differs).
    """

    def __init__(
        self, raw: Mapping[str, Any], defaults: Mapping[str, Any] | None = None, where: str = ""
    ) -> None:
        self.raw = raw
        self.where = where
        self._defaults = defaults or {}

    @property
    def model_type(self) -> str:
        """The config's `model_type`, empty when it has none."""
        value = self.raw.get("model_type")
        return value if isinstance(value, str) else ""

    @property
    def architectures(self) -> tuple[str, ...]:
        """The config's `architectures`, empty when it has none."""
        names = self.raw.get("architectures")
        if not isinstance(names, list | tuple):
            return ()
        return tuple(_class_name(name) for name in cast(list[object], names)[:_MOST_CLASSES])

    def with_defaults(self, defaults: Mapping[str, Any]) -> ConfigView:
        """The same config with other class defaults behind it."""
        return ConfigView(self.raw, {**self._defaults, **defaults}, self.where)

    def with_raw(self, **values: object) -> ConfigView:
        """The same config with some of its own values replaced."""
        return ConfigView({**self.raw, **values}, self._defaults, self.where)

    def flattened(self, *keys: str) -> ConfigView:
        """The same config with the keys of its sections `keys` beside its own."""
        merged: dict[str, Any] = {}
        for key in keys:
            section = self.section(key)
            merged.update(section.raw if section is not None else {})
        return ConfigView({**merged, **self.raw}, self._defaults, self.where)

    def get(self, *keys: str) -> Any:
        """The first of `keys` that has a non-null value, or None."""
        for source in (self.raw, self._defaults):
            for key in keys:
                value = source.get(key)
                if value is not None:
                    return value
        return None

    def integer(self, *keys: str, default: int | None = None) -> int:
        """A whole number of at least 0; raises UnsupportedArchitecture when absent."""
        value = self.get(*keys)
        if value is None:
            if default is None:
                raise self._missing(keys)
            return default
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._wrong(keys, value, "a whole number")
        most = _largest(keys[0])
        if not 0 <= value <= most:
            raise self._wrong(keys, value, f"a whole number from 0 to {most:,}")
        return value

    def integer_at(self, index: int, *keys: str, default: int | None = None) -> int:
        """Entry `index` of a list of whole numbers, or the one number that serves all."""
        value = self.get(*keys)
        if not isinstance(value, list | tuple):
            return self.integer(*keys, default=default)
        entries = cast(list[Any], value)
        if index >= len(entries):
            raise self._wrong(keys, entries, f"a list of more than {index} entries")
        return ConfigView({keys[0]: entries[index]}, where=self.where).integer(keys[0])

    def number(self, *keys: str, default: float | None = None) -> float:
        """A finite number; raises UnsupportedArchitecture when absent."""
        value = self.get(*keys)
        if value is None:
            if default is None:
                raise self._missing(keys)
            return default
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._wrong(keys, value, "a number")
        if not isfinite(value) or abs(value) > _LARGEST_INTEGER:
            raise self._wrong(keys, value, "a finite number of a plausible size")
        return float(value)

    def flag(self, *keys: str, default: bool = False) -> bool:
        """A truth value; numbers count as in Python."""
        value = self.get(*keys)
        return default if value is None else bool(value)

    def text(self, *keys: str, default: str = "") -> str:
        """A string, `default` when absent; raises UnsupportedArchitecture when overlong."""
        value = self.get(*keys)
        if not isinstance(value, str):
            return default
        if len(value) > _LONGEST_TEXT:
            raise self._wrong(keys, value, f"a text of at most {_LONGEST_TEXT:,} characters")
        return value

    def items(self, *keys: str, most: int = _MOST_ENTRIES) -> list[Any]:
        """A list, empty when absent or not a list.

        Raises UnsupportedArchitecture when it has more than `most` entries.
        """
        value = self.get(*keys)
        if not isinstance(value, list | tuple):
            return []
        entries = cast(list[Any], value)
        if len(entries) > most:
            raise self._wrong(keys, entries[:8], f"a list of at most {most:,} entries")
        return list(entries)

    def section(self, *keys: str) -> ConfigView | None:
        """A nested object as a view of its own, None when absent."""
        for key in keys:
            value = self.get(key)
            if isinstance(value, Mapping):
                nested = cast(Mapping[str, Any], value)
                return ConfigView(nested, where=f"{self.where}{key}.")
        return None

    def _missing(self, keys: tuple[str, ...]) -> UnsupportedArchitecture:
        names = " or ".join(f"{self.where}{key}" for key in keys)
        return UnsupportedArchitecture(
            f"The config of model type {self.model_type or 'unknown'!r} has no {names}.",
            "Give a complete config.json of a supported architecture.",
            keys=keys,
        )

    def _wrong(self, keys: tuple[str, ...], value: object, wanted: str) -> UnsupportedArchitecture:
        key = next((key for key in keys if self.raw.get(key) is not None), keys[0])
        shown = ascii(value[:60] if isinstance(value, str) else value)[:60]
        return UnsupportedArchitecture(
            f"The config's {self.where}{key} is {shown}, not {wanted}.",
            "Correct the config.json.",
            keys=keys,
        )


@lru_cache(maxsize=1024)
def _largest(key: str) -> int:
    """The largest plausible value under a key."""
    return next((most for name, most in _LARGEST_BY_KEY if name.search(key)), _LARGEST_INTEGER)


def _class_name(name: object) -> str:
    """A class's name; what can be none is quoted and cut, for sentences that name it."""
    text = str(name) if isinstance(name, str | int) else type(name).__name__
    return text if _CLASS_NAME.fullmatch(text) else ascii(text[:_LONGEST_CLASS])
