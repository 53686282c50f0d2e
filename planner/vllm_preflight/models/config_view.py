"""Typed, forgiving access to a `config.json`, with errors that name the keys.

Old and new configs spell the same fact differently (`n_embd`, `hidden_size`), so a
getter takes aliases in order of preference. A missing or mistyped required key is
an `UnsupportedArchitecture` naming the aliases; nothing is ever guessed.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Any, cast

from vllm_preflight.base.errors import UnsupportedArchitecture

# Above these a value is a typing error or an attack, not a model.
_LARGEST_INTEGER = 2**40


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
        return tuple(str(name) for name in cast(list[object], names))

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
        if not 0 <= value <= _LARGEST_INTEGER:
            raise self._wrong(keys, value, "a whole number of a plausible size")
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
        """A string, `default` when absent."""
        value = self.get(*keys)
        return value if isinstance(value, str) else default

    def items(self, *keys: str) -> list[Any]:
        """A list, empty when absent or not a list."""
        value = self.get(*keys)
        return list(cast(list[Any], value)) if isinstance(value, list | tuple) else []

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
        shown = repr(value)[:60]
        return UnsupportedArchitecture(
            f"The config's {self.where}{keys[0]} is {shown}, not {wanted}.",
            "Correct the config.json.",
            keys=keys,
        )
