"""What each decoder family fixes in its model class and its config does not say.

One entry per `model_type`. A fact a config does state (attention_bias, head_dim,
tie_word_embeddings, …) is read from the config; these are the facts of the model
class (transformers `modeling_*.py`, vLLM 0.33 `model_executor/models/*.py`), and
`defaults` are the values the family's config class fills in for absent keys
(transformers `configuration_*.py`).
"""

from __future__ import annotations

from collections.abc import Mapping

from vllm_preflight.models.parts.decoder_traits import DecoderTraits
from vllm_preflight.models.parts.traits_dense import DENSE
from vllm_preflight.models.parts.traits_mixtures import MIXTURES

TRAITS: Mapping[str, DecoderTraits] = {**DENSE, **MIXTURES}
