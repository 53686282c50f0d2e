"""One machine with Docker: a compose file and a systemd unit."""

from __future__ import annotations

from typing import Any

from vllm_preflight.artifacts.deployment import PORT, Deployment
from vllm_preflight.artifacts.documents import unit_command, unit_text, yaml_text
from vllm_preflight.artifacts.shell_files import (
    CACHE_IN_IMAGE,
    CACHE_VOLUME,
    ENV_FILE,
    PUBLISHED,
    docker_words,
)

_HEALTH = f"import urllib.request; urllib.request.urlopen('http://127.0.0.1:{PORT}/health')"
UNIT_ENV_FILE = f"/etc/vllm/{ENV_FILE}"


def compose_file(deployment: Deployment) -> str:
    """A compose file with one service; `$` is doubled, which compose would expand."""
    volumes: list[dict[str, Any]] = [
        {"type": "volume", "source": CACHE_VOLUME, "target": CACHE_IN_IMAGE}
    ]
    if deployment.is_local:
        path = _literal(deployment.model)
        volumes.append({"type": "bind", "source": path, "target": path, "read_only": True})
    gpus = {"driver": "nvidia", "count": deployment.gpus, "capabilities": ["gpu"]}
    service: dict[str, Any] = {
        "image": deployment.image,
        "entrypoint": ["vllm", "serve"],
        "command": [_literal(word) for word in deployment.serve_words(port=PORT)],
        "env_file": [ENV_FILE],
        "ports": [PUBLISHED],
        "volumes": volumes,
        "ipc": "host",
        "deploy": {"resources": {"reservations": {"devices": [gpus]}}},
        "healthcheck": {
            "test": ["CMD", "python3", "-c", _HEALTH],
            "interval": "10s",
            "timeout": "5s",
            "retries": 3,
            "start_period": f"{deployment.load_seconds}s",
        },
        "restart": "unless-stopped",
    }
    document: dict[str, Any] = {
        "services": {deployment.name: service},
        "volumes": {CACHE_VOLUME: {}},
    }
    return yaml_text(deployment.summary, document)


def systemd_unit(deployment: Deployment) -> str:
    """A unit that keeps the plan's container running; the image pins vLLM's release."""
    container = ["/usr/bin/env", "docker"]
    start = ["/usr/bin/env", *docker_words(deployment, UNIT_ENV_FILE)]
    return unit_text(
        deployment.summary,
        {
            "Unit": [
                ("Description", f"vLLM, {deployment.name}"),
                ("Wants", "network-online.target docker.service"),
                ("After", "network-online.target docker.service"),
            ],
            "Service": [
                ("ExecStartPre", f"-{unit_command([*container, 'rm', '-f', deployment.name])}"),
                ("ExecStart", unit_command(start)),
                ("ExecStop", unit_command([*container, "stop", deployment.name])),
                ("TimeoutStartSec", str(deployment.load_seconds)),
                ("Restart", "on-failure"),
                ("RestartSec", "10"),
            ],
            "Install": [("WantedBy", "multi-user.target")],
        },
    )


def _literal(text: str) -> str:
    return text.replace("$", "$$")
