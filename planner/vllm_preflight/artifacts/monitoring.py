"""Metrics of a server for Prometheus, and replicas that follow them."""

from __future__ import annotations

from typing import Any

from vllm_preflight.artifacts.assumptions import assumptions, kv_usage_metric
from vllm_preflight.artifacts.deployment import Deployment
from vllm_preflight.artifacts.documents import dump_yaml, yaml_text
from vllm_preflight.artifacts.kubernetes import HTTP
from vllm_preflight.artifacts.pods import Manifest, labels

_WAITING = "vllm:num_requests_waiting"
# Longest period of a scaling policy that Kubernetes takes.
_LONGEST_PERIOD_S = 1800


def service_monitor(deployment: Deployment) -> str:
    """A ServiceMonitor of Prometheus Operator on the plan's Service."""
    monitor: Manifest = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "ServiceMonitor",
        "metadata": {"name": deployment.name, "labels": labels(deployment)},
        "spec": {
            "selector": {"matchLabels": labels(deployment)},
            "endpoints": [
                {
                    "port": HTTP,
                    "path": "/metrics",
                    "interval": f"{assumptions().scrape_interval_s}s",
                }
            ],
        },
    }
    note = (
        "A Prometheus may select monitors by a label of its own (often release: NAME); add it "
        "to metadata.labels then."
    )
    return yaml_text(deployment.summary, monitor, notes=[note])


def autoscaler(deployment: Deployment) -> str:
    """A HorizontalPodAutoscaler of the Deployment on vLLM's queue and KV cache."""
    assumed = assumptions()
    most = deployment.replicas * assumed.replicas_grow_to
    gpus = deployment.replica.gpus
    step = {
        "type": "Pods",
        "value": 1,
        "periodSeconds": min(deployment.load_seconds, _LONGEST_PERIOD_S),
    }
    scaler: Manifest = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": deployment.name, "labels": labels(deployment)},
        "spec": {
            "scaleTargetRef": {
                "apiVersion": "apps/v1",
                "kind": "Deployment",
                "name": deployment.name,
            },
            "minReplicas": deployment.replicas,
            "maxReplicas": most,
            "metrics": [
                _pods_metric(_WAITING, str(assumed.queue_per_replica)),
                _pods_metric(
                    kv_usage_metric(deployment.version), f"{assumed.kv_usage_percent * 10}m"
                ),
            ],
            # No second pod before the first could be there.
            "behavior": {"scaleUp": {"policies": [step]}},
        },
    }
    notes = [
        f"Up to {most} replicas of {gpus} GPU{'s' * (gpus > 1)} each: more than were planned. "
        "prometheus-adapter must publish the two metrics (README.md has its values)."
    ]
    if not deployment.is_local and deployment.replicas == 1:
        notes.append(
            "A second pod reads the same claim: model-cache.yaml needs ReadWriteMany for that."
        )
    return yaml_text(deployment.summary, scaler, notes=notes)


def adapter_rules(deployment: Deployment) -> str:
    """Values for the chart prometheus-adapter that publish what the autoscaler reads."""
    # Of several engines in a pod the queues add up, and the fullest cache counts.
    rules = [_rule(_WAITING, "sum"), _rule(kv_usage_metric(deployment.version), "max")]
    return dump_yaml({"rules": {"custom": rules}})


def _pods_metric(name: str, value: str) -> Manifest:
    target = {"type": "AverageValue", "averageValue": value}
    return {"type": "Pods", "pods": {"metric": {"name": _published(name)}, "target": target}}


def _published(name: str) -> str:
    """The name in Kubernetes' metrics API, whose paths have no colon."""
    return name.replace(":", "_")


def _rule(name: str, over_engines: str) -> dict[str, Any]:
    resources = {key: {"resource": key} for key in ("namespace", "pod")}
    return {
        "seriesQuery": f'{{__name__="{name}",namespace!="",pod!=""}}',
        "resources": {"overrides": resources},
        "name": {"as": _published(name)},
        "metricsQuery": f"{over_engines}(<<.Series>>{{<<.LabelMatchers>>}}) by (<<.GroupBy>>)",
    }
