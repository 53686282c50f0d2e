"""A sweep over many models, alone and on a local Ray of three nodes."""

from __future__ import annotations

import importlib.util

import pytest

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.recommend.sweep import Question, sweep, sweep_on_ray

MODELS = ("Qwen/Qwen3-8B", "Qwen/Qwen3-30B-A3B", "/no/such/folder", "Qwen/Qwen3-32B")
WORKLOAD = {"prompt_tokens": 1_024, "gen_tokens": 256, "concurrency": 16}
QUESTION = Question(WORKLOAD, ("H100 SXM5 80GB", "L40S"), max_gpus=4)
HAS_RAY = importlib.util.find_spec("ray") is not None


def test_each_model_has_its_outcome_in_order() -> None:
    told: list[str] = []
    swept = sweep(MODELS, QUESTION, progress=told.append)
    assert [item.model for item in swept] == list(MODELS)
    assert len(told) == len(MODELS)
    unreadable = swept[2]
    assert not unreadable.options and unreadable.problem is not None
    for item in (swept[0], swept[1], swept[3]):
        assert item.options and all(option.requests >= 16 for option in item.options)


@pytest.mark.skipif(HAS_RAY, reason="ray is installed")
def test_a_cluster_needs_ray() -> None:
    with pytest.raises(InvalidRequest, match="not installed"):
        sweep_on_ray(MODELS, QUESTION)


@pytest.mark.skipif(not HAS_RAY, reason="ray is not installed")
@pytest.mark.filterwarnings("default")
def test_three_nodes_answer_as_one_machine_does() -> None:
    import ray  # pyright: ignore[reportMissingImports]
    from ray.cluster_utils import Cluster  # pyright: ignore

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1})  # pyright: ignore
    try:
        for _ in range(2):
            cluster.add_node(num_cpus=1)  # pyright: ignore
        ray.init(address=cluster.address, log_to_driver=False)  # pyright: ignore
        assert len(ray.nodes()) == 3  # pyright: ignore
        assert sweep_on_ray(MODELS, QUESTION) == sweep(MODELS, QUESTION)
    finally:
        ray.shutdown()  # pyright: ignore
        cluster.shutdown()  # pyright: ignore
