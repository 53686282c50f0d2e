"""The catalogue of causes: each row is found by its own excerpt, pasted or wrapped."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from datetime import date
from pathlib import Path

import pytest

from vllm_preflight.logs import causes
from vllm_preflight.logs.causes import Cause, find_cause, load_causes
from vllm_preflight.logs.parse import parse_log
from vllm_preflight.questions.explain import explain_startup_log

CAUSES = load_causes()
FEWEST = 60
# How containers and their runners frame a line.
FRAMES = (
    "{}",
    "vllm-1  | {}",
    "2026-04-22T01:35:23.123456789Z stdout F {}",
    "2026-04-22T01:35:23.123Z {}",
    "[pod/vllm-0/vllm] {}",
    "Apr 22 01:35:23 host vllm[12]: {}",
    "(EngineCore_DP0 pid=312) {}",
    "(EngineCore pid=312) ERROR 11-28 10:00:00 [core.py:842] {}",
    "\x1b[0;36m(APIServer pid=1)\x1b[0;0m {}",
    '{{"log": "{}\\n", "stream": "stderr"}}',
)


def test_there_are_enough_rows_with_every_field() -> None:
    assert len([cause for cause in CAUSES if cause.role == "cause"]) >= FEWEST
    assert len({cause.id for cause in CAUSES}) == len(CAUSES)
    for cause in CAUSES:
        assert all((cause.cause, cause.remedy, cause.setting, cause.source)), cause.id
        assert cause.when in {"start", "serving", "any"}, cause.id
        assert not re.search(r"[.*+]\)?[*+]", cause.pattern.pattern), cause.id


@pytest.mark.parametrize("cause", CAUSES, ids=lambda cause: cause.id)
def test_an_excerpt_is_found_and_by_its_own_row(cause: Cause) -> None:
    found = find_cause(cause.excerpt, ("cause", "symptom", "consequence"))
    assert found is cause


@pytest.mark.parametrize("frame", FRAMES)
def test_pasted_lines_are_judged_in_any_frame(frame: str) -> None:
    for cause in CAUSES:
        if cause.role != "cause":
            continue
        text = frame.format(cause.excerpt.replace('"', "'") if "log" in frame else cause.excerpt)
        log = parse_log(text)
        assert log.outcome == "failed", (cause.id, text)
        # Memory has a kind of its own; everything else its row.
        assert log.failure is not None
        assert log.failure.cause == cause.id or log.failure.kind in (
            "free_memory_below_request",
            "invalid_arguments",
            "unsupported",
        ), (cause.id, log.failure)


@pytest.mark.parametrize(
    "cause", [c for c in CAUSES if c.role == "consequence"], ids=lambda cause: cause.id
)
def test_the_last_line_of_every_crash_is_unknown(cause: Cause) -> None:
    report = explain_startup_log(cause.excerpt)
    assert (report.outcome, report.failure) == ("unknown", None)
    assert "stands above" in report.explanation and report.remedies == []


@pytest.mark.parametrize("cause", [c for c in CAUSES if c.role == "cause"], ids=lambda c: c.id)
def test_the_explanation_has_remedy_and_setting(cause: Cause) -> None:
    report = explain_startup_log(cause.excerpt)
    assert report.outcome == "failed" and report.failure is not None
    if report.failure.cause == cause.id:
        assert cause.remedy in report.explanation and cause.setting in report.explanation
        assert report.failure.remedy == cause.remedy


@pytest.mark.parametrize("cause", [c for c in CAUSES if c.role == "symptom"], ids=lambda c: c.id)
def test_a_symptom_is_no_failure(cause: Cause) -> None:
    text = f"INFO:     Application startup complete.\n{cause.excerpt}\n"
    report = explain_startup_log(text)
    assert report.outcome == "started" and cause.remedy in report.explanation


def test_a_server_that_died_is_told_from_one_that_never_came_up() -> None:
    started = "INFO:     Application startup complete.\n"
    died = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.\n"
    log = parse_log(started + died)
    assert log.outcome == "started_then_failed"
    assert log.failure is not None and log.failure.kind == "out_of_memory_after_sizing"
    assert parse_log(died + started).outcome == "started"
    dead = "vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue."
    log = parse_log(started + dead)
    assert (log.outcome, log.failure) == ("started_then_failed", None)


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("Available KV cache memory: -5.49 GiB", "no_kv_cache_memory"),
        ("No available memory for the cache blocks.", "no_kv_cache_memory"),
        (
            "Free memory on device (14.31/23.52 GiB) on startup is less than desired GPU memory "
            "utilization (0.9, 21.17 GiB).",
            "free_memory_below_request",
        ),
        (
            "ValueError: Available memory on node 0 (4.85/18.0 GiB) on startup is less than "
            "desired CPU memory utilization (0.9, 16.2 GiB).",
            "free_memory_below_request",
        ),
        ("Killed", "other"),
        ("Memory cgroup out of memory: Killed process 12 (VLLM::EngineCor) total-vm:1kB", "other"),
        ("Out of memory: Killed process 12 (python3) total-vm:1kB, anon-rss:1kB", "other"),
        ("container vllm exited with code 137", "other"),
    ],
)
def test_lines_that_people_paste(text: str, kind: str) -> None:
    log = parse_log(text)
    assert log.outcome == "failed" and log.failure is not None and log.failure.kind == kind


@pytest.mark.parametrize(
    "text",
    [
        "INFO 11-28 10:00:00 [x.py:1] Retrying after 429 Client Error: Too Many Requests for url",
        "WARNING 11-28 10:00:00 [x.py:1] No module named 'flashinfer', falling back",
        '(APIServer pid=1) INFO:     10.0.0.1:5 - "POST /v1/chat/completions HTTP/1.1" 404',
        "RuntimeError: something that nobody has seen",
    ],
)
def test_remarks_and_unknown_errors_are_not_judged(text: str) -> None:
    assert parse_log(text).outcome == "unknown"


@pytest.mark.parametrize(
    ("text", "cause", "certain"),
    [
        ("      Reason:       OOMKilled\n      Exit Code:    137", "host_memory", True),
        ("      Reason:       Error\n      Exit Code:    137", "killed", False),
        ("slurmstepd: error: Detected 1 oom_kill event in StepId=1.batch.", "host_memory", True),
        ("Out of memory: Killed process 12 (python3)", "host_memory", True),
        ("command terminated with exit code 137", "killed", False),
        ("Bus error (core dumped)", "bus_error", False),
        ("nvidia-container-cli: requirement error: unsatisfied condition: cuda>=12.8, "
         "please update your driver to a newer version", "driver_too_old", True),
        ("requests.exceptions.ConnectionError: HTTPSConnectionPool(host='huggingface.co', "
         "port=443): Max retries exceeded with url: /a/b", "hub_unreachable", True),
        ("Failed to pull image \"vllm/vllm-openai:v9\": not found", "image_pull", True),
    ],
)  # fmt: skip
def test_only_what_proves_a_cause_makes_it_certain(text: str, cause: str, certain: bool) -> None:
    failure = parse_log(text).failure
    assert failure is not None and (failure.cause, failure.certain) == (cause, certain)


@pytest.mark.parametrize(
    "line",
    [
        "TimeoutError: RPC call to execute_model timed out.",
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.32 GiB.",
        "torch.AcceleratorError: CUDA error: an illegal memory access was encountered",
        "container vllm exited with code 137",
    ],
)
def test_one_line_does_not_say_that_it_never_served(line: str) -> None:
    told = explain_startup_log(line).explanation
    assert "at its start or later" in told and "did not start" not in told
    begun = f"INFO 11-28 10:00:00 [api_server.py:1] vLLM API server version 0.19.0\n{line}"
    begun = f"{begun}\nINFO 11-28 10:00:01 [x.py:1] Model loading took 15.27 GiB and 3 seconds"
    assert "did not start" in explain_startup_log(f"{begun}\n{line}").explanation


def test_the_catalogue_has_a_date_and_no_field_beyond_its_schema() -> None:
    text = (Path(causes.__file__).with_name("causes.json")).read_text(encoding="utf-8")
    data = json.loads(text)
    assert date.fromisoformat(data["date"]) and data["schema_version"] == 1
    known = {item.name for item in fields(Cause)}
    for row in data["causes"]:
        assert set(row) <= known and len(row["source"]) >= 3, row["id"]
        assert row["words"] and any(word in row["excerpt"] for word in row["words"]), row["id"]
        assert row["kind"] in {"other", "unsupported", "invalid_arguments"}, row["id"]
        assert all(re.fullmatch(r"\d+\.\d+\.\d+", row.get(k, "0.1.0")) for k in ("since", "until"))
