"""README.md: it names every file once written, in the order of use, whatever the names hold."""

from __future__ import annotations

import re
import shlex
from dataclasses import replace

from vllm_preflight.artifacts.bundle import KINDS, render_kinds
from vllm_preflight.artifacts.deployment import Deployment
from vllm_preflight.artifacts.monitoring import adapter_rules, autoscaler
from vllm_preflight.artifacts.request import ALL_KINDS

from .conftest import deployment, documents


def text_of(of: Deployment) -> str:
    return render_kinds(of, ALL_KINDS)["readme"]


def test_every_file_that_is_written_is_named_and_no_other() -> None:
    several = deployment(gpus=16, nodes=2)
    for of in (deployment(), several):
        written = {KINDS[kind].file for kind in render_kinds(of, ALL_KINDS) if kind != "readme"}
        text = text_of(of)
        named = {kind.file for kind in KINDS.values() if kind.file in text}
        # A server over several machines is told from the manifests that start it.
        assert named == written


def test_the_secret_and_the_claim_come_before_the_server() -> None:
    text = text_of(deployment())
    order = ["create secret generic hf-token", "-f model-cache.yaml", "-f kubernetes.yaml"]
    places = [text.index(word) for word in order]
    assert places == sorted(places)


def test_charts_are_named_with_their_repositories() -> None:
    text = text_of(deployment())
    assert "helm repo add production-stack https://vllm-project.github.io/production-stack" in text
    assert "production-stack/vllm-stack -f helm-values.yaml" in text
    assert "llm-d/llm-d-modelservice -f llm-d-values.yaml" in text


def test_the_adapter_publishes_what_the_autoscaler_reads() -> None:
    of = deployment()
    (rules,) = documents(adapter_rules(of))
    published = {rule["name"]["as"] for rule in rules["rules"]["custom"]}
    (scaler,) = documents(autoscaler(of))
    assert published == {m["pods"]["metric"]["name"] for m in scaler["spec"]["metrics"]}
    assert adapter_rules(of) in text_of(of) + "\n"


def test_names_stay_inside_their_fences(hostile: Deployment) -> None:
    text = text_of(hostile)
    fence, command = re.findall(r"^(`{3,})\n(.*?)\n\1$", text, re.M | re.S)[0]
    assert shlex.split(command) == ["vllm", "serve", *hostile.serve_words()]
    assert fence not in command
    head = text.splitlines()[:3]
    assert head[0].startswith("# ") and len(head) == 3


def test_a_local_model_needs_no_secret() -> None:
    text = text_of(replace(deployment(), model="/models/x", is_local=True))
    assert "create secret" not in text and "on every node" in text
