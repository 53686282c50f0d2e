"""Plans whose names and values would break a careless file, and what reads the files."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import yaml

from vllm_preflight.artifacts.deployment import Deployment
from vllm_preflight.hardware.catalog import find_gpu

DATA = Path(__file__).resolve().parent.parent / "data" / "crds"
# Quotes, blanks, shell, compose, systemd, Kubernetes, Helm and YAML syntax, lines, scripts.
HOSTILE = [
    "a b",
    "it's",
    'say "hi"',
    "$HOME ${HOME} $$ $(HOME) $((1))",
    "%h%%n",
    "back\\slash\\n \\",
    "two\nlines\n",
    "tab\there",
    "modèle-模型-🦙",
    "{{.Name}} {{ end }}",
    "#no comment",
    "yes: no, [a] {b} & *c !d | >e",
    "; rm -rf / & `id`",
    "--flag",
    "a,b=c;d",
    "null",
    "next\x85line\u2028sep",
]


def deployment(**changes: Any) -> Deployment:
    """A plan's facts without planning."""
    facts: dict[str, Any] = {
        "name": "vllm-model",
        "model": "org/model",
        "is_local": False,
        "version": (0, 26, 0),
        "arguments": {"max_model_len": 8192, "max_num_seqs": 64, "tensor_parallel_size": 2},
        "gpu": find_gpu("H100"),
        "gpus": 2,
        "nodes": 1,
        "weights_bytes": 64 * 10**9,
        "summary": "Fits.",
        "concurrency": 8,
        "prompt_tokens": 512,
        "gen_tokens": 128,
        "kv_cache_blocks": 1000,
        "max_num_seqs": 64,
    }
    return Deployment(**{**facts, **changes})


@pytest.fixture(params=HOSTILE)
def hostile(request: pytest.FixtureRequest) -> Deployment:
    """A deployment of a folder and with a tokenizer of an awkward name."""
    return awkward(cast(str, request.param))


@pytest.fixture
def everything() -> Deployment:
    """All that is awkward in one name, for readers that are slow to start."""
    return awkward(" ".join(HOSTILE))


def awkward(text: str) -> Deployment:
    """A deployment with `text` wherever a user's text goes."""
    arguments = {"max_num_seqs": 64, "tokenizer": text, "speculative_config": json.dumps([text])}
    return deployment(model=f"/models/{text}", is_local=True, arguments=arguments, summary=text)


def documents(text: str) -> list[Any]:
    """The YAML documents of a file."""
    return list(yaml.safe_load_all(text))


def crd(name: str) -> dict[str, Any]:
    """The schema of a kind that Kubernetes itself does not have."""
    return json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))["schema"]


def kubernetes_reads(text: str, **variables: str) -> str:
    """What a container gets for `text` in its command or args.

    The rule (Kubernetes documentation, Define dependent environment variables): `$(NAME)`
    of a known variable is replaced, `$$` is one dollar, all else stays.
    """

    def replaced(found: re.Match[str]) -> str:
        if found[0] == "$$":
            return "$"
        return variables.get(found["name"], found[0])

    return re.sub(r"\$\$|\$\((?P<name>[^)]*)\)", replaced, text)


def containers_of(document: Any) -> Iterator[dict[str, Any]]:
    """Every container anywhere in an object."""
    if isinstance(document, dict):
        for key, value in cast(dict[str, Any], document).items():
            if key == "containers":
                yield from value
            else:
                yield from containers_of(value)
    elif isinstance(document, list):
        for item in cast(list[Any], document):
            yield from containers_of(item)
