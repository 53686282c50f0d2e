"""vllm run-batch: no server, with an engine whose memory is a server's."""

from __future__ import annotations

import pytest

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.contract.check import StartupRequest
from vllm_preflight.launch.arguments import parse_command
from vllm_preflight.questions.check import predict_startup


@pytest.mark.parametrize(
    "text",
    [
        "vllm run-batch -i in.jsonl -o out.jsonl --model X -tp 2",
        "vllm run-batch --input-file=s3://b/in.jsonl --output-file out --model=X -tp=2",
        "vllm run-batch -iin -oout --model X -tp 2 --enable-metrics --port 9000 --url 0.0.0.0",
        "python -m vllm.entrypoints.openai.run_batch -i in -o out --model X -tp 2",
        "python3 -m vllm.entrypoints.launchers.run_batch -i in -o out -tp 2 --model X",
        "python -m vllm.entrypoints.cli.main run-batch -i in -o out -tp 2 --model X",
        "bash -c 'exec vllm run-batch -i in -o out --model X -tp 2 --max-inflight 64'",
        "docker run --gpus 2 --entrypoint vllm vllm/vllm-openai run-batch -ia -ob --model X -tp 2",
    ],
)
def test_its_own_flags_are_left_to_it(text: str) -> None:
    parsed = parse_command(text)
    assert parsed.refusal is None
    assert dict(parsed.fields) == {"model": "X", "tensor_parallel_size": 2}
    assert parsed.batch_runner
    assert any("serves nobody" in warning for warning in parsed.warnings)


def test_its_text_is_kept_when_a_flag_is_added() -> None:
    parsed = parse_command("vllm run-batch -i in.jsonl -oout.jsonl --model X # nightly")
    changed = parsed.line(["--max-model-len 8192"])
    assert (
        changed == "vllm run-batch -i in.jsonl -oout.jsonl --model X --max-model-len 8192 # nightly"
    )


def test_it_takes_no_model_by_place() -> None:
    with pytest.raises(InvalidRequest, match="does not take a model that stands by itself"):
        parse_command("vllm run-batch X -i in -o out")


def test_its_engine_has_defaults_of_its_own() -> None:
    def ask(words: str) -> tuple[int, int, float]:
        command = f"vllm {words} --model Qwen/Qwen3-8B".replace("serve --model", "serve")
        answer = predict_startup(StartupRequest(command=command, gpu="H100", vllm_version="0.33.0"))
        given, kv = answer.arguments, answer.startup.available_kv_cache_gib
        assert answer.verdict.good and kv is not None
        return given["max_num_seqs"], given["max_num_batched_tokens"], kv

    seqs, tokens, kv = ask("run-batch -i in -o out")
    assert (seqs, tokens) == (128, 2048)
    # Fewer tokens in a step leave more for the cache than a server on the same card has.
    assert kv > ask("serve")[2] + 1
