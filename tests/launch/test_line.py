"""The user's whole text, written again: wrappers, variables and comments stay."""

from __future__ import annotations

import shlex
import shutil
import subprocess

import pytest

from vllm_preflight.launch.arguments import parse_command
from vllm_preflight.launch.line import with_flags, without_secrets
from vllm_preflight.launch.words.find import find_server_command

LENGTH = ["--max-model-len 8"]
IMAGE = "vllm/vllm-openai:v0.33.0"


@pytest.mark.parametrize(
    ("words", "changes", "line"),
    [
        ("a --max-model-len 9 --port 1", LENGTH, "a --max-model-len 8 --port 1"),
        ("a --max_model_len=9 --port 1", LENGTH, "a --max-model-len 8 --port 1"),
        ("a -tp 2 -tp 4", ["--tensor-parallel-size 8"], "a --tensor-parallel-size 8"),
        ("a", ["--dtype half --kv-cache-dtype fp8"], "a --dtype half --kv-cache-dtype fp8"),
        ("a --kv-cache-memory-bytes 5", ["no --kv-cache-memory-bytes"], "a"),
        ("a --served-model-name x y --port 1", ["no --served-model-name"], "a --port 1"),
        ("a --enforce-eager", ["--no-enforce-eager"], "a --no-enforce-eager"),
        ("a", ["another card"], "a"),
        ("a --port  1   # why\n", LENGTH, "a --port  1 --max-model-len 8   # why"),
    ],
)  # fmt: skip
def test_a_change_takes_the_place_of_what_it_changes(
    words: str, changes: list[str], line: str
) -> None:
    assert parse_command(f"vllm serve {words}").line(changes) == f"vllm serve {line}"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (
            f"docker run --gpus all -p 80:80 {IMAGE} --model X --max-model-len 9 --port 80",
            f"docker run --gpus all -p 80:80 {IMAGE} --model X --max-model-len 8 --port 80",
        ),
        (
            "vllm serve X \\\n  --max-model-len 9 \\\n  --port 80 2>&1 | tee log",
            "vllm serve X \\\n  --max-model-len 8 \\\n  --port 80 2>&1 | tee log",
        ),
        ("vllm serve X > log 2>&1 &", "vllm serve X --max-model-len 8 > log 2>&1 &"),
        ("cd /srv && vllm serve X; date", "cd /srv && vllm serve X --max-model-len 8; date"),
        ("ssh h 'vllm serve X | tee l'", "ssh h 'vllm serve X --max-model-len 8 | tee l'"),
        ('ssh h "vllm serve X --port $P"', 'ssh h "vllm serve X --port $P --max-model-len 8"'),
        ("bash -c 'vllm serve X'", "bash -c 'vllm serve X --max-model-len 8'"),
        ('sbatch --wrap="vllm serve X"', "sbatch --wrap='vllm serve X --max-model-len 8'"),
        (
            f"docker run {IMAGE} bash -c 'cd /x; vllm serve X --max-model-len 9'",
            f"docker run {IMAGE} bash -c 'cd /x; vllm serve X --max-model-len 8'",
        ),
        (
            "kubectl run v --image=vllm/vllm-openai:v0.33.0 -- --model X",
            "kubectl run v --image=vllm/vllm-openai:v0.33.0 -- --model X --max-model-len 8",
        ),
        ("LEN=9\nvllm serve X --max-model-len $LEN", "LEN=9\nvllm serve X --max-model-len 8"),
        (
            'ARGS="--max-model-len 9 --port 80"\nvllm serve X $ARGS',
            'ARGS="--max-model-len 9 --port 80"\nvllm serve X $ARGS --max-model-len 8',
        ),
        (
            'ARGS=(--max-model-len 9)\nvllm serve X "${ARGS[@]}"',
            'ARGS=(--max-model-len 9)\nvllm serve X "${ARGS[@]}" --max-model-len 8',
        ),
        ('CMD="vllm serve X"; $CMD', 'CMD="vllm serve X"; $CMD --max-model-len 8'),
        (
            "cat > run.sh <<'EOF'\nvllm serve X\nEOF\nchmod +x run.sh",
            "cat > run.sh <<'EOF'\nvllm serve X --max-model-len 8\nEOF\nchmod +x run.sh",
        ),
        ("$ vllm serve X", "vllm serve X --max-model-len 8"),
        ('CMD ["vllm", "serve", "X"]', "vllm serve X --max-model-len 8"),
        ("--model X", "vllm serve --model X --max-model-len 8"),
    ],
)
def test_nothing_around_the_server_is_dropped(text: str, line: str) -> None:
    parsed = parse_command(text)
    assert parsed.line(LENGTH) == line
    again = parse_command(line)
    assert again.fields == {**parsed.fields, "max_model_len": 8}


def test_a_line_whose_words_are_nowhere_by_themselves_is_written_as_vllm_serve() -> None:
    text = 'A=1; CMD="vllm serve X --max-model-len 9"; $CMD'
    assert parse_command(text).line(["no --max-model-len"]) == "vllm serve X"
    assert parse_command(text).line() == text


def test_an_unchanged_line_stays_as_it_was_pasted() -> None:
    text = f'MODEL=X\ndocker run --gpus all {IMAGE} \\\n  --model "$MODEL"  # the model'
    assert parse_command(text).line() == text


def test_a_model_beside_the_line_is_put_where_the_release_takes_it() -> None:
    assert parse_command("vllm serve -tp 2", model="X").line(model="X") == "vllm serve X -tp 2"
    image = f"docker run {IMAGE}"
    assert parse_command(f"{image} -tp 2", model="X").line(model="X") == f"{image} --model X -tp 2"


def test_variables_are_set_where_the_server_sees_them() -> None:
    changes = ["VLLM_USE_V1=1"]
    assert parse_command("A=1 vllm serve X").line(changes) == "A=1 VLLM_USE_V1=1 vllm serve X"
    assert (
        parse_command(f"docker run {IMAGE} --model X").line(changes)
        == f"docker run -e VLLM_USE_V1=1 {IMAGE} --model X"
    )


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("vllm serve X | tee log", "vllm serve X -tp 2 | tee log"),
        ("ssh h 'vllm serve X'", "ssh h 'vllm serve X -tp 2'"),
        ("vllm serve", "vllm serve -tp 2"),
    ],
)
def test_further_flags_stand_behind_the_servers_words(text: str, line: str) -> None:
    assert with_flags(find_server_command(text), "-tp 2") == line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "HF_TOKEN=hf_x vllm serve a --api-key sk-1 --hf-token=hf_y --port 8",
            "HF_TOKEN=$HF_TOKEN vllm serve a --api-key $VLLM_API_KEY --hf-token=$HF_TOKEN --port 8",
        ),
        ("docker run -e 'HF_TOKEN=hf_x' i", 'docker run -e "HF_TOKEN=$HF_TOKEN" i'),
        ('export OPENAI_API_KEY="sk 1"; x', "export OPENAI_API_KEY=$OPENAI_API_KEY; x"),
        ("HF_TOKEN=$T HF_TOKEN=<token> x", "HF_TOKEN=$T HF_TOKEN=<token> x"),
        ("hf auth login --token hf_abcdefghij", "hf auth login --token $HF_TOKEN"),
        ("docker login --password x1 r; x", "docker login --password $SECRET r; x"),
        ("curl -H 'Authorization: Bearer abc.d' u", "curl -H 'Authorization: Bearer $SECRET' u"),
        ("pip install -i https://me:pw@host/s v", "pip install -i https://$SECRET@host/s v"),
        ("echo sk-abcdefgh1234", "echo $SECRET"),
        (
            "TOKENIZERS_PARALLELISM=false vllm serve a --max-num-batched-tokens=9 --spec-tokens 2",
            "TOKENIZERS_PARALLELISM=false vllm serve a --max-num-batched-tokens=9 --spec-tokens 2",
        ),
    ],
)
def test_secrets_are_only_named(text: str, shown: str) -> None:
    assert without_secrets(text) == shown


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
@pytest.mark.parametrize(
    "text",
    [
        "vllm serve X --hf-overrides '{\"a\": 1}' \\\n  --port 80",
        "A='x y'; vllm serve X --served-model-name \"$A\" --max-model-len 9",
        "bash -c 'vllm serve X --served-model-name \"x y\" --max-model-len 9'",
        "bash -c \"vllm serve X --served-model-name 'x y'\"",
        "ARGS=(--served-model-name 'x y'); vllm serve X \"${ARGS[@]}\"",
        "eval \"vllm serve X --served-model-name 'x y'\"",
    ],
)
def test_a_shell_hands_the_server_what_was_read(text: str) -> None:
    parsed = parse_command(text)
    for line, words in (
        (parsed.line(), parsed.words),
        (parsed.line(LENGTH), parse_command(parsed.line(LENGTH)).words),
    ):
        shell = ["bash", "-c", f"vllm() {{ printf '%s\\n' \"$@\"; }}; export -f vllm\n{line}"]
        done = subprocess.run(shell, capture_output=True, text=True, check=True)
        assert done.stdout.splitlines() == ["serve", *words], shlex.join(shell)
