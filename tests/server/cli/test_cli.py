"""The command line: the same answers as the tools, exit codes, and output for its reader."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.server.conftest import Ask, Cli

from vllm_preflight import __version__
from vllm_preflight_server.cli.main import COMMANDS, main
from vllm_preflight_server.mcp.tools import TOOLS

HEAVY = ("mcp", "pydantic", "huggingface_hub", "pynvml", "rich", "vllm_preflight.contract.inputs")
PLAN = ("plan", "Qwen/Qwen3-32B", "--gpu", "H100", "--concurrency", "16")
CHECK = ("check", "--gpu", "H100", "--", "vllm", "serve", "Qwen/Qwen3-32B", "-tp", "2")


@pytest.mark.design("6: exit codes are those that --help documents")
@pytest.mark.parametrize(
    ("words", "exit_code"),
    [
        (PLAN, 0),
        (("plan", "deepseek-ai/DeepSeek-R1", "--gpu", "H100", "--gpus", "4"), 1),
        (CHECK, 0),
        (("check", "Qwen/Qwen3-32B", "--gpu", "RTX 4090"), 1),
        (("inspect", "Qwen/Qwen3-32B"), 0),
        (("overhead", "--vram-gb", "80"), 0),
        (("plan", "Qwen/Qwen3-32B", "--gpu", "H100", "--concurrency", "0"), 2),
        (("plan", "Qwen/Qwen3-33B", "--gpu", "H100"), 3),
        (("plan", "Qwen/Qwen3-32B", "--gpu", "H9000"), 4),
        (("--version",), 0),
        (("--help",), 0),
        ((), 2),
        (("plann",), 2),
    ],
)
def test_exit_codes_as_help_documents_them(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], exit_code: int
) -> None:
    assert main(words) == exit_code
    captured = capsys.readouterr()
    assert "Traceback" not in captured.err
    if exit_code in (0, 1):
        assert captured.out and not captured.err


@pytest.mark.parametrize(
    "words",
    [
        ("plan", "Qwen/Qwen3-32B", "--no-such-option"),
        ("plan", "Qwen/Qwen3-32B", "extra"),
        ("plan", "Qwen/Qwen3-32B", "--model", "Qwen/Qwen3-8B"),
        ("plan",),
        ("overhead",),
        ("serve", "--port", "1"),
    ],
)
def test_bad_usage_exits_with_2_and_one_sentence(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    try:
        exit_code = main(words)
    except SystemExit as left:
        exit_code = left.code
    captured = capsys.readouterr()
    assert exit_code == 2
    assert captured.out == ""
    assert captured.err.startswith("error: ") and captured.err.count("\n") == 1


def test_an_architecture_nobody_knows_exits_with_3_and_is_not_called_a_crash(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "xyz"}', encoding="utf-8")
    assert main(("check", str(tmp_path), "--gpu", "H100")) == 3
    shown = capsys.readouterr().out
    assert "not modelled" in shown and "model_type" in shown
    assert "would stop" not in shown


def test_detect_without_a_gpu_exits_with_4_and_says_why(cli: Cli) -> None:
    run = cli("detect", "--json")
    answer = json.loads(run.stdout)
    if answer["gpus"]:
        pytest.skip("this machine has a GPU")
    assert run.returncode == 4
    assert answer["reason"]


def test_plan_without_a_gpu_to_detect_names_the_way_out(
    capsys: pytest.CaptureFixture[str],
) -> None:
    if main(["plan", "Qwen/Qwen3-32B"]) != 4:
        pytest.skip("this machine has a GPU")
    assert "gpu, such as H100" in capsys.readouterr().err


@pytest.mark.parametrize(
    "line",
    [
        ("vllm", "serve", "Qwen/Qwen3-32B", "-tp", "2", "--max-model-len", "32k"),
        ("vllm serve Qwen/Qwen3-32B -tp 2 --max-model-len 32k",),
        ("VLLM_USE_V1=1 vllm serve Qwen/Qwen3-32B -tp=2 --max_model_len=32000",),
    ],
    ids=["words", "one line", "with a variable"],
)
def test_a_command_to_check_may_be_words_or_a_line(
    capsys: pytest.CaptureFixture[str], line: tuple[str, ...]
) -> None:
    assert main(["check", "--gpu", "H100", "--json", "--", *line]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer["arguments"]["max_model_len"] == 32_000
    assert answer["arguments"]["tensor_parallel_size"] == 2
    assert answer["command"] == (line[0] if len(line) == 1 else " ".join(line))


def test_options_and_the_command_must_agree(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["check", "--gpu", "H100", "-tp", "4", "--", "vllm", "serve", "Qwen/Qwen3-32B"]
    assert main(words) == 0
    assert main([*words, "-tp", "2"]) == 2
    assert "tensor_parallel_size is 4 as a field and 2 in the command." in capsys.readouterr().err


def test_piped_output_is_plain_and_its_lines_whole(cli: Cli) -> None:
    run = cli(*PLAN)
    assert run.returncode == 0
    assert "\x1b" not in run.stdout
    lines = run.stdout.splitlines()
    assert any(line.startswith("  vllm serve Qwen/Qwen3-32B --max-model-len ") for line in lines)


LOG = "tests/data/logs/kv_cache_too_small.log"


def test_explain_reads_a_file_or_standard_input(
    ask: Ask, cli: Cli, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    text = (repository / LOG).read_text(encoding="utf-8")
    expected = ask("explain_startup_log", {"log": text, "detail": "full"}).structured_content
    assert main(["explain", str(repository / LOG), "--json", "--explain"]) == 0
    assert json.loads(capsys.readouterr().out) == expected
    piped = cli("explain", "-", "--json", "--explain", input=text)
    assert piped.returncode == 0
    assert json.loads(piped.stdout) == expected


@pytest.mark.parametrize("name", ["missing.log", "."])
def test_a_log_that_cannot_be_read_is_bad_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert main(["explain", str(tmp_path / name)]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_call_runs_a_tool_with_json(ask: Ask, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = {"vram_total_gib": 80, "tensor_parallel_size": 4}
    assert main(["call", "compute_overhead", json.dumps(arguments)]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer == ask("compute_overhead", arguments).structured_content


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("call", "compute_overheads"), "There is no tool 'compute_overheads'"),
        (("call", "compute_overhead", "{"), "JSON"),
        (("call", "compute_overhead", "[]"), "where a JSON object is needed"),
        (("call", "compute_overhead", "{}"), "Neither vram_total_gib nor gpu is given"),
    ],
)
def test_call_refuses_in_a_sentence(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...], sentence: str
) -> None:
    assert main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and sentence in captured.err


def test_the_explain_option_lists_every_term(capsys: pytest.CaptureFixture[str]) -> None:
    main(PLAN)
    assert "Terms:" not in capsys.readouterr().out
    main([*PLAN, "--explain"])
    explained = capsys.readouterr().out
    for term in ("weights = ", "kv_cache = ", "num_gpu_blocks = ", "[derived; "):
        assert term in explained


def test_a_terminal_gets_colours_and_the_memory_bar() -> None:
    leader, follower = pty.openpty()
    run = subprocess.Popen(
        [sys.executable, "-m", "vllm_preflight_server.cli", *PLAN],
        stdout=follower,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "TERM": "xterm-256color", "NO_COLOR": ""},
    )
    os.close(follower)
    output = b""
    try:
        while chunk := os.read(leader, 65_536):
            output += chunk
    except OSError:
        # Linux reports the end of a pseudo terminal as an error.
        pass
    os.close(leader)
    assert run.wait(timeout=30) == 0
    shown = output.decode()
    assert "\x1b[" in shown
    assert "WWWW" in shown and "may be used" in shown


def test_a_reader_that_stops_early_is_no_error(cli: Cli) -> None:
    module = f"{sys.executable} -m vllm_preflight_server.cli inspect Qwen/Qwen3-32B --explain"
    run = cli("-c", f"{module} | head -1", command=("bash", "-o", "pipefail"))
    assert "Traceback" not in run.stderr and "Exception" not in run.stderr


@pytest.mark.parametrize("words", [("--help",), ("--version",)])
def test_help_imports_nothing_heavy(words: tuple[str, ...]) -> None:
    program = (
        "import sys; from vllm_preflight_server.cli.main import main; main(sys.argv[1:]); "
        f"print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, text=True, check=True
    )
    assert run.stderr.strip() == "[]"


@pytest.mark.design("1: the engine imports no mcp, and a command only what it needs")
@pytest.mark.parametrize("words", [PLAN, CHECK])
def test_commands_import_neither_mcp_nor_what_they_do_not_ask(words: tuple[str, ...]) -> None:
    program = (
        "import sys; from vllm_preflight_server.cli.main import main; main(sys.argv[1:]); "
        "print([name for name in ('mcp', 'pynvml', 'huggingface_hub') if name in sys.modules], "
        "file=sys.stderr)"
    )
    run = subprocess.run(
        [sys.executable, "-c", program, *words], capture_output=True, text=True, check=True
    )
    assert run.stderr.strip() == "[]"


@pytest.mark.parametrize("command", [name for name in COMMANDS if name != "serve"])
def test_every_command_has_help(capsys: pytest.CaptureFixture[str], command: str) -> None:
    with pytest.raises(SystemExit) as left:
        main([command, "--help"])
    assert left.value.code == 0
    assert f"usage: vllm-preflight {command}" in capsys.readouterr().out


def test_help_documents_commands_and_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    main(["--help"])
    text = capsys.readouterr().out
    for command in COMMANDS:
        assert f"\n  {command}" in text
    for code in range(5):
        assert f"\n  {code}  " in text


def test_an_unknown_command_names_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plann"]) == 2
    assert "Did you mean 'plan'?" in capsys.readouterr().err


def test_the_console_script_is_installed() -> None:
    script = shutil.which("vllm-preflight", path=str(Path(sys.executable).parent))
    assert script is not None
    run = subprocess.run([script, "--version"], capture_output=True, text=True, check=True)
    assert run.stdout == f"vllm-preflight {__version__}\n"


def shell(line: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    """A line of shell with `preflight` for the command; nothing is decoded."""
    command = f'preflight() {{ {sys.executable} -m vllm_preflight_server.cli "$@"; }}; {line}'
    return subprocess.run(
        ["bash", "-c", f"set -o pipefail; {command}"],
        capture_output=True,
        env={**os.environ, **environment},
        timeout=60,
        check=False,
    )


@pytest.mark.design("6: nothing prints a traceback to a user")
@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("preflight plan Qwen/Qwen3-8B --gpu H100 >&-", 0),
        ("preflight plan Qwen/Qwen3-32B --gpu T4 --gpus 1 >&-", 1),
        ("preflight plan Qwen/Qwen3-8B --gpu nothing 2>&-", 4),
        ("preflight explain - <&-", 2),
        ("preflight plan Qwen/Qwen3-8B --gpu H100 >/dev/full", 2),
        ("preflight --help >/dev/full", 2),
        ("preflight plan Qwen/Qwen3-8B --gpu H100 | head -n 1", 0),
        ("preflight plan Qwen/Qwen3-32B --gpu T4 --gpus 1 --explain | head -c 1", 1),
    ],
)
def test_closed_and_full_streams_leave_the_exit_code_and_no_traceback(line: str, code: int) -> None:
    done = shell(line)
    assert b"Traceback" not in done.stderr
    assert b"Exception ignored" not in done.stderr
    assert done.returncode == code, done.stderr


def test_a_terminal_without_unicode_gets_what_it_can_show() -> None:
    ascii_only = {"PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "LC_ALL": "C"}
    plain = shell("preflight check Qwen/Qwen3-8B --gpu H100 --explain", **ascii_only)
    assert plain.returncode == 0, plain.stderr
    assert plain.stdout.isascii()
    answer = shell("preflight overhead --vram-total-gib 80 --json", **ascii_only)
    assert "×" in json.loads(answer.stdout)["terms"][0]["formula"]


def test_a_length_may_have_the_suffix_of_vllms_flags(cli: Cli) -> None:
    asked = cli("plan", "Qwen/Qwen3-8B", "--gpu", "H100", "--max-model-len", "8K", "--json")
    assert json.loads(asked.stdout)["config"]["max_model_len"] == 8192
    wrong = cli("plan", "Qwen/Qwen3-8B", "--gpu", "H100", "--max-model-len", "8x")
    assert wrong.returncode == 2
    assert "must be a whole number" in wrong.stderr


@pytest.mark.parametrize("place", ["/no/such/log", "."])
def test_a_log_that_cannot_be_read_is_named(cli: Cli, place: str) -> None:
    asked = cli("explain", place)
    assert asked.returncode == 2
    assert asked.stderr.startswith(f"error: The log {place} cannot be read: ")


def test_a_log_may_come_from_a_process() -> None:
    done = shell("preflight explain <(echo no log)")
    assert done.returncode == 0, done.stderr
    assert b"outcome: unknown" in done.stdout


def test_arguments_of_a_call_that_are_no_json_are_answered_for_what_they_are(cli: Cli) -> None:
    asked = cli("call", "plan_deployment", "{bad")
    assert asked.returncode == 2
    assert "The second argument is not valid JSON" in asked.stderr
    assert "Write a JSON object" in asked.stderr


@pytest.mark.parametrize(
    "words",
    [
        PLAN,
        ("plan", "openai/gpt-oss-120b", "--gpu", "RTX 3090", "--gpus", "2"),
        CHECK,
        ("plan", "Qwen/Qwen3-8B", "--help"),
        ("check", "--help"),
    ],
    ids=["plan", "does not start", "check", "help", "help of check"],
)
def test_the_command_line_names_no_tools(
    capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    with contextlib.suppress(SystemExit):
        main(list(words))
    said = "".join(capsys.readouterr())
    assert said
    assert not [spec.name for spec in TOOLS if spec.name in said]
