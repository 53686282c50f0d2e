"""What `serve` refuses, before anything is bound."""

from __future__ import annotations

import socket

import pytest

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight_server.cli.serve import serve
from vllm_preflight_server.mcp.app import build_server, chosen_tools
from vllm_preflight_server.web.http import serve_http
from vllm_preflight_server.web.settings import HttpSettings, is_loopback
from vllm_preflight_server.web.worker import transport_security


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--http", "--host", "0.0.0.0"], "opens the server to other machines"),
        (["--http", "--host", "0.0.0.0", "--allow-host", "a.org"], "opens the server"),
        (["--http", "--host", "0.0.0.0", "--auth-token", "t"], "opens the server"),
        (["--http", "--host", "::"], "opens the server to other machines"),
        (["--http", "--host", "my-machine"], "opens the server to other machines"),
        (["--http", "--allow-host", "http://a.org"], "is no host name"),
        (["--http", "--allow-host", "*"], "is no host name"),
        (["--http", "--auth-token", ""], "The token is empty"),
        (["--http", "--auth-token", "two words"], "characters a header cannot carry"),
        (["--http", "--auth-token-env", "NO_SUCH_VARIABLE"], "NO_SUCH_VARIABLE is not set"),
        (["--http", "--auth-token", "a", "--auth-token-env", "B"], "are both given"),
        (["--port", "1234"], "Only with --http: --port."),
        (["--workers", "2", "--host", "::1"], "Only with --http: --host, --workers."),
        (["--http", "--tools", "plan_deploy"], "Did you mean plan_deployment?"),
        (["--tools", ","], "No tool is named."),
    ],
)
def test_unsafe_or_senseless_options_are_refused(options: list[str], sentence: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        serve(options)
    assert sentence in str(refusal.value)
    assert refusal.value.exit_code == 2


@pytest.mark.parametrize(
    "options", [["--http", "--port", "65536"], ["--http", "--workers", "0"], ["--port", "x"]]
)
def test_numbers_out_of_range_are_usage_errors(
    options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        serve(options)
    assert left.value.code == 2
    assert "is no number from" in capsys.readouterr().err


def test_a_port_in_use_is_a_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InvalidRequest, match=f"Cannot bind 127.0.0.1 port {port}"):
            serve_http(HttpSettings(port=port))


def test_beyond_loopback_needs_both_hosts_and_token() -> None:
    settings = HttpSettings(host="0.0.0.0", allowed_hosts=("plan.example.org",), token="secret")
    assert settings.checked() is settings


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("192.168.0.2", False),
        ("localhost.example.org", False),
        ("", False),
    ],
)
def test_what_only_this_machine_reaches(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected


def test_allowed_hosts_count_with_and_without_a_port() -> None:
    security = transport_security(("plan.example.org",))
    assert security.enable_dns_rebinding_protection
    assert {"plan.example.org", "plan.example.org:*", "localhost"} <= set(security.allowed_hosts)
    assert "https://plan.example.org" in security.allowed_origins
    assert not any("*" in host.removesuffix(":*") for host in security.allowed_hosts)


def test_a_subset_of_tools_keeps_the_order_of_all() -> None:
    specs = chosen_tools(["predict_startup", "detect_gpus"])
    assert [spec.name for spec in specs] == ["detect_gpus", "predict_startup"]


def test_a_subset_of_tools_is_what_is_served() -> None:
    import anyio

    tools = anyio.run(build_server(["compute_overhead"]).list_tools)
    assert [tool.name for tool in tools] == ["compute_overhead"]
