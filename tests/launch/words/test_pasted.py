"""Commands as people paste them: what a shell, a manifest or a word processor made of them."""

from __future__ import annotations

from typing import Any

import pytest

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.launch.arguments import parse_command

OFFICIAL = "vllm/vllm-openai:v0.33.0"
X, X2 = {"model": "X"}, {"model": "X", "tensor_parallel_size": 2}


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        # Placeholders and open variables that change nothing are read over.
        ("vllm serve X --host <ip> -tp 2", X2),
        ("vllm serve X --host <your host> --port $PORT -tp 2", X2),
        ("vllm serve X -tp 2 --api-key ${KEY} --chat-template $(pwd)/t.jinja", X2),
        ("vllm serve X -tp 2 < in.txt > out.log 2>&1", X2),
        # Variables, arrays, defaults, arithmetic.
        ('ARGS="--max-model-len 4096 -tp 2"\nvllm serve X $ARGS', {**X2, "max_model_len": 4096}),
        ('ARGS=(-tp 2)\nARGS+=(--max-model-len 4k)\nvllm serve X "${ARGS[@]}"', {
            **X2, "max_model_len": 4000,
        }),
        ("ARGS=(\n  --max-model-len 4096  # long\n  -tp 2\n)\nvllm serve X ${ARGS[*]}", {
            **X2, "max_model_len": 4096,
        }),
        ("MODEL=${MODEL:-X}\nvllm serve $MODEL", X),
        ("vllm serve ${MODEL:-X} -tp ${TP:-2}", X2),
        ("vllm serve ${1:-X} ${EXTRA:+--no-such} \"$@\"", X),
        ("N=2; vllm serve X -tp $((N)) --max-model-len $((16*1024))", {
            **X2, "max_model_len": 16384,
        }),
        ('CMD="vllm serve X -tp 2"; $CMD', X2),
        (': "${M:=X}"; vllm serve $M', X),
        # Programs that run what they are given.
        ("bash -c 'vllm serve X -tp 2'", X2),
        ('bash -c -i "vllm serve X -tp 2"', X2),
        ("/bin/bash -euxo pipefail -c 'cd /x && exec vllm serve X -tp 2'", None),
        ('eval "vllm serve X -tp 2"', X2),
        ("eval vllm serve X -tp 2", X2),
        ('ssh host "vllm serve X -tp 2"', X2),
        ('tmux new -d "vllm serve X -tp 2"', X2),
        ("tmux new-session -d -s v 'vllm serve X -tp 2'", X2),
        ('sbatch --wrap="vllm serve X -tp 2"', X2),
        ("bash <<EOF\nvllm serve X -tp 2\nEOF", X2),
        ("cat <<EOF > a\nvllm serve A/B\nEOF\nvllm serve X -tp 2", X2),
        ("cat > run.sh <<'EOF'\n#!/bin/bash\nvllm serve X -tp 2\nEOF", X2),
        # Containers.
        (f"docker run --entrypoint bash {OFFICIAL} -c 'vllm serve X -tp 2'", {
            **X2, "vllm_version": "0.33.0",
        }),
        (f"docker run --entrypoint vllm {OFFICIAL} serve X", {**X, "vllm_version": "0.33.0"}),
        (f"docker container run -dt {OFFICIAL} --model X", {**X, "vllm_version": "0.33.0"}),
        (f"docker run -v $(pwd)/x:/x {OFFICIAL} --model X", {**X, "vllm_version": "0.33.0"}),
        ("apptainer run docker://vllm/vllm-openai:v0.11.0 --model X", {
            **X, "vllm_version": "0.11.0",
        }),
        ("singularity exec --nv v.sif vllm serve X", X),
        # Prompts and continuations of other shells.
        ("$ vllm serve X", X),
        ("> vllm serve X", X),
        ("# vllm serve X", X),
        ("(venv) user@host:~/x$ vllm serve X", X),
        ("root@3f:/# vllm serve X", X),
        ("vllm serve X ^\r\n  -tp 2", X2),
        ("vllm serve X `\r\n  -tp 2", X2),
        ("PS C:\\> vllm serve X", X),
        ("C:\\> vllm serve X", X),
        ('"C:\\Program Files\\Docker\\docker.exe" run vllm/vllm-openai:v0.33.0 --model X', {
            **X, "vllm_version": "0.33.0",
        }),
        # Markdown, notebooks, Python, prose.
        ("```bash\nvllm serve X -tp 2\n```", X2),
        ("It doesn't start:\n```\n$ vllm serve X -tp 2\n```\nWhy?", X2),
        ("!vllm serve X -tp 2 &", X2),
        ("%%bash --bg\nvllm serve X -tp 2", X2),
        ('subprocess.Popen(["vllm", "serve", "X", "-tp", "2"])', X2),
        ("os.system('vllm serve X -tp 2')", X2),
        ("Just run `vllm serve X -tp 2` and you're done", X2),
        # What other programs read.
        ("MODEL ?= X\nserve:\n\t@vllm serve $(MODEL) -tp 2", X2),
        ("[program:v]\ncommand=/opt/v/bin/vllm serve X -tp 2\nautostart=true", X2),
        ("web: vllm serve X -tp 2 --port $PORT", X2),
        ("for i in 0 1; do CUDA_VISIBLE_DEVICES=$i vllm serve X -tp 2 & done", X2),
        ("#SBATCH --gres=gpu:2\nP=$(shuf -i 1-9 -n 1)\nvllm serve X -tp $SLURM_GPUS_ON_NODE"
         " --port $P", X2),
        ("python3 /x/site-packages/vllm/entrypoints/openai/api_server.py --model X -tp 2", X2),
        # Arguments alone, and lists of words.
        ("--model X -tp 2", X2),
        ("serve X -tp 2", X2),
        ('["--model", "X", "-tp", "2"]', X2),
        ('CMD ["vllm", "serve", "X", "-tp", "2"]', X2),
        ('command: ["vllm", "serve", "X", "-tp", "2"]', X2),
        ('args: ["--model", "X", "--tensor-parallel-size", 2]', X2),
    ],
)  # fmt: skip
def test_what_was_meant_is_read(text: str, fields: dict[str, Any] | None) -> None:
    parsed = parse_command(text)
    assert parsed.refusal is None
    assert parsed.fields == (X2 if fields is None else fields)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("vllm serve <model> --tensor-parallel-size 4", "leaves open <model> (the model)"),
        ("vllm serve <model> --kv-cache-dtype fp8", "leaves open <model> (the model)"),
        ("vllm serve {model} --port {port}", "leaves open {model} (the model)"),
        ("vllm serve {{ .Values.model }} -tp 2", "{{ .Values.model }}' (the model)"),
        ("vllm serve [OPTIONS] X", "leaves open [OPTIONS] (the model)"),
        ("vllm serve X --hf-overrides {...}", "leaves open {...} (--hf-overrides)"),
        ("vllm serve X:Q4_K_M --hf-overrides {...}", "leaves open {...}"),
        ("vllm serve $M -tp <n> --port $P", "leaves open $M (the model), <n> (-tp)"),
        # A shell puts the value in before it sets the variable.
        ("M=X vllm serve $M", "leaves open $M (the model)"),
        ("vllm serve X $EXTRA_ARGS", "leaves open $EXTRA_ARGS"),
        ("vllm serve X -tp $(nvidia-smi -L | wc -l)", "$(nvidia-smi -L | wc -l)"),
        ("vllm serve X --max-model-len ${LEN}", "${LEN} (--max-model-len)"),
        ("docker run -it my-vllm bash", "no vLLM server"),
        ("docker run --entrypoint sleep vllm/vllm-openai infinity", "no vLLM server"),
        ("vllm bench latency --model X", "takes the same engine arguments"),
        ("llm = LLM(model='X')", "takes the same engine arguments"),
    ],
)
def test_what_is_left_open_is_named(text: str, said: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        parse_command(text)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message", "explanation"),
    [
        ("vllm serve X –tensor-parallel-size 4", "unrecognized arguments: –tensor", "long dash"),
        ("vllm serve X —enforce-eager", "unrecognized arguments: —enforce-eager", "long dash"),
        ("vllm serve “X”", "HFValidationError", "Curly quotes"),
        ("vllm serve X --hf-overrides.a 1 --compilation-config “{}”", "validation err", "Curly"),
        ("vllm serve X \\ \n -tp 2", "unrecognized arguments:", "A backslash before a blank"),
        ("vllm serve X ... -tp 2", "unrecognized arguments: ...", "left out"),
        ("vllm serve X [-tp 2]", "unrecognized arguments: [-tp 2]", "Square brackets"),
        ('vllm serve X --hf-overrides {"a": 1}', "unrecognized arguments: 1}", "single quotes"),
        ("vllm serve X --hf-overrides “{}”", "hf_overrides", ""),
        ("vllm serve hf.co/a/b", "HFValidationError", "not its address"),
        ("vllm serve X --device cpu", "ambiguous option: --device", "last in vLLM 0.9.2"),
        ("vllm serve X --mamba-cache-mode all", "invalid choice: 'all'", ""),
        ("vllm serve X -cc '{\"use_inductor\":true}'", "use_inductor", ""),
        ("vllm serve X -tp2", "unrecognized arguments: -tp2", "did you mean -tp?"),
        ("vllm serve X --omni", "unrecognized arguments: --omni", "has no --omni"),
        ("vllm serve X --totally-made-up 8", "unrecognized arguments: --totally-made-up 8", "no"),
        ("vllm serve X --enable-reasoning", "unrecognized arguments", "--reasoning-parser"),
        ("vllm serve X --num-scheduler-steps 8", "unrecognized", "last in vLLM 0.10.0"),
        ("vllm serve X --rope-scaling '{}'", "unrecognized", "--hf-overrides"),
        ("vllm serve X --disable-mm-preprocessor-cache", "unrecognized", "--mm-processor-cache-gb"),
        ("vllm serve X --limit-mm-per-prompt image=1", "argument --limit-mm-per-prompt", ""),
        ("vllm serve X --enable-prefix-caching true", "unrecognized arguments: true", "no flag"),
        ("vllm serve X --trust-remote-code=True", "ignored explicit argument 'True'", "a switch"),
        ("vllm serve X --task generate", "Hint: --task is not a vllm serve option", "--runner"),
    ],
)
def test_what_vllm_refuses_is_explained(text: str, message: str, explanation: str) -> None:
    refusal = parse_command(text).refusal
    assert refusal is not None
    assert message in refusal.message
    assert explanation in refusal.explanation


def test_a_command_that_runs_in_an_image_is_read_with_its_release() -> None:
    refused = parse_command("docker run vllm/vllm-openai:v0.33.0 --model X --swap-space 4")
    assert refused.refusal is not None
    assert (
        parse_command("docker run vllm/vllm-openai:v0.9.2 --model X --swap-space 4").refusal is None
    )
