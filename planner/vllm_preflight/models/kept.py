"""Models loaded once and kept, the least recently used dropped first, some renewed in time."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock

from vllm_preflight.models.model import Model

# The whole catalogue, which find_models asks for in turn, and as many others again.
_MOST_KEPT = 900


class KeptModels:
    """The models loaded last; threads may load the same one twice, never wait."""

    def __init__(self) -> None:
        self._models: OrderedDict[Hashable, Model] = OrderedDict()
        self._since: dict[Hashable, float] = {}
        self._lock = Lock()

    def get(self, key: Hashable, load: Callable[[], Model]) -> Model:
        """The model kept under `key`, or loaded now and kept."""
        with self._lock:
            found = self._models.get(key)
            if found is not None:
                self._models.move_to_end(key)
                return found
        return self._kept(key, load())

    def renewed(
        self, key: Hashable, load: Callable[[Model | None], Model], after_s: float
    ) -> Model:
        """As `get`; after so many seconds `load` is asked again, with what it gave last."""
        with self._lock:
            found, since = self._models.get(key), self._since.get(key, 0.0)
        if found is not None and time.monotonic() - since < after_s:
            return self.get(key, lambda: found)
        loaded = load(found)
        with self._lock:
            if loaded is not found:
                self._models.pop(key, None)
            self._since[key] = time.monotonic()
        return self._kept(key, loaded)

    def _kept(self, key: Hashable, loaded: Model) -> Model:
        with self._lock:
            # The first to finish wins: a model is equal only to itself.
            kept = self._models.setdefault(key, loaded)
            while len(self._models) > _MOST_KEPT:
                dropped, _ = self._models.popitem(last=False)
                self._since.pop(dropped, None)
        return kept

    def clear(self) -> None:
        """Keep nothing."""
        with self._lock:
            self._models.clear()
            self._since.clear()
