"""Stopping work in other threads."""

from __future__ import annotations

import socket
import threading
import time

import pytest
from huggingface_hub import close_session, constants

from vllm_preflight.base.cancellation import Stopped, check_stop, current_stop, stoppable
from vllm_preflight.contract.plan import PlanRequest
from vllm_preflight.models.sources import load_model
from vllm_preflight.questions.plan import plan_deployment


def test_nothing_stops_without_a_caller_who_may() -> None:
    assert current_stop() is None
    check_stop()


def test_work_stops_once_its_event_is_set() -> None:
    stop = threading.Event()
    with stoppable(stop):
        check_stop()
        stop.set()
        with pytest.raises(Stopped):
            check_stop()
    check_stop()


def test_another_thread_stops_by_the_event_it_was_given() -> None:
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        check_stop(stop)


def test_a_search_for_remedies_stops() -> None:
    stop = threading.Event()
    stop.set()
    request = PlanRequest(model="meta-llama/Llama-3.1-70B-Instruct", gpu="L4", gpus=1)
    with stoppable(stop), pytest.raises(Stopped):
        plan_deployment(request)


def test_waiting_for_the_hub_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    # It takes connections and never answers.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{silent.getsockname()[1]}")
        monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
        stop = threading.Event()
        threading.Timer(0.3, stop.set).start()
        started = time.monotonic()
        with stoppable(stop), pytest.raises(Stopped):
            load_model("nobody/nothing", source="hub")
        assert time.monotonic() - started < 15
    close_session()
