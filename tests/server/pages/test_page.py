"""The page: one file without network, the same figures as the answer, at home in an MCP host."""

from __future__ import annotations

import math
import re
import shutil
import subprocess
from html import unescape
from pathlib import Path
from typing import Any

import anyio
import pytest
from mcp import Client
from tests.server.browser import CHROMIUM, chromium, play
from tests.server.conftest import Ask, Cli

from vllm_preflight_server.mcp.app import build_server
from vllm_preflight_server.pages.figures import capacity, memory, short_of_cache_gib, speed
from vllm_preflight_server.pages.page import PAGE_URI, page_html, report_html

from .test_figures import ENCODER, PLANS, QUESTIONS, STARTS, answer_of

APP = Path(__file__).resolve().parents[3] / "app"
LARGEST = 300_000
# Only such an answer has the curve; 21 is not among its points.
FULL = {**PLANS[0], "concurrency": 21, "target_latency_ms": 20_000, "detail": "full"}

in_browser = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not installed")
with_node = pytest.mark.skipif(
    shutil.which("node") is None or not (APP / "node_modules").is_dir(),
    reason="Node and the packages of app/ are not installed",
)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The host with the official bridge, bundled."""
    bundle = tmp_path_factory.mktemp("host") / "host.js"
    subprocess.run(["node", str(APP / "test" / "build_host.mjs"), str(bundle)], check=True)
    return bundle


def test_tools_point_to_a_page_that_hosts_can_read() -> None:
    async def session() -> tuple[dict[str, Any], Any]:
        async with Client(build_server()) as client:
            tools = {tool.name: tool.meta for tool in (await client.list_tools()).tools}
            return tools, (await client.read_resource(PAGE_URI)).contents

    tools, (content,) = anyio.run(session)
    shown = {name for name, meta in tools.items() if meta}
    assert shown == {"plan_deployment", "predict_startup"}
    assert all(tools[name] == {"ui": {"resourceUri": PAGE_URI}} for name in shown)
    assert content.mime_type == "text/html;profile=mcp-app"
    assert content.text == page_html()


def test_the_page_is_one_small_file_that_fetches_nothing() -> None:
    page = page_html()
    assert len(page.encode()) < LARGEST
    assert not re.search(r"<(script|link|img|iframe)[^>]*(src|href)=", page)
    assert not re.search(r"\b(fetch\(|XMLHttpRequest|WebSocket|import\()|@import|url\(", page)
    # Names of XML kinds, and of licences; nothing else of the net.
    assert set(re.findall(r"https?://([\w.]+)", page)) <= {"www.w3.org"}
    assert "Permission to use, copy, modify" in page


@with_node
def test_the_page_is_what_its_sources_build() -> None:
    check = subprocess.run(
        ["node", str(APP / "build.mjs"), "--check"], capture_output=True, encoding="utf-8"
    )
    assert check.returncode == 0, check.stderr


@in_browser
@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("plan_deployment", PLANS[0]),
        ("plan_deployment", PLANS[2]),
        ("predict_startup", STARTS[1]),
        ("predict_startup", ENCODER),
        ("plan_deployment", FULL),
    ],
)
def test_the_report_shows_the_answers_figures(
    ask: Ask, tmp_path: Path, tool: str, arguments: dict[str, Any]
) -> None:
    answer = answer_of(ask, tool, arguments)
    dom = shown(answer, tmp_path)
    bar, held = memory(answer), capacity(answer)
    assert bar is not None
    rows = [(label, gib) for label, gib, _ in table(dom, "Memory of one GPU")]
    expected = [(part.label, f"{part.gib:,.2f} GiB") for part in bar.parts]
    assert rows[: len(expected)] == expected
    short = short_of_cache_gib(answer)
    rest = [] if short is None else [("KV cache", f"{short:,.2f} GiB short")]
    assert rows[len(expected) :] == rest
    assert f"which vLLM may use {bar.budget_gib / bar.visible_gib:.1%}".replace("%", " %") in dom
    if held is not None:
        points = table(dom, "Requests that fit at each length")
        assert [int(tokens.replace(",", "")) for tokens, _ in points] == [
            tokens for tokens, _ in held.points
        ]
        for mark in held.marks:
            assert f"{mark.label}: " in dom and f"× {mark.tokens:,} tokens" in dom
    pace = speed(answer)
    drawn = 1 + (held is not None) + bool(pace and pace.curve)
    assert len(re.findall(r'<svg[^>]*role="img"', dom)) == drawn
    assert table(dom, "Estimated speed") == (
        [
            (line.label, f"{line.value:,g} {line.unit}", f"{line.low:,g} to {line.high:,g}")
            for line in pace.estimates
        ]
        if pace
        else []
    )


@in_browser
def test_the_report_of_a_full_answer_shows_the_curve(ask: Ask, tmp_path: Path) -> None:
    answer = answer_of(ask, "plan_deployment", FULL)
    pace = speed(answer)
    assert pace is not None
    dom = shown(answer, tmp_path)
    rows = table(dom, "Speed over requests in flight")
    assert [row[:2] for row in rows] == [
        (f"{at.concurrency:,.0f}", f"{at.tokens_per_s:,g}") for at in pace.curve
    ]
    described = dom.partition('<desc id="speed-desc">')[2].partition("</desc>")[0]
    for at in pace.curve:
        assert f"with {at.concurrency:,.0f}, {at.tokens_per_s:,g} tokens/s" in described
    assert f"This workload: {pace.asked.concurrency:,.0f} in flight" in described
    assert "The target is 20 s" in described
    drawing = dom.partition('<g class="speed-points">')[2].partition("</svg>")[0]
    mark = dict(re.findall(r'\b(cx|cy)="([^"]+)"', drawing.partition('class="mark"')[2][:80]))
    assert f'cx="{mark["cx"]}" cy="{mark["cy"]}" r="3"' in drawing


@in_browser
@with_node
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_people_who_do_not_see_it_can_read_it(ask: Ask, theme: str, tmp_path: Path) -> None:
    axe = (APP / "node_modules" / "axe-core" / "axe.min.js").as_uri()
    run = (
        "document.querySelectorAll('details').forEach((part) => (part.open = true));"
        "axe.run().then(({ violations, passes }) => {"
        "  document.title = `${passes.length} passed: ${violations.map((found) => found.id)}.`;"
        "});"
    )
    page = report_html(answer_of(ask, "plan_deployment", FULL))
    page = page.replace('<html lang="en">', f'<html lang="en" data-theme="{theme}">')
    file = tmp_path / "report.html"
    scripts = f'<script src="{axe}"></script><script>{run}</script>'
    file.write_text(page.replace("</body>", f"{scripts}</body>"), encoding="utf-8")
    dom = chromium(file.as_uri(), "--virtual-time-budget=8000", "--dump-dom")
    title = dom.partition("<title>")[2].partition("</title>")[0]
    assert re.fullmatch(r"\d\d passed: \.", title)


@in_browser
def test_names_are_text_and_never_markup(ask: Ask, tmp_path: Path) -> None:
    answer = answer_of(ask, *QUESTIONS[0])
    name = "</script><img src=x onerror=\"document.title='pwned'\"><!--"
    dom = shown({**answer, "model": {**answer["model"], "model": name}}, tmp_path)
    assert "<title>vLLM preflight</title>" in dom
    assert "<img" not in dom.partition("<body")[2].partition("<script")[0]
    assert "&lt;/script&gt;&lt;img" in dom


@in_browser
@with_node
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_host_and_the_page_understand_each_other(
    ask: Ask, host: Path, theme: str, tmp_path: Path
) -> None:
    result = ask(*QUESTIONS[0])
    picture = tmp_path / "page.png"
    events = play(
        host,
        {
            "page": page_html(),
            "theme": theme,
            "input": QUESTIONS[0][1],
            "result": result.model_dump(mode="json", by_alias=True, exclude_none=True),
        },
        ["--window-size=760,1400", f"--screenshot={picture}"],
    )
    assert events[0] == {
        "event": "initialized",
        "app": {"name": "vllm-preflight", "version": build_server().version},
    }
    heights = [event["height"] for event in events if event["event"] == "size-changed"]
    assert heights[0] < 200 < 600 < heights[-1]
    assert {"event": "teardown answered"} in events
    assert picture.stat().st_size > 20_000


CLICK = (
    "<script>setTimeout(() => document.querySelector('button[aria-label^=Try]')?.click(), 150);"
    "</script></body>"
)


@in_browser
@with_node
@pytest.mark.parametrize("takes_calls", [True, False])
def test_a_remedy_is_one_click_where_the_host_takes_calls(
    ask: Ask, host: Path, takes_calls: bool
) -> None:
    question = PLANS[2]
    before = ask("plan_deployment", question)
    assert before.structured_content is not None
    remedy = before.structured_content["remedies"][0]
    changed = {**question, **remedy["set"]}
    asked = {name: value for name, value in changed.items() if value is not None}
    after = ask("plan_deployment", asked)

    def wire(result: Any) -> dict[str, Any]:
        return result.model_dump(mode="json", by_alias=True, exclude_none=True)

    scenario = {
        "page": page_html().replace("</body>", CLICK),
        "theme": "light",
        "input": question,
        "result": wire(before),
        **({"answer": wire(after)} if takes_calls else {}),
    }
    events = play(host, scenario, ["--window-size=760,1400", "--dump-dom"])
    called = [event for event in events if event["event"] == "called"]
    wanted = {"event": "called", "name": remedy["tool"], "arguments": asked}
    assert called == ([wanted] if takes_calls else [])


CHANGE = (
    "<script>setTimeout(() => {{"
    " const field = document.querySelector('.controls [name={name}]');"
    " if (!field) return;"
    " field.value = '{value}';"
    " field.dispatchEvent(new Event('change', {{ bubbles: true }}));"
    "}}, {wait});</script>"
)
WRONG_THEN_RIGHT = (("H1000", 100), ("H200", 200))


@in_browser
@with_node
@pytest.mark.parametrize(
    ("tool", "question", "name", "value", "changes"),
    [
        ("plan_deployment", PLANS[0], "concurrency", "1k", {"concurrency": 1000}),
        ("plan_deployment", {**PLANS[0], "gpus": 2}, "gpus", "", {"gpus": None}),
        ("predict_startup", STARTS[0], "kv_cache_dtype", "fp8", {"kv_cache_dtype": "fp8"}),
    ],
)
@pytest.mark.parametrize("takes_calls", [True, False])
def test_a_changed_control_calls_the_tool_again(
    ask: Ask,
    host: Path,
    tool: str,
    question: dict[str, Any],
    name: str,
    value: str,
    changes: dict[str, Any],
    takes_calls: bool,
) -> None:
    result = ask(tool, question).model_dump(mode="json", by_alias=True, exclude_none=True)
    change = CHANGE.format(name=name, value=value, wait=150)
    scenario = {
        "page": page_html().replace("</body>", f"{change}</body>"),
        "theme": "light",
        "input": question,
        "result": result,
        **({"answer": result} if takes_calls else {}),
    }
    events = play(host, scenario, ["--window-size=760,1400", "--dump-dom"])
    asked = {key: item for key, item in {**question, **changes}.items() if item is not None}
    called = [event for event in events if event["event"] == "called"]
    wanted = {"event": "called", "name": tool, "arguments": asked}
    assert called == ([wanted] if takes_calls else [])


@in_browser
@with_node
def test_the_controls_stay_where_a_change_is_refused(ask: Ask, host: Path) -> None:
    result = ask(*QUESTIONS[0]).model_dump(mode="json", by_alias=True, exclude_none=True)
    refusal = {"isError": True, "content": [{"type": "text", "text": "No GPU called H1000."}]}
    twice = (CHANGE.format(name="gpu", value=value, wait=wait) for value, wait in WRONG_THEN_RIGHT)
    scenario = {
        "page": page_html().replace("</body>", "".join(twice) + "</body>"),
        "theme": "light",
        "input": QUESTIONS[0][1],
        "result": result,
        "answer": refusal,
    }
    events = play(host, scenario, ["--window-size=760,1400", "--dump-dom"])
    called = [event["arguments"]["gpu"] for event in events if event["event"] == "called"]
    assert called == [value for value, _ in WRONG_THEN_RIGHT]


@in_browser
def test_a_report_draws_what_the_gpus_cost(ask: Ask, tmp_path: Path) -> None:
    question = {**PLANS[0], "prices": "list", "daily_load": "2", "api_price": "0.6"}
    answer = answer_of(ask, "plan_deployment", question)
    dom = shown(answer, tmp_path)
    rows = table(dom, "Cost over requests a second")
    assert [float(rate.replace(",", "")) for rate, _ in rows] == [
        pytest.approx(at["requests_per_s"], rel=0.005) for at in answer["cost"]["by_load"]
    ]
    described = dom.partition('<desc id="cost-desc">')[2].partition("</desc>")[0]
    load = answer["cost"]["per_million_tokens_at_load"]
    assert f"The daily load: {load:.2f} USD" in described
    even = answer["cost"]["break_even_requests_per_s"]
    assert f"The API costs as much at {even:g} a second" in described
    # Renting costs as much as the API where the curve meets its line.
    price = answer["cost"]["per_hour"] / (even * 3600 * 256) * 1e6
    assert f">API {price:.2f}<" in dom
    free = {key: value for key, value in answer.items() if key != "cost"}
    assert "cost-desc" not in shown(free, tmp_path)


@in_browser
def test_what_does_not_start_says_what_lacks_and_offers_no_command(
    ask: Ask, tmp_path: Path
) -> None:
    answer = answer_of(ask, "plan_deployment", PLANS[2])
    dom = shown(answer, tmp_path)
    lacks = answer["startup"]["failure"]["missing_per_gpu_gib"]
    assert f"one GPU lacks {lacks:,.2f} GiB" in dom
    assert "<h2>Command</h2>" not in dom and "What would help" in dom
    assert 'class="missing"' in dom


@in_browser
@pytest.mark.parametrize(
    ("length", "word"),
    [(29_696, "Starts"), (31_296, "A toss-up"), (31_872, "Unlikely to start")],
)
def test_the_label_says_how_likely_a_start_is(
    ask: Ask, tmp_path: Path, length: int, word: str
) -> None:
    question = {"model": "Qwen/Qwen3-32B", "gpu": "H100", "max_model_len": length}
    answer = answer_of(ask, "predict_startup", question)
    dom = shown(answer, tmp_path)
    assert f" {word}</strong>" in dom
    share = math.floor(answer["verdict"]["start_probability"] * 100 + 0.5)
    assert "<meter" in dom and f"Start probability {share} %" in dom
    low, high = answer["startup"]["interval"]["available_kv_cache_gib"]
    assert f"80 % of KV caches have {low:,.2f} GiB to {high:,.2f} GiB" in dom
    assert "Asked: max_model_len" in dom
    # A button beside each line that can be run.
    assert dom.count(">Copy</button>") == dom.count("<pre ")


@in_browser
def test_memory_of_others_is_drawn(ask: Ask, tmp_path: Path) -> None:
    question = {"model": "Qwen/Qwen3-8B", "gpu": "H100", "gpus": 1, "free_vram_gb": 40}
    answer = answer_of(ask, "plan_deployment", question)
    bar = memory(answer)
    assert bar is not None
    assert {part.key: part.gib for part in bar.parts}["others"] == pytest.approx(39.19, abs=0.01)
    rows = [(label, gib) for label, gib, _ in table(shown(answer, tmp_path), "Memory of one GPU")]
    assert ("Held by others", "39.19 GiB") in rows


@in_browser
@with_node
def test_a_failed_call_is_told(host: Path) -> None:
    sentence = "There is no GPU 'H1000'. " * 20
    result = {"isError": True, "content": [{"type": "text", "text": sentence}]}
    scenario = {"page": page_html(), "theme": "light", "input": {}, "result": result}
    events = play(host, scenario, ["--window-size=400,800", "--dump-dom"])
    heights = [event["height"] for event in events if event["event"] == "size-changed"]
    assert heights[-1] > heights[0]


def test_the_command_line_writes_a_report(cli: Cli, tmp_path: Path) -> None:
    target = tmp_path / "plan.html"
    words = ["Qwen/Qwen3-8B", "--gpu", "H100", "--report", str(target)]
    first = cli("plan", *words)
    assert first.returncode == 0 and str(target) in first.stderr
    written = target.read_text(encoding="utf-8")
    assert '"outcome": "carries"' in written and '"curve": [' in written
    assert list(tmp_path.iterdir()) == [target]

    target.write_text("mine", encoding="utf-8")
    second = cli("check", *words)
    assert second.returncode == 2 and "--force" in second.stderr and second.stdout == ""
    assert target.read_text(encoding="utf-8") == "mine"

    assert cli("check", *words, "--force").returncode == 0
    assert '"outcome": "starts"' in target.read_text(encoding="utf-8")
    assert list(tmp_path.iterdir()) == [target]


def test_a_report_goes_nowhere_when_the_folder_is_not_there(cli: Cli, tmp_path: Path) -> None:
    target = tmp_path / "none" / "plan.html"
    answer = cli("plan", "Qwen/Qwen3-8B", "--gpu", "H100", "--report", str(target))
    assert answer.returncode == 2 and "cannot be written" in answer.stderr
    assert not any(tmp_path.iterdir())


def shown(answer: dict[str, Any], folder: Path) -> str:
    """The DOM of a report after its script ran."""
    page = folder / "report.html"
    page.write_text(report_html(answer), encoding="utf-8")
    return chromium(page.as_uri(), "--dump-dom")


def table(dom: str, caption: str) -> list[tuple[str, ...]]:
    """The cells of the rows of a table, as text."""
    body = dom.partition(f'<caption class="unseen">{caption}</caption>')[2]
    rows = re.findall(r"<tr>(.*?)</tr>", body.partition("<tbody>")[2].partition("</tbody>")[0])
    return [
        tuple(
            unescape(re.sub(r"<[^>]+>", "", cell))
            for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row)
        )
        for row in rows
    ]
