"""Running servers of several releases: their figures under every name they have had."""

from __future__ import annotations

import json

import pytest
from tests.running.conftest import Serve, models, version

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.questions.running import explain_running
from vllm_preflight.running.fetch import base_of
from vllm_preflight.running.metrics import read_running
from vllm_preflight_server.cli.main import main

MODEL = "Qwen/Qwen3-8B"
LABELS = f'model_name="{MODEL}"'
CONFIG = (
    'vllm:cache_config_info{{block_size="16",cache_dtype="auto",cpu_offload_gb="0",{engine}'
    'enable_prefix_caching="True",gpu_memory_utilization="0.9",num_gpu_blocks="{blocks}"}} 1.0\n'
)
# Invented figures under the names of each release.
V0 = (
    CONFIG.format(engine="", blocks=24_000)
    + f"vllm:num_requests_running{{{LABELS}}} 3.0\n"
    + f"vllm:num_requests_swapped{{{LABELS}}} 0.0\n"
    + f"vllm:num_requests_waiting{{{LABELS}}} 1.0\n"
    + f"vllm:gpu_cache_usage_perc{{{LABELS}}} 0.25\n"
    + f"vllm:gpu_prefix_cache_hit_rate{{{LABELS}}} 0.5\n"
    + f"vllm:num_preemptions_total{{{LABELS}}} 2.0\n"
)
V08 = (
    CONFIG.format(engine="", blocks=24_000)
    + f"vllm:num_requests_running{{{LABELS}}} 3.0\n"
    + f"vllm:num_requests_waiting{{{LABELS}}} 1.0\n"
    + f"vllm:gpu_cache_usage_perc{{{LABELS}}} 0.25\n"
    + f"vllm:gpu_prefix_cache_queries_total{{{LABELS}}} 2000.0\n"
    + f"vllm:gpu_prefix_cache_hits_total{{{LABELS}}} 1000.0\n"
    + f"vllm:num_preemptions_total{{{LABELS}}} 2.0\n"
)
V019 = (
    "# HELP vllm:num_requests_running Number of requests in model execution batches.\n"
    "# TYPE vllm:num_requests_running gauge\n"
    + CONFIG.format(engine='engine="0",', blocks=24_000)
    + CONFIG.format(engine='engine="1",', blocks=25_000)
    + f'vllm:num_requests_running{{engine="0",{LABELS}}} 2.0\n'
    + f'vllm:num_requests_running{{engine="1",{LABELS}}} 1.0\n'
    + f'vllm:num_requests_waiting{{engine="0",{LABELS}}} 1.0\n'
    + f'vllm:num_requests_waiting{{engine="1",{LABELS}}} 0.0\n'
    + f'vllm:kv_cache_usage_perc{{engine="0",{LABELS}}} 0.25\n'
    + f'vllm:kv_cache_usage_perc{{engine="1",{LABELS}}} 0.05\n'
    + f'vllm:prefix_cache_queries_total{{engine="0",{LABELS}}} 2000.0\n'
    + f'vllm:prefix_cache_hits_total{{engine="0",{LABELS}}} 1000.0\n'
    + f'vllm:num_preemptions_total{{engine="0",{LABELS}}} 2.0\n'
    + f'vllm:num_preemptions_total{{engine="1",{LABELS}}} 0.0\n'
    + f'vllm:num_preemptions_created{{engine="1",{LABELS}}} 1.7e+09\n'
)


@pytest.mark.parametrize(
    ("release", "metrics", "engines"), [("0.6.3", V0, 1), ("0.8.5", V08, 1), ("0.19.0", V019, 2)]
)
def test_figures_are_read_under_the_names_of_a_release(
    serve: Serve, release: str, metrics: str, engines: int
) -> None:
    texts = {"/version": version(release), "/v1/models": models(MODEL, 8192), "/metrics": metrics}
    server = read_running(serve(texts))
    assert (server.version, server.model, server.max_model_len) == (release, MODEL, 8192)
    assert (server.running, server.waiting, server.preemptions) == (3, 1, 2)
    assert (server.kv_cache_usage, server.prefix_hit_rate) == (0.25, 0.5)
    assert (server.num_gpu_blocks, server.engines) == (24_000, engines)
    assert server.cache["gpu_memory_utilization"] == "0.9"


def test_the_cache_stands_beside_the_prediction(serve: Serve) -> None:
    texts = {"/version": version("0.19.0"), "/v1/models": models(MODEL, 8192), "/metrics": V019}
    report = explain_running(serve(texts), overrides={"gpu": "H100"})
    assert report.prediction is not None and report.gpu == "H100 SXM5 80GB"
    row = next(row for row in report.comparison if row.term == "num_gpu_blocks")
    assert row.logged == 24_000 and row.predicted == report.prediction.num_gpu_blocks
    assert "24,000 blocks of 16 tokens" in report.explanation
    assert any("too small for this load" in step for step in report.next_steps)


def test_without_a_gpu_the_server_is_still_told(serve: Serve) -> None:
    texts = {"/version": version("0.19.0"), "/metrics": V019}
    report = explain_running(f"{serve(texts)}/v1/")
    assert report.prediction is None and report.model == MODEL
    assert any("Give gpu" in text for text in report.warnings)


def test_other_servers_are_not_taken_for_vllm(serve: Serve) -> None:
    with pytest.raises(InvalidRequest, match="not as a vLLM server"):
        read_running(serve({"/v1/models": models(MODEL, 1)}))
    with pytest.raises(InvalidRequest, match="does not answer"):
        read_running("http://127.0.0.1:9")


def test_redirects_are_not_followed(serve: Serve) -> None:
    elsewhere = serve({"/version": version("6.6.6")})
    texts = {"/version": f"302 {elsewhere}/version", "/metrics": V019}
    assert read_running(serve(texts)).version is None


@pytest.mark.parametrize("junk", ["", "{", "vllm:x{ 1", 'vllm:x{a="' + "b" * 9_000, "vllm:x nan"])
def test_odd_answers_are_no_crash(serve: Serve, junk: str) -> None:
    texts = {"/version": version("0.19.0"), "/v1/models": junk, "/metrics": junk}
    assert read_running(serve(texts)).version == "0.19.0"


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("localhost:8000", "http://localhost:8000"),
        ("http://h:8000/v1/models", "http://h:8000"),
        ("https://h/prefix/metrics", "https://h/prefix"),
        ("http://[::1]:8000/", "http://[::1]:8000"),
    ],
)
def test_addresses(url: str, base: str) -> None:
    assert base_of(url) == base


@pytest.mark.parametrize(
    "url", ["file:///etc/passwd", "http://u:p@h", "http://", "h:port", "ftp://h"]
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequest):
        base_of(url)


def test_the_command(serve: Serve, capsys: pytest.CaptureFixture[str]) -> None:
    texts = {"/version": version("0.19.0"), "/v1/models": models(MODEL, 8192), "/metrics": V019}
    url = serve(texts)
    assert main(["explain", "--url", url, "--gpu", "H100", "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["requests_running"] == 3 and answer["vllm_version"] == "0.19.0"
    command = ["--", "vllm", "serve", MODEL, "--max-model-len", "8192"]
    assert main(["explain", "--url", url, "--gpu", "H100", *command]) == 0
    assert main(["explain", "x.log", "--url", url]) == 2
