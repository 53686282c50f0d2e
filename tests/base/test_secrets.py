"""Secrets of every kind that logs and addresses hold; all of these are made up."""

from __future__ import annotations

import random
import string

import pytest

from vllm_preflight.base.secrets import REMOVED, without_people, without_secrets
from vllm_preflight.logs.scrub import scrub

_LETTERS = string.ascii_letters + string.digits
_HEX = "0123456789abcdef"


def _random(length: int, letters: str = _LETTERS) -> str:
    return "".join(random.Random(length + len(letters)).choices(letters, k=length))


AWS = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
# Kind: (what stands in the text, the part that must not stay).
SECRETS = {
    "hugging face": (token := f"hf_{_random(34)}", token),
    "hugging face, broken": (f"hf_AbCdEf12345 {_random(22)}", _random(22)),
    "openai": (token := f"sk-proj-{_random(40)}", token),
    "stripe": (token := f"rk_live_{_random(24)}", token),
    "aws id": (token := "AKIA" + _random(16, string.ascii_uppercase), token),
    "aws secret": (AWS, AWS),
    "github": (token := f"ghp_{_random(36)}", token),
    "gitlab": (token := f"glpat-{_random(20)}", token),
    "slack": (token := f"xoxb-123-{_random(24)}", token),
    "npm": (token := f"npm_{_random(36)}", token),
    "pypi": (token := f"pypi-{_random(60)}", token),
    "google": (token := f"AIza{_random(35)}", token),
    "discord": (token := f"M{_random(23)}.{_random(6)}.{_random(38)}", token),
    "jwt": (token := f"eyJ{_random(20)}.{_random(30)}.{_random(31)}", token),
    "bearer": (f"Authorization: Bearer {_random(30)}", _random(30)),
    "basic": (f"Authorization: Basic {_random(29)}", _random(29)),
    "cookie": (f"Cookie: session={_random(19)}; id=7", _random(19)),
    "url": ("https://user:hunter2pass@host/x", "hunter2pass"),
    "flag": (f"--api-key {_random(12)}", _random(12)),
    "variable": (f"OPENAI_API_KEY={_random(20)}", _random(20)),
    "other variable": (f"MISTRAL_KEY={_random(32)}", _random(32)),
    "header": (f"X-API-Key: {_random(20)}", _random(20)),
    "signed url": (f"https://s3.example/f?X-Amz-Signature={_random(64, _HEX)}", _random(64, _HEX)),
    "shared access": (f"https://a.example/f?sv=1&sig={_random(43)}%3D", _random(43)),
    "azure": (f"AccountName=a;AccountKey={_random(86)}==;x", _random(86)),
    "pem": (f"-----BEGIN RSA PRIVATE KEY----- MIIE{_random(99)}", _random(99)),
    "ssh": (f"ssh-rsa AAAAB3Nza{_random(200)}", _random(200)),
    "hex": (_random(32, _HEX), _random(32, _HEX)),
    "long hex": (_random(64, _HEX), _random(64, _HEX)),
    "german": ("Passwort: geheim99", "geheim99"),
    "spanish": ("contraseña: clave123", "clave123"),
    "russian": ("пароль: qwerty12", "qwerty12"),
    "chinese": ("密码：abc12345", "abc12345"),
}


@pytest.mark.parametrize("kind", SECRETS)
def test_a_secret_is_removed(kind: str) -> None:
    text, secret = SECRETS[kind]
    told = without_secrets(f"ValueError: it failed with {text} here")
    assert secret not in told
    assert REMOVED in told
    assert told.startswith("ValueError: it failed with")


@pytest.mark.parametrize("text", ["alice.smith@example.com", "10.1.2.3:8000", "192.168.0.17"])
def test_people_and_private_networks_are_removed(text: str) -> None:
    assert text.partition(":")[0] not in without_people(f"asked by {text} now")


@pytest.mark.parametrize(
    "text",
    [
        "commit 0123456789abcdef0123456789abcdef01234567",
        "snapshots/0123456789abcdef0123456789abcdef01234567/config.json",
        "max_num_batched_tokens=8192, 100 tokens per s",
        "/home/User1/Models/Qwen3-235B-A22B-Instruct-2507-FP8",
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.",
        "the maximum number of tokens that can be stored in KV cache (1234)",
        "tokenizer=x, tokenizer_mode=auto, kv_cache_dtype=fp8_e4m3",
        "a/" + "b" * 80,
        "9" * 60,
        "vLLM 0.19.0 on 127.0.0.1:8000, torch 2.9.1.10",
    ],
)
def test_what_a_log_is_read_for_stays(text: str) -> None:
    assert scrub(text) == text


@pytest.mark.parametrize(
    "unit", ["token", "a_key=", "Bearer ", "eyJ", "x@", "A1b", "://a:", "-key "]
)
def test_hostile_text_is_walked_once(unit: str) -> None:
    # Quadratic work on these would take hours.
    without_people(without_secrets(unit * (200_000 // len(unit))))
