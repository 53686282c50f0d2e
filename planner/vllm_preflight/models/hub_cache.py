"""Reading a model from the Hub's cache on this machine, without a network.

Other programs fill that cache, often with config.json alone. Whether a snapshot says
all that decides is a question of its own: `is_whole`.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path

from vllm_preflight.models.config_files import CONFIG_NAME, MODELOPT_NAME
from vllm_preflight.models.local import read_folder
from vllm_preflight.models.mistral_params import PARAMS_NAME
from vllm_preflight.models.model import Model
from vllm_preflight.models.quantization import read_quantization

# Dtypes that are never a packed form of a quantised weight.
_UNQUANTIZED = frozenset({"BF16", "F16", "F32", "F64"})


@dataclass(frozen=True)
class CachedSnapshot:
    """A commit of a model in the Hub's cache on this machine.

    `modelopt_known` says whether the cache has the model's hf_quant_config.json, or knows
    that there is none.
    """

    model: str
    folder: Path
    modelopt_known: bool

    @property
    def commit(self) -> str:
        """The commit's hash."""
        return self.folder.name


def find_cached(model: str, revision: str | None) -> CachedSnapshot | None:
    """The cached snapshot of a model's revision ("main" when None), or None."""
    # The library is slow to import: not for a model that was never downloaded.
    folder = f"models--{model.replace('/', '--')}"
    if not os.path.isdir(os.path.join(_cache_folder(), folder)):
        return None
    from huggingface_hub import constants, try_to_load_from_cache

    def cached(name: str) -> object:
        return try_to_load_from_cache(
            model, name, cache_dir=constants.HF_HUB_CACHE, revision=revision
        )

    # A repository in Mistral's own format may hold no config.json.
    config_path = cached(CONFIG_NAME)
    if not isinstance(config_path, str):
        config_path = cached(PARAMS_NAME)
    if not isinstance(config_path, str):
        return None
    # Anything but None: a path, or the library's mark for "the Hub has no such file".
    return CachedSnapshot(model, Path(config_path).parent, cached(MODELOPT_NAME) is not None)


def _cache_folder() -> str:
    """Where huggingface_hub keeps its cache, by the variables it reads when imported."""
    constants = sys.modules.get("huggingface_hub.constants")
    if constants is not None:
        return str(constants.HF_HUB_CACHE)
    environment = os.environ
    named = environment.get("HF_HUB_CACHE") or environment.get("HUGGINGFACE_HUB_CACHE")
    if named:
        return os.path.expandvars(os.path.expanduser(named))
    caches = environment.get("XDG_CACHE_HOME") or "~/.cache"
    home = environment.get("HF_HOME") or os.path.join(caches, "huggingface")
    return os.path.join(os.path.expandvars(os.path.expanduser(home)), "hub")


def is_whole(snapshot: CachedSnapshot, model: Model) -> bool:
    """Whether a cached model's facts are complete.

    transformers caches config.json alone, and a hf_quant_config.json left on the Hub
    would make another model of it.
    """
    return (
        snapshot.modelopt_known
        or model.config.get("quantization_config") is not None
        or (bool(model.bytes_by_dtype) and _UNQUANTIZED.issuperset(model.bytes_by_dtype))
    )


def cached_model(snapshot: CachedSnapshot) -> Model:
    """The model of a cached snapshot.

    Raises:
        InvalidRequest: a cached file is damaged.
        UnsupportedArchitecture: the config is of an architecture that is not understood.
    """
    facts = read_folder(snapshot.folder)
    return Model(
        id=snapshot.model,
        origin="cache",
        provenance=f"{facts.name} in the Hub's cache on this machine, commit {snapshot.commit}",
        config=facts.config,
        architecture=facts.architecture,
        quantization=read_quantization(facts.config),
        revision=snapshot.commit,
        params_published=facts.stored.elements if facts.stored else None,
        checkpoint_bytes=facts.checkpoint_bytes,
        bytes_by_dtype=facts.stored.bytes_by_dtype if facts.stored else {},
        notes=facts.notes,
    )
