"""One machine with Docker: a compose file and a systemd unit."""

from __future__ import annotations

from typing import Any

from vllm_preflight.artifacts.deployment import PORT, Deployment
from vllm_preflight.artifacts.documents import unit_command, unit_text, yaml_text
from vllm_preflight.artifacts.shell_files import (
    CACHE_IN_IMAGE,
    ENV_FILE,
    PUBLISHED,
    docker_words,
)

_HEALTH = f"import urllib.request; urllib.request.urlopen('http://127.0.0.1:{PORT}/health')"
UNIT_ENV_FILE = f"/etc/vllm/{ENV_FILE}"
# systemd makes it: CacheDirectory= is under /var/cache for units of the system.
_UNIT_CACHE = "huggingface"
# Where huggingface_hub keeps it; compose expands variables and a leading tilde.
_CACHE_HERE = "${HF_HOME:-~/.cache/huggingface}"


def compose_file(deployment: Deployment) -> str:
    """A compose file with one service; `$` is doubled, which compose would expand."""
    # The short form makes a folder that is not there yet, in every release of compose.
    volumes: list[str | dict[str, Any]] = [f"{_CACHE_HERE}:{CACHE_IN_IMAGE}"]
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
    return yaml_text(deployment.summary, {"services": {deployment.name: service}})


def systemd_unit(deployment: Deployment) -> str:
    """A unit that keeps the plan's container running; the image pins vLLM's release."""
    container = ["/usr/bin/env", "docker"]
    start = ["/usr/bin/env", *docker_words(deployment, UNIT_ENV_FILE, f"/var/cache/{_UNIT_CACHE}")]
    return unit_text(
        deployment.summary,
        {
            "Unit": [
                ("Description", f"vLLM, {deployment.name}"),
                ("Wants", "network-online.target docker.service"),
                ("After", "network-online.target docker.service"),
            ],
            "Service": [
                ("CacheDirectory", _UNIT_CACHE),
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
