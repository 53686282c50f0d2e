"""README.md: what the files are for, and in which order they are used."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence, Set

from vllm_preflight.artifacts.assumptions import chart
from vllm_preflight.artifacts.deployment import PORT, Deployment
from vllm_preflight.artifacts.kubernetes import front_name
from vllm_preflight.artifacts.machine import UNIT_ENV_FILE
from vllm_preflight.artifacts.monitoring import adapter_rules
from vllm_preflight.artifacts.pods import PRODUCT_LABEL, TOKEN_KEY, TOKEN_SECRET, product_labels
from vllm_preflight.artifacts.shell_files import ENV_FILE
from vllm_preflight.artifacts.storage import access_mode

_WORKLOADS = ("kubernetes.yaml", "leaderworkerset.yaml", "rayservice.yaml", "kserve.yaml")
_MACHINE = {
    "serve.sh": "`./serve.sh` where vLLM is installed",
    "docker-run.sh": "`./docker-run.sh`",
    "compose.yaml": "`docker compose up` in the folder of `compose.yaml`",
    "vllm.service": f"a systemd unit: copy `{ENV_FILE}` to `{UNIT_ENV_FILE}` and "
    "`vllm.service` to `/etc/systemd/system`, then `systemctl enable --now vllm`",
}
_DOCKER = _MACHINE.keys() - {"serve.sh"}
_NEEDS = {
    "leaderworkerset.yaml": "the controller of LeaderWorkerSet (https://lws.sigs.k8s.io)",
    "rayservice.yaml": "KubeRay's operator (https://docs.ray.io/en/latest/cluster/kubernetes)",
    "kserve.yaml": "KServe (https://kserve.github.io)",
    "llminferenceservice.yaml": "KServe with LLMInferenceService and a gateway",
}
_SECRET = f'kubectl create secret generic {TOKEN_SECRET} --from-literal={TOKEN_KEY}="$HF_TOKEN"'
_CHARTS = {"helm-values.yaml": "production-stack", "llm-d-values.yaml": "llm-d"}


def readme(deployment: Deployment, files: Set[str]) -> str:
    """How to use `files`, of those that are written, in Markdown."""
    machines = (
        [f"One server over {deployment.nodes} machines, whose files add addresses and ranks to:"]
        if deployment.replica.nodes > 1
        else []
    )
    parts = [
        f"# {_plain(deployment.name)}",
        _plain(deployment.summary),
        *machines,
        _fenced(shlex.join(["vllm", "serve", *deployment.serve_words()])),
        *_machine(deployment, files),
        *_cluster(deployment, files),
        *_charts(deployment, files),
        *_monitoring(deployment, files),
        *_test(files),
        *_cost(deployment),
    ]
    return "\n\n".join(parts) + "\n"


def _machine(deployment: Deployment, files: Set[str]) -> Iterator[str]:
    found = [f"- {text}" for name, text in _MACHINE.items() if name in files]
    if not found:
        return
    yield "## On one machine"
    yield "One of these:" if len(found) > 1 else "With:"
    yield "\n".join(found)
    if files.isdisjoint(_DOCKER):
        return
    if not deployment.is_local:
        yield (
            f"For a gated model write the Hub's token into `{ENV_FILE}` first. Weights go to the "
            "Hub's cache of the user who starts it (`HF_HOME`, else `~/.cache/huggingface`); with "
            "systemd to `/var/cache/huggingface`."
        )
    yield f"Port {PORT} is published on 127.0.0.1 only; let others in behind a proxy."


def _cluster(deployment: Deployment, files: Set[str]) -> Iterator[str]:
    workloads = [name for name in (*_WORKLOADS, "llminferenceservice.yaml") if name in files]
    if not workloads:
        return
    yield "## On Kubernetes"
    lines: list[str] = []
    if not deployment.is_local:
        lines.append(f"{_SECRET}  # for a gated model")
    if "model-cache.yaml" in files:
        lines.append("kubectl apply -f model-cache.yaml")
    lines.append(f"kubectl apply -f {workloads[0]}")
    yield "In this order, in one namespace:"
    yield _fenced("\n".join(lines))
    if len(workloads) > 1:
        others = ", ".join(f"`{name}`" for name in workloads[1:])
        yield f"In place of `{workloads[0]}` one of: {others}."
    needed = [f"- `{name}` needs {_NEEDS[name]}." for name in workloads if name in _NEEDS]
    if needed:
        yield "\n".join(needed)
    yield "\n".join(_cluster_notes(deployment, files, workloads))


def _cluster_notes(
    deployment: Deployment, files: Set[str], workloads: Sequence[str]
) -> Iterator[str]:
    yield (
        f"- The first start takes up to {deployment.load_seconds // 60} minutes at a slow "
        "volume's rate; the probes wait that long."
    )
    if "model-cache.yaml" in files:
        mode = access_mode(deployment)
        yield f"- `model-cache.yaml` asks for {deployment.cache_gib} GiB, {mode}."
    if deployment.replica.nodes > 1:
        yield (
            "- Between machines NCCL speaks TCP unless the pods have RDMA devices; add those of "
            "your cluster to both templates. `NCCL_DEBUG=INFO` says what it uses."
        )
    if deployment.replicas > 1:
        yield (
            f"- {deployment.replicas} replicas of one server each, in place of data-parallel "
            "ranks in one: they share nothing."
        )
    if deployment.is_local:
        yield "- The model's folder must be there on every node, under the same path."
    if values := product_labels(deployment.gpu):
        yield (
            f"- Pods prefer nodes whose label `{PRODUCT_LABEL}` is {', '.join(values)}. "
            f"See what yours have: `kubectl get nodes -L {PRODUCT_LABEL}`."
        )
    if workloads[0] in ("kubernetes.yaml", "leaderworkerset.yaml"):
        yield (
            f"- Requests go to the Service `{front_name(deployment)}`: "
            f"`kubectl port-forward service/{front_name(deployment)} {PORT}`."
        )


def _charts(deployment: Deployment, files: Set[str]) -> Iterator[str]:
    found = {name: key for name, key in _CHARTS.items() if name in files}
    if not found:
        return
    yield "## With Helm"
    for name, key in found.items():
        about = chart(key)
        lines = [
            f"helm repo add {key} {about.repository}",
            f"helm upgrade --install {deployment.name} {key}/{about.chart} -f {name}",
        ]
        if name == "llm-d-values.yaml" and "model-cache.yaml" in files:
            lines.insert(0, "kubectl apply -f model-cache.yaml")
        yield f"`{name}` holds values for the chart `{about.chart}` of {about.repository}:"
        yield _fenced("\n".join(lines))
    if "helm-values.yaml" in files and not deployment.is_local:
        yield (
            f"The production stack's pods wait for the secret `{TOKEN_SECRET}`, of whatever "
            f"token: `{_SECRET}`."
        )


def _monitoring(deployment: Deployment, files: Set[str]) -> Iterator[str]:
    if "servicemonitor.yaml" in files:
        yield "## Metrics"
        yield "With Prometheus Operator: `kubectl apply -f servicemonitor.yaml`."
    if "hpa.yaml" in files:
        about = chart("prometheus-adapter")
        yield "## More replicas under load"
        yield (
            "`hpa.yaml` scales the Deployment of `kubernetes.yaml` by vLLM's own metrics, which "
            f"`{about.chart}` ({about.repository}) publishes with these values:"
        )
        yield _fenced(adapter_rules(deployment).rstrip("\n"))
        yield (
            "Then take `spec.replicas` out of `kubernetes.yaml`, which would reset them each time "
            "it is applied, and `kubectl apply -f hpa.yaml`. Its numbers are starting points."
        )


def _test(files: Set[str]) -> Iterator[str]:
    ways = {
        "bench.sh": "`./bench.sh [URL]` from a machine with vLLM",
        "bench-job.yaml": "`kubectl create -f bench-job.yaml`",
    }
    found = [f"- {text}" for name, text in ways.items() if name in files]
    if found:
        yield "## Does it keep what was planned?"
        yield "Once it serves, send it the plan's workload:"
        yield "\n".join(found)


def _cost(deployment: Deployment) -> Iterator[str]:
    if deployment.costs:
        yield "## Cost"
        yield "\n".join(f"- {_plain(text)}" for text in deployment.costs)


def _plain(text: str) -> str:
    """`text` on one line, with what Markdown would take for its own escaped."""
    flat = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return re.sub(r"([\\`*_\[\]<>#|])", r"\\\1", flat)


def _fenced(text: str) -> str:
    """`text` as a block of code, whatever it holds."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}\n{text}\n{fence}"
