from __future__ import annotations

import pytest

from vllm_preflight.memory.weights.pipeline import model_stages, pipeline_stages
from vllm_preflight.models.config_reader import read_architecture


@pytest.mark.parametrize(("layers", "stages", "sizes"), [
    (32, 4, [8, 8, 8, 8]),
    (61, 4, [15, 15, 16, 15]),
    (42, 4, [10, 11, 11, 10]),
    (32, 3, [11, 11, 10]),
])  # fmt: skip
def test_layers_left_over_go_before_the_last_stage(layers: int, stages: int, sizes: list[int]):
    found = pipeline_stages(layers, stages)
    assert [len(stage) for stage in found] == sizes
    assert [index for stage in found for index in stage] == list(range(layers))


def test_a_tied_embedding_is_on_the_last_stage_again():
    tied = read_architecture(
        {
            "model_type": "llama",
            "hidden_size": 256,
            "intermediate_size": 512,
            "num_hidden_layers": 6,
            "num_attention_heads": 4,
            "vocab_size": 1000,
            "max_position_embeddings": 512,
            "tie_word_embeddings": True,
        }
    )
    stages = model_stages(tied, 3)
    assert [stage.embedding for stage in stages] == [True, False, True]
