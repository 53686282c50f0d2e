"""Random input under ceilings of CPU and memory that the kernel enforces."""

from __future__ import annotations

import os
import resource
import subprocess
import sys

from tests.conftest import REPOSITORY

EXAMPLES = 60
# Ten times and more what they take.
CPU_S, MEMORY_BYTES = 240, 2 * 2**30


def _limited() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))


def test_random_input_ends_within_its_ceilings() -> None:
    path = os.pathsep.join([str(REPOSITORY), *sys.path])
    ended = subprocess.run(
        [sys.executable, "-m", "tests.server.hostile.fuzzing", str(EXAMPLES)],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=_limited,
        env={**os.environ, "PYTHONPATH": path, "HF_HUB_OFFLINE": "1"},
    )
    assert ended.returncode == 0, ended.stderr[-6_000:]
