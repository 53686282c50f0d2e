"""Keys and values of the arguments that are JSON objects."""

from __future__ import annotations

import pytest

from vllm_preflight.launch.flags.configs import refusal_of_config

NEWEST = (0, 33, 0)


@pytest.mark.parametrize(
    ("config", "value", "said"),
    [
        ("CompilationConfig", {"mode": 3, "cudagraph_mode": "FULL"}, None),
        ("CompilationConfig", {"mode": "NONE"}, None),
        ("CompilationConfig", {"use_inductor": False}, "use_inductor: Unexpected keyword"),
        ("CompilationConfig", {"pass_config": {"fuse_norm_quant": True}}, None),
        ("CompilationConfig", {"pass_config": {"no_pass": 1}}, "pass_config.no_pass: Unexpected"),
        ("CompilationConfig", {"cudagraph_capture_sizes": "x"}, "should be a valid list"),
        ("KVTransferConfig", {"kv_connector": "X", "kv_port": "28000"}, None),
        ("KVTransferConfig", {"kv_port": "x"}, "kv_port: Input should be a valid integer"),
        ("KVTransferConfig", {"kv_role": "nobody"}, "kv_role: Input should be 'kv_producer'"),
        ("KVTransferConfig", {"kv_connector_extra_config": {"any": [1]}}, None),
        ("KVTransferConfig", {"kv_connector_extra_config": []}, "valid dictionary"),
        ("KVTransferConfig", [1], "Input should be a dictionary"),
        ("NoSuchConfig", {"a": 1}, None),
    ],
)
def test_only_what_is_sure_is_refused(config: str, value: object, said: str | None) -> None:
    problem = refusal_of_config(config, value, NEWEST)
    assert problem is None if said is None else said in (problem or "")


@pytest.mark.parametrize(
    ("release", "closed"),
    [((0, 9, 0), True), ((0, 12, 0), False), ((0, 15, 1), False), ((0, 16, 0), True)],
)
def test_unknown_keys_are_refused_where_the_release_forbids_them(
    release: tuple[int, int, int], closed: bool
) -> None:
    assert (refusal_of_config("KVTransferConfig", {"no_key": 1}, release) is not None) is closed
