"""Models loaded once and kept, the least recently used dropped first."""

from __future__ import annotations

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
        self._lock = Lock()

    def get(self, key: Hashable, load: Callable[[], Model]) -> Model:
        """The model kept under `key`, or loaded now and kept."""
        with self._lock:
            found = self._models.get(key)
            if found is not None:
                self._models.move_to_end(key)
                return found
        loaded = load()
        with self._lock:
            # The first to finish wins: a model is equal only to itself.
            kept = self._models.setdefault(key, loaded)
            while len(self._models) > _MOST_KEPT:
                self._models.popitem(last=False)
        return kept

    def clear(self) -> None:
        """Keep nothing."""
        with self._lock:
            self._models.clear()
