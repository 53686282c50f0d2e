from __future__ import annotations

import contextlib
import time

import pytest

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.launch.words.find import find_server_command
from vllm_preflight.launch.words.images import release_of

IMAGE = "vllm/vllm-openai:v0.11.0"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("vllm serve a/b --x 1", ["a/b", "--x", "1"]),
        ("  $ vllm serve a/b", ["a/b"]),
        ("/opt/venv/bin/vllm serve a/b", ["a/b"]),
        ("sudo nohup vllm serve a/b > log.txt 2>&1 &", ["a/b"]),
        ("vllm serve a/b 2>&1 | tee log", ["a/b"]),
        ("cd /srv && source .env; vllm serve a/b; echo done", ["a/b"]),
        ("python -m vllm.entrypoints.openai.api_server --model a", ["--model", "a"]),
        ("python3 -m vllm.entrypoints.cli.main serve a", ["a"]),
        ("uv run --with vllm vllm serve a", ["a"]),
        ("bash -lc 'vllm serve a --x \"y z\"'", ["a", "--x", "y z"]),
        ("vllm serve a \\\n  --x '{\"k\": 1}' \\\r\n --y", ["a", "--x", '{"k": 1}', "--y"]),
        ("# don't mind\nvllm serve a  # it's fine\n", ["a"]),
        ("vllm serve a --x 'b # c; d | e'", ["a", "--x", "b # c; d | e"]),
        ("vllm serve 'a\nb'", ["a\nb"]),
        ("M=a/b\nexport LEN=5\nvllm serve $M --x ${LEN} $OTHER", ["a/b", "--x", "5", "$OTHER"]),
        (f"docker run --gpus all -v ~/x:/y -it --rm {IMAGE} --model a", ["--model", "a"]),
        (f"docker run --ipc=host --name vllm -p 8000:8000 {IMAGE} serve a", ["a"]),
        (f"podman run --entrypoint bash {IMAGE} -c 'vllm serve a --x'", ["a", "--x"]),
        (f"docker run {IMAGE} bash -c 'vllm serve a --x'", ["a", "--x"]),
        ("docker run my/image vllm serve a", ["a"]),
    ],
)
def test_the_words_after_the_server_are_found(text: str, words: list[str]) -> None:
    assert [word.text for word in find_server_command(text).words] == words


def test_variables_before_the_command_are_collected() -> None:
    command = find_server_command("export A=1\nB=2 C='3 4' env D=5 vllm serve m --x E=6")
    assert command.environment == {"A": "1", "B": "2", "C": "3 4", "D": "5"}


def test_a_container_has_the_variables_handed_in_and_its_tags_version() -> None:
    command = find_server_command(
        f"OUT=1 docker run -e VLLM_X=2 --env=VLLM_Y=3 --gpus '\"device=0,1\"' {IMAGE} --model m"
    )
    assert command.environment == {"VLLM_X": "2", "VLLM_Y": "3"}
    assert command.image == IMAGE


@pytest.mark.parametrize(
    ("image", "version"),
    [
        ("vllm/vllm-openai:latest", None),
        ("vllm/vllm-openai", None),
        ("vllm/vllm-openai:gemma4", None),
        ("vllm/vllm-openai:cu130-nightly", None),
        ("vllm/vllm-openai@sha256:0123", None),
        ("vllm/vllm-openai:v0.8.5.post1", "0.8.5.post1"),
        ("vllm/vllm-openai:v0.11.0-cu126", "0.11.0"),
        ("docker://vllm/vllm-openai:v0.11.0", "0.11.0"),
        ("mirror:5000/vllm/vllm-openai:v0.11.0@sha256:0123", "0.11.0"),
        ("rocm/vllm:rocm7.0.0_vllm_0.11.2", "0.11.2"),
        ("nvcr.io/nvidia/vllm:25.09-py3", None),
        ("lmcache/vllm-openai:v0.3.9", None),
        ("ghcr.io/llm-d/llm-d-cuda:v0.3.1", None),
        ("registry:5000/vllm:0.9.2-cu126", None),
    ],
)
def test_only_the_tags_of_vllms_own_images_name_a_release(image: str, version: str | None) -> None:
    assert release_of(image) == version


@pytest.mark.parametrize(
    "text",
    [
        "a " * 49_000,
        "A=1 " * 20_000 + "vllm serve m",
        "export A=aaaaaaaaaa;" + "export A=$A$A;" * 60 + "vllm serve $A",
        "docker run " * 9_000,
        "$(" * 49_000,
        "vllm serve m " + "$( " * 30_000,
        "a <<E " * 16_000 + "\n",
        "`\n" * 49_000,
        "${A:-" * 19_000,
        "x=(" * 30_000,
        "''" * 49_000,
    ],
)
def test_text_made_to_be_slow_is_read_in_time(text: str) -> None:
    started = time.process_time()
    with contextlib.suppress(InvalidRequest):
        find_server_command(text)
    # Far from what a quadratic reading takes, and no matter how busy the machine is.
    assert time.process_time() - started < 10


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no vLLM server"),
        ("rm -rf / # vllm serve a", "no vLLM server"),
        ("docker run ubuntu ls", "no vLLM server"),
        ("docker run", "no vLLM server"),
        ("echo 'vllm serve a'", "no vLLM server"),
        ("vllm serve 'a", "quotes or backslashes"),
        ("vllm serve a" + " " * 100_000, "100012 characters"),
        ("vllm serve a" + " -x" * 3_000, "3001 words"),
    ],
)
def test_text_without_a_server_is_refused(text: str, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        find_server_command(text)
