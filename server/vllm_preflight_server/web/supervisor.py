"""The process above the HTTP workers: it starts, watches, replaces and stops them.

It loads nothing that answers, so it costs little, and one worker is watched like many. A
worker tells each second that its event loop runs; one that is silent is killed, and one that
ended is replaced. The listening socket stays open here, so clients wait meanwhile.
"""

from __future__ import annotations

import multiprocessing
import signal
import socket
import sys
import time
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import cast

from vllm_preflight_server.web.settings import GRACE_S, HttpSettings

# Seconds without a sign of life, and until the first one.
SILENT_S = 15.0
_START_S = 60.0
_TURN_S = 0.5
# A worker that ends this soon after its start will end again.
_SOON_S = 2.0
_MOST_TRIES = 5


@dataclass
class _Worker:
    process: BaseProcess
    heart: Connection
    started: float
    seen: float
    is_up: bool = False


class Supervisor:
    """So many workers on one socket; SIGTERM and Ctrl-C are heeded from the first moment."""

    def __init__(self, settings: HttpSettings, bound: socket.socket) -> None:
        self._settings = settings
        self._bound = bound
        # Forking this small process is quick; elsewhere than on Linux it is not safe.
        method = "fork" if sys.platform == "linux" else "spawn"
        self._context = multiprocessing.get_context(method)
        self._workers: list[_Worker] = []
        self._failed = 0
        self._stopping = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)

    def run(self) -> int:
        """Serve until SIGTERM or Ctrl-C; the exit code."""
        self._workers = [self._start() for _ in range(self._settings.workers)]
        turned = time.monotonic()
        while not self._stopping and self._failed < _MOST_TRIES:
            hearts = {worker.heart: worker for worker in self._workers}
            ready = wait(list(hearts), _TURN_S)
            now = time.monotonic()
            for heart in ready:
                worker = hearts[cast(Connection, heart)]
                try:
                    worker.heart.recv_bytes()
                except (EOFError, OSError):
                    continue  # It ended, which is seen below.
                worker.seen, worker.is_up = now, True
            if now - turned > SILENT_S / 2:
                # The whole machine was asleep.
                for worker in self._workers:
                    worker.seen = now
            turned = now
            self._workers = [self._watched(worker, now) for worker in self._workers]
        self._end()
        if self._stopping:
            return 0
        print("error: the workers end as soon as they are started.", file=sys.stderr)
        return 1

    def _start(self) -> _Worker:
        heart, beats = self._context.Pipe(duplex=False)
        process = self._context.Process(
            target=_work, args=(self._settings, self._bound, beats), name="vllm-preflight worker"
        )
        process.start()
        beats.close()
        now = time.monotonic()
        return _Worker(process, heart, now, now)

    def _watched(self, worker: _Worker, now: float) -> _Worker:
        """The worker, or the one that takes its place."""
        patience = SILENT_S if worker.is_up else _START_S
        if worker.process.is_alive() and now - worker.seen <= patience:
            if worker.is_up:
                self._failed = 0
            return worker
        if self._stopping:
            return worker
        what = "does not answer" if worker.process.is_alive() else "ended"
        print(f"worker {worker.process.pid} {what}; another takes its place", file=sys.stderr)
        self._failed += now - worker.started < _SOON_S
        worker.process.kill()
        worker.process.join()
        worker.heart.close()
        return self._start()

    def _stop(self, number: int, frame: object) -> None:
        del number, frame
        self._stopping = True

    def _end(self) -> None:
        """Let the workers finish; kill those that do not."""
        for worker in self._workers:
            worker.process.terminate()
        until = time.monotonic() + GRACE_S + 3
        for worker in self._workers:
            worker.process.join(max(0.0, until - time.monotonic()))
            worker.process.kill()
            worker.process.join()


def _work(settings: HttpSettings, bound: socket.socket, heart: Connection) -> None:
    """One worker, from its first moment."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    # A terminal's Ctrl-C reaches the supervisor too, which says what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    from vllm_preflight_server.web.worker import run_worker

    run_worker(settings, bound, heart)
