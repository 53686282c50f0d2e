"""Launches written in every shape and read back: nothing lost, nothing made up."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.manifests.shapes import SHAPES, Wanted

from vllm_preflight.hardware.spoken import read_hardware_name
from vllm_preflight.launch.arguments import parse_server
from vllm_preflight.manifests.places import argument_places
from vllm_preflight.manifests.read import read_manifest

# Names that label a GPU in all of the shapes.
GPUS = ("nvidia-l4", "nvidia-l40s", "nvidia-h100", "nvidia-h200", "nvidia-b200", "nvidia-a10g")

launches = st.builds(
    Wanted,
    model=st.sampled_from(
        ["Qwen/Qwen3-8B", "org/A-model_1.5", "/models/own", "openai/gpt-oss-20b"]
    ),
    tensor=st.sampled_from([1, 2, 4, 8]),
    length=st.integers(1, 131_072),
    seqs=st.integers(1, 1024),
    share=st.integers(10, 99).map(lambda percent: percent / 100),
    gpu=st.sampled_from(GPUS),
    nodes=st.sampled_from([1, 1, 2, 4]),
    replicas=st.integers(1, 5),
    release=st.sampled_from(["0.11.2", "0.19.0", "0.33.0"]),
    equals=st.booleans(),
    eager=st.booleans(),
)


@pytest.mark.parametrize("shape", SHAPES)
@settings(max_examples=15, deadline=None)
@given(wanted=launches)
def test_what_is_put_in_is_read_back(shape: str, wanted: Wanted) -> None:
    write, name, says = SHAPES[shape]
    if "nodes" not in says:
        wanted = replace(wanted, nodes=1)
    text = write(wanted)
    (server,) = read_manifest(text, name)
    assert server.command is not None, server.problem
    parsed = parse_server(server.command, wanted.release)
    fields: dict[str, Any] = {k: v for k, v in parsed.fields.items() if k != "vllm_version"}
    tensor = fields.pop("tensor_parallel_size", 1)
    assert tensor == wanted.tensor
    expected = {k: v for k, v in wanted.settings.items() if k != "tensor_parallel_size"}
    assert fields == {"model": wanted.model, **expected}
    if "gpu" in says:
        assert server.gpus.names == (read_hardware_name(wanted.gpu).gpu.name,)
    if "gpus" in says:
        assert server.gpus.count == wanted.tensor
    if "replicas" in says:
        assert server.replicas == wanted.replicas
    if "nodes" in says:
        assert server.nodes == wanted.nodes
    if "release" in says:
        assert server.release == wanted.release
    lines = text.splitlines()
    for flag, line in argument_places(server, lines):
        if flag == "--max-num-seqs":
            shown = lines[line - 1].replace("_", "-").lower()
            assert "max-num-seqs" in shown or "maxnumseqs" in shown
