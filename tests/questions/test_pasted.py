"""Launches as people paste them: the outcome, and the whole line that starts instead."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.contract.check import StartupRequest, StartupResponse
from vllm_preflight.contract.request import validate_request
from vllm_preflight.questions.check import predict_startup

Q8, Q32 = "Qwen/Qwen3-8B", "Qwen/Qwen3-32B"
LLAMA8, MISTRAL = "meta-llama/Llama-3.1-8B-Instruct", "mistralai/Mistral-7B-Instruct-v0.2"
YARN = '{"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}'
IMAGE = "docker run --gpus all vllm/vllm-openai:v0.19.0"


def check(command: str, **fields: Any) -> StartupResponse:
    given = {"gpu": "H100", **fields, "command": command}
    return predict_startup(validate_request(StartupRequest, given))


@pytest.mark.parametrize(
    ("command", "gpus", "outcome", "said", "line"),
    [
        (f"CUDA_VISIBLE_DEVICES=0,1 vllm serve {Q8} -tp 2", None, "starts", "", "-tp 2"),
        (f"CUDA_VISIBLE_DEVICES=0,1 vllm serve {Q8} -tp 4", None, "refused",
         "World size (4) is larger than the number of available GPUs (2) in this node. "
         "CUDA_VISIBLE_DEVICES=0,1 lets it see no more",
         f"CUDA_VISIBLE_DEVICES=0,1 vllm serve {Q8} --tensor-parallel-size 2"),
        (f"CUDA_VISIBLE_DEVICES=0,1 vllm serve {Q8} -tp 4", 8, "refused", "available GPUs (2)",
         "--tensor-parallel-size 2"),
        (f"CUDA_VISIBLE_DEVICES= vllm serve {Q8}", None, "refused", "Failed to infer device", None),
        (f"docker run --gpus device=0 vllm/vllm-openai:v0.19.0 --model {Q8} -tp 2", None, "refused",
         "--gpus device=0 lets it see no more",
         f"docker run --gpus device=0 vllm/vllm-openai:v0.19.0 --model {Q8} "
         "--tensor-parallel-size 1"),
        (f"docker run --gpus 2 vllm/vllm-openai:v0.12.0 --model {Q8} -tp 4", None, "refused",
         "Tensor parallel size (4) cannot be larger than the number of available GPUs (2)",
         "--tensor-parallel-size 2"),
        (f"docker run --gpus 2 vllm/vllm-openai:v0.10.0 --model {Q8} -tp 4", None, "refused",
         "turns to a Ray cluster for 4 GPUs", "--tensor-parallel-size 2"),
        (f"#SBATCH --gres=gpu:2\nsrun vllm serve {Q8} -tp 4", None, "refused", "(2) in this node",
         "#SBATCH --gres=gpu:2\nsrun vllm serve"),
        # What the request says of GPUs is counted in the same way.
        (f"vllm serve {Q8} -tp 4", 2, "refused", "available GPUs (2)", "--tensor-parallel-size 2"),
        (f"vllm serve {Q8} -tp 2 -pp 2", 2, "refused", "World size (4)",
         "--pipeline-parallel-size 1"),
        (f"vllm serve {Q8} -tp 2 -dp 4", 4, "refused", "4 replicas of 2 GPUs need 8, but 4 are",
         "--data-parallel-size 2"),
        (f"vllm serve {Q32} -tp 3 -dp 4", 2, "refused", "World size (3)",
         "--tensor-parallel-size 2 --data-parallel-size 1"),
        # Over several machines one of them does not decide.
        (f"vllm serve {Q8} -tp 4 --distributed-executor-backend ray", 2, "starts", "", "-tp 4"),
        (f"vllm serve {Q8} -tp 2 -pp 2 --nnodes 2 --node-rank 0", 2, "starts", "", "-tp 2"),
        (f"vllm serve {Q8} -dp 4 -dpl 2 --headless -dpr 2", 2, "starts", "", "-dp 4"),
    ],
)  # fmt: skip
def test_a_launch_needs_the_gpus_that_it_sees(
    command: str, gpus: int | None, outcome: str, said: str, line: str | None
) -> None:
    answer = check(command, **({} if gpus is None else {"gpus": gpus}))
    assert answer.verdict.outcome == outcome
    assert said in answer.verdict.sentence
    assert (line is None) == (answer.command is None)
    assert line is None or line in (answer.command or "")


@pytest.mark.parametrize(
    ("command", "gpus", "said"),
    [
        (f"docker run --gpus 4 vllm/vllm-openai:v0.19.0 --model {Q8}", 2, "--gpus 4 names 4 GPUs"),
        (f"CUDA_VISIBLE_DEVICES=0,1,2,3 vllm serve {Q8}", 1, "names 4 GPUs, but there is 1"),
    ],
)
def test_two_numbers_of_gpus_are_a_contradiction(command: str, gpus: int, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        check(command, gpus=gpus)


@pytest.mark.parametrize(
    ("command", "gpu", "said"),
    [
        (f"docker run vllm/vllm-openai-rocm:v0.19.0 --model {Q8}", "H100", "AMD GPUs (ROCm), not"),
        (f"docker run vllm/vllm-openai-rocm:v0.19.0 --model {Q8}", "MI300X", "vLLM on AMD"),
        (f"docker run rocm/vllm:rocm7.0_vllm_0.11.2 vllm serve {Q8}", "H100", "AMD GPUs (ROCm)"),
        (f"docker run vllm-cpu-env --model {Q8}", "H100", "for the CPU"),
        (f"docker run vllm/vllm-tpu:nightly vllm serve {Q8}", "H100", "TPUs"),
        (f"docker run vllm/vllm-openai-xpu:v0.19.0 {Q8}", "H100", "Intel GPUs (XPU)"),
        (f"VLLM_CPU_KVCACHE_SPACE=40 vllm serve {Q8}", "H100", "for the CPU"),
        (f"HIP_VISIBLE_DEVICES=0 vllm serve {Q8}", "H100", "AMD GPUs (ROCm)"),
        (f"{IMAGE} --model {Q8}", "MI300X", "vLLM on AMD hardware"),
        (f"{IMAGE} --model {Q8}", "MI300X", "AMD's take vllm/vllm-openai-rocm"),
        (f"vllm serve {Q8} --config /nowhere/x.yaml", "H100", "what it sets is not known"),
        (f"{IMAGE} {Q8} --config /cfg/x.yaml", "H100", "'/cfg/x.yaml' of --config is not here"),
    ],
)
def test_what_is_not_known_is_not_modelled(command: str, gpu: str, said: str) -> None:
    answer = check(command, gpu=gpu)
    assert answer.verdict.outcome == "not_modelled"
    assert said in answer.verdict.sentence
    assert answer.verdict.start_probability is None and answer.command is None
    assert answer.startup.weights_gib and answer.startup.kv_bytes_per_token
    assert answer.startup.kv_cache_tokens is None and not answer.next_steps


def test_a_config_file_that_is_here_decides(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("max-model-len: 4096\n", encoding="utf-8")
    answer = check(f"vllm serve {Q8} --config {tmp_path}/x.yaml")
    assert answer.verdict.outcome == "starts" and answer.arguments["max_model_len"] == 4096
    with pytest.raises(InvalidRequest, match="names no model, and the file"):
        check("vllm serve --config /nowhere/x.yaml")


@pytest.mark.parametrize(
    ("command", "line", "said"),
    [
        (f"{IMAGE} --model {Q8} --no-such 3 --port 80", f"{IMAGE} --model {Q8} --port 80",
         "vLLM 0.19.0 stops with"),
        (f"ssh h 'vllm serve {Q8} --swap-space 4 | tee l'", f"ssh h 'vllm serve {Q8} | tee l'",
         "0.33.0 (assumed, none was given) stops with"),
        (f"pip install vllm==0.25.0\nvllm serve {Q8} --task generate",
         f"pip install vllm==0.25.0\nvllm serve {Q8}", "vLLM 0.25.0 stops with"),
        (f"vllm serve {Q8} \\ \n  --max-model-len 4096",
         f"vllm serve {Q8} \\\n  --max-model-len 4096", "A backslash before a blank"),
        (f"{IMAGE} \\ \n  --model {Q8}", f"{IMAGE} \\\n  --model {Q8}", "A backslash before"),
        (f"vllm serve {Q8} —max-model-len 4096", f"vllm serve {Q8} --max-model-len 4096",
         "long dash"),
        (f"vllm serve “{Q8}” --port 80", f"vllm serve {Q8} --port 80", "Curly quotes"),
        (f"vllm serve https://huggingface.co/{Q8}/tree/main", f"vllm serve {Q8}",
         "not its address"),
        (f"{IMAGE} --model=hf.co/{Q8}", f"{IMAGE} --model={Q8}", "HFValidationError"),
        (f"vllm serve {Q8} --max-model-len 32,768 --port 80",
         f"vllm serve {Q8} --max-model-len 32768 --port 80", "--max-model-len"),
        (f"vllm serve {Q8} --gpu-memory-utilization 90%",
         f"vllm serve {Q8} --gpu-memory-utilization 0.9", "--gpu-memory-utilization"),
        (f"vllm serve {Q8} --gpu-memory-utilization 0,9",
         f"vllm serve {Q8} --gpu-memory-utilization 0.9", "--gpu-memory-utilization"),
        (f"vllm serve {Q8} --trust-remote-code=True --port 80",
         f"vllm serve {Q8} --trust-remote-code --port 80", "a switch"),
        # The parser takes the corrected line; with it memory is short, and that is mended too.
        (f"vllm serve {Q32} --no-such 3", f"vllm serve {Q32} --max-model-len 29696", "--no-such"),
        # What to write depends on more than the line.
        (f"vllm serve {Q8} --rope-scaling '{{}}'", None, "--hf-overrides"),
        (f"vllm serve {MISTRAL} --rope-theta 1000000", None, "--hf-overrides"),
        (f"vllm serve {Q8} --hf-overrides '{{\"rope_parameters\": {{}}}}' --rope-theta 5", None,
         "--rope-theta"),
        # Flags that are one object now are put into it together, and into one that is there.
        (f"vllm serve {Q8} --speculative-model Qwen/Qwen3-0.6B --port 80 "
         "--num-speculative-tokens=4 --spec-decoding-acceptance-method rejection_sampler",
         f"vllm serve {Q8} '--speculative-config={{\"model\": \"Qwen/Qwen3-0.6B\", "
         "\"num_speculative_tokens\": 4}' --port 80",
         "Its place is taken by --speculative-config"),
        (f"vllm serve {Q8} --speculative-model '[ngram]' --ngram-prompt-lookup-max 3 "
         "--num-speculative-tokens 4",
         f"vllm serve {Q8} '--speculative-config={{\"method\": \"ngram\", "
         "\"num_speculative_tokens\": 4, \"prompt_lookup_max\": 3}'",
         "Its place is taken by --speculative-config"),
        (f"vllm serve {Q8} --ngram-prompt-lookup-max 3", f"vllm serve {Q8}", "--ngram-prompt"),
        (f"vllm serve {Q8} --speculative-model no/such --num-speculative-tokens 4", None,
         "Its place is taken by --speculative-config"),
        (f"vllm serve {Q8} --rope-theta 5e5 --hf_overrides '{{\"max_position_embeddings\": 9000}}'",
         f"vllm serve {Q8} --hf_overrides '{{\"max_position_embeddings\": 9000, "
         "\"rope_parameters\": {\"rope_theta\": 500000.0, \"rope_type\": \"default\"}}'",
         "Its place is taken by --hf-overrides"),
        (f"vllm serve {Q8} --eplb-window-size 9 --num-redundant-experts 2",
         f"vllm serve {Q8} --eplb-config.window_size=9", "Its place is taken by --eplb-config"),
        (f"vllm serve {Q8} --cuda-graph-sizes 1 2 4",
         f"vllm serve {Q8} '-cc={{\"cudagraph_capture_sizes\": [1, 2, 4]}}'", "was last in"),
        (f"vllm serve {Q8} --guided-decoding-disable-fallback", f"vllm serve {Q8}", "was last in"),
        # A rope is replaced whole: its base frequency, and the scaling beside a new one, stay.
        (f"vllm serve {LLAMA8} --rope-theta 1000000",
         f"vllm serve {LLAMA8} '--hf-overrides={{\"rope_parameters\": {{\"rope_theta\": 1000000, "
         "\"factor\": 8.0, \"low_freq_factor\": 1.0, \"high_freq_factor\": 4.0, "
         "\"original_max_position_embeddings\": 8192, \"rope_type\": \"llama3\"}}'",
         "Its place is taken by --hf-overrides"),
        (f"vllm serve {Q8} --rope-scaling '{YARN}' --port 80",
         f"vllm serve {Q8} '--hf-overrides={{\"rope_parameters\": {{\"rope_theta\": 1000000, "
         f"{YARN[1:]}}}' --port 80", "Its place is taken by --hf-overrides"),
        (f"{IMAGE} --model {Q8} --rope-scaling '{YARN}' --max-model-len 131072",
         f"{IMAGE} --model {Q8} '--hf-overrides={{\"rope_parameters\": {{\"rope_theta\": "
         f"1000000, {YARN[1:]}}}' --max-model-len 131072", "Its place is taken by --hf-overrides"),
        (f"vllm serve {Q8} -O '{{\"level\": 3}}' --port 80",
         f"vllm serve {Q8} '-cc={{\"mode\": 3}}' --port 80", "-O takes 0 to 3"),
        (f"vllm serve {Q8} -O.cudagraph_mode=NONE", f"vllm serve {Q8} -cc.cudagraph_mode=NONE",
         "-O takes 0 to 3"),
        (f"vllm serve {Q8} -O5", None, "'5' is not a valid OptimizationLevel"),
        (f"vllm serve {Q8} -O 5", None, "unrecognized arguments: -O 5"),
        (f"vllm serve {Q8} --limit-mm-per-prompt image=1,video=0 --swap-space 4",
         f"vllm serve {Q8} --limit-mm-per-prompt '{{\"image\": 1, \"video\": 0}}'",
         "invalid loads value: 'image=1,video=0'"),
        (f"vllm serve {Q8} --kv-cache-dtype bf16", f"vllm serve {Q8} --kv-cache-dtype bfloat16",
         "Invalid kv_cache_dtype: 'bf16'"),
        (f"alias v='vllm serve'\nv {Q8} --swap-space 4", f"alias v='vllm serve'\nv {Q8}",
         "--swap-space was last in"),
        (f"alias q='vllm serve {Q8} --swap-space 4'\nq --port 80", f"vllm serve {Q8} --port 80",
         "--swap-space was last in"),
        (f"vllm serve {Q8} --cuda-graph-sizes 8", f"vllm serve {Q8} --max-cudagraph-capture-size=8",
         "--cuda-graph-sizes was last in"),
        (f"vllm serve {Q8} --guided-decoding-disable-any-whitespace --port 80",
         f"vllm serve {Q8} --structured-outputs-config.disable_any_whitespace=true --port 80",
         "Its place is taken by --structured-outputs-config"),
        (f"vllm serve {Q8} -tp2", f"vllm serve {Q8} -tp=2", "did you mean -tp?"),
        (f"vllm serve {Q8} --hf-overrides “{{}}”", None, "valid dictionary"),
        ("vllm serve no/such-model --no-such 3", None, "--no-such"),
    ],
)  # fmt: skip
def test_a_refusal_gives_the_whole_line_that_starts(
    command: str, line: str | None, said: str
) -> None:
    answer = check(command)
    assert answer.verdict.outcome == "refused"
    assert said in answer.verdict.sentence
    assert answer.command == line
    if line is not None:
        assert check(line).verdict.good


def test_words_that_a_script_is_handed_are_said_to_be_unknown() -> None:
    open_ended = check(f'vllm serve {Q8} "$@"')
    assert any("$@ is not known" in warning for warning in open_ended.warnings)
    for line in (f'set -- --port 80\nvllm serve {Q8} "$@"', f"vllm serve {Q8} --port 80"):
        assert not any("$@" in warning for warning in check(line).warnings)
    handed = check(f'set -- --max-model-len 4096\nvllm serve {Q8} "$@"')
    assert handed.arguments["max_model_len"] == 4096


def test_positions_that_a_rope_reaches_are_stated() -> None:
    line = f"vllm serve {Q8} --rope-scaling '{YARN}' --max-model-len 131072"
    answer = check(line)
    assert answer.command is not None
    assert '"max_position_embeddings": 131072' in answer.command
    assert answer.command.endswith("--max-model-len 131072")
    assert check(answer.command).verdict.good


def test_a_memory_remedy_keeps_everything_around_the_server() -> None:
    start = "docker run --gpus all -e A=b -p 80:80 vllm/vllm-openai:v0.33.0"
    answer = check(f"{start} --model {Q32} --served-model-name q --reasoning-parser qwen3")
    assert answer.verdict.outcome == "does_not_start"
    assert answer.command == (
        f"{start} --model {Q32} --served-model-name q --reasoning-parser qwen3 "
        "--max-model-len 29696"
    )


def test_flags_beside_a_command_go_to_the_server() -> None:
    answer = check(f"vllm serve {Q8} 2>&1 | tee log", vllm_args="--max-model-len 4096")
    assert answer.arguments["max_model_len"] == 4096
    assert answer.command == f"vllm serve {Q8} --max-model-len 4096 2>&1 | tee log"


@pytest.mark.parametrize(
    ("command", "version"),
    [
        (f"pip install vllm==0.11.0 && vllm serve {Q8}", "0.11.0"),
        (f"uvx vllm@0.11.0 serve {Q8}", "0.11.0"),
        (f"{IMAGE} --model {Q8}", "0.19.0"),
        (f"vllm serve {Q8}", "0.33.0"),
    ],
)
def test_the_release_of_the_text_is_asked(command: str, version: str) -> None:
    assert check(command).startup.vllm_version == version


def test_a_model_that_the_older_module_does_not_read_is_named() -> None:
    for start in (
        "python -m vllm.entrypoints.openai.api_server",
        "docker run --gpus all vllm/vllm-openai:v0.10.0",
    ):
        with pytest.raises(InvalidRequest, match=r"would serve Qwen/Qwen3-0\.6B"):
            check(f"{start} {Q8}")
        assert check(f"{start} --model {Q8}").verdict.outcome == "starts"
    with pytest.raises(InvalidRequest, match="would stop"):
        check(f"docker run vllm/vllm-openai:v0.9.2 {Q8}")


LLAMA = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "hidden_size": 2048,
    "intermediate_size": 8192, "num_hidden_layers": 8, "num_attention_heads": 16,
    "num_key_value_heads": 16, "vocab_size": 1024, "max_position_embeddings": 4096,
    "torch_dtype": "float16",
}  # fmt: skip
AWQ = {"zero_point": True, "q_group_size": 128, "w_bit": 4, "version": "GEMM"}
GPTQ = {"bits": 4, "group_size": 128, "desc_act": False, "sym": True}
BERT = {
    "architectures": ["XLMRobertaModel"], "model_type": "xlm-roberta", "hidden_size": 64,
    "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "vocab_size": 1000,
    "max_position_embeddings": 1026, "pad_token_id": 1, "type_vocab_size": 1,
    "position_embedding_type": "absolute", "torch_dtype": "float32",
}  # fmt: skip


def folder(path: Path, **files: object) -> Path:
    for name, content in files.items():
        (path / f"{name}.json").write_text(json.dumps(content), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("file", "content", "method"),
    [("quant_config", AWQ, "awq"), ("quantize_config", GPTQ, "gptq")],
)
def test_weights_packed_beside_a_silent_config_need_the_flag(
    tmp_path: Path, file: str, content: dict[str, Any], method: str
) -> None:
    plain = check(f"vllm serve {folder(tmp_path, config=LLAMA)}").startup
    packed = folder(tmp_path, **{file: content})
    silent = check(f"vllm serve {packed} --port 80")
    assert silent.verdict.outcome == "refused" and file in silent.verdict.sentence
    assert silent.command == f"vllm serve {packed} --port 80 --quantization {method}"
    told = check(f"vllm serve {packed} --quantization {method}")
    assert told.verdict.outcome == "starts"
    assert plain.weights_gib and told.startup.weights_gib
    assert told.startup.weights_gib < plain.weights_gib / 3


@pytest.mark.parametrize(
    ("tokenizer", "sentence", "version", "longest"),
    [
        ({"model_max_length": 512}, None, "0.33.0", 512),
        ({"model_max_length": 512}, None, "0.12.0", 512),
        ({"model_max_length": 512}, {"max_seq_length": 600}, "0.33.0", 600),
        ({"model_max_length": 1e30}, None, "0.33.0", 1024),
        ({}, None, "0.33.0", 1024),
    ],
)
def test_a_tokenizers_length_limits_models_that_embed(
    tmp_path: Path,
    tokenizer: dict[str, Any],
    sentence: dict[str, Any] | None,
    version: str,
    longest: int,
) -> None:
    files = {} if sentence is None else {"sentence_bert_config": sentence}
    model = folder(tmp_path, config=BERT, tokenizer_config=tokenizer, **files)
    answer = check(f"vllm serve {model}", vllm_version=version)
    assert answer.arguments["max_model_len"] == longest
    longer = check(f"vllm serve {model} --max-model-len {longest + 1}", vllm_version=version)
    assert longer.verdict.outcome == "refused"


def test_a_tokenizers_length_does_not_limit_a_generator(tmp_path: Path) -> None:
    model = folder(tmp_path, config=LLAMA, tokenizer_config={"model_max_length": 512})
    assert check(f"vllm serve {model}").arguments["max_model_len"] == 4096
