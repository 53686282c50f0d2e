"""From the raw text of a log to the few lines worth reading.

A log of megabytes holds some dozens of lines that matter. One walk over a long text keeps
the lines with any of the words, plain substring searches (which run at memory speed) find
each word's, and only those lines are unwrapped: ANSI colours and container prefixes are
dropped, JSON envelopes opened, the worker that wrote the line is named.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

from vllm_preflight.base.cancellation import check_stop
from vllm_preflight.base.patterns import compile_words

# A line longer than this is read in a window around the words that matter.
MAX_LINE = 24_000
BEFORE = 2_000
# So many lines of one kind from either end of a text tell what more of them would.
MOST_LINES = 400
# Text beyond this is clipped in the middle: starts and ends tell most.
MAX_TEXT = 48_000_000
# A shorter text is searched as it is; so is one of so many telling lines, where the walk over
# all of them would take longer than the searches.
_SHORT_TEXT = 100_000
_MOST_TELLING = 150_000

# Colours, also those whose escape character was lost or spelt out on the way.
_ANSI = re.compile(r"(?:\x1b|\\u001b|\^\[)?\[(?:\d{1,3};){0,4}\d{0,3}m|\x1b\[[0-9;?]{0,20}[A-Za-z]")
_ENVELOPE_KEYS = (
    "log",
    "message",
    "msg",
    "textPayload",
    "text",
    "line",
    "event",
    "body",
    "MESSAGE",
)
# "(Worker_TP0 pid=445)", "(VllmWorker rank=1 pid=7)", "(RayWorkerWrapper pid=9, ip=10.0.0.2)",
# "(EngineCore_DP0 pid=9)", "(APIServer pid=1)".
_PROCESS = re.compile(
    r"\(((?:\w{0,30}Worker\w{0,40}|EngineCore\w{0,30}|APIServer\w{0,20}|ApiServer\w{0,20})"
    r"(?: rank=(\d{1,5}))?)(?: pid=(\d{1,10}))?(?:, ip=([\w.:]{1,60}))?\)"
)
# Level, date and source location at the front of a record.
_LEVEL = re.compile(
    r"\b(DEBUG|INFO|WARNING|ERROR|CRITICAL) (?:\d{4}-)?\d\d-\d\d \d\d:\d\d:\d\d "
    r"(?:\[[^\]\n]{1,200}\]|\S{1,120}\])"
)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of interest.

    `text` is the whole line without wrapping; `process` the worker's name as printed
    ("" for none) and `key` what tells workers apart (their pid, where printed).
    `content` is what follows the prefix of the record; `level` its level, "" for lines
    that went around the logger, such as an uncaught traceback. `ended` is false for a
    last line without a line break, whose end may be missing.
    """

    text: str
    content: str
    level: str
    process: str
    key: str
    ended: bool


def clip(text: str) -> tuple[str, bool]:
    """The text, its middle left out when it is longer than can be read in seconds."""
    if len(text) <= MAX_TEXT:
        return text, False
    half = MAX_TEXT // 2
    return text[:half] + "\n" + text[-half:], True


def normalise(text: str) -> str:
    """Line breaks as one character; bytes that a wrong decoding left are dropped."""
    if "\0" in text:
        text = text.replace("\0", "")
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return text


def find_lines(text: str, words: tuple[str, ...]) -> Iterator[Line]:
    """Lines of a normalised text that hold one of `words`, in order, unwrapped."""
    text = _telling(text, words)
    windows: dict[int, int] = {}
    for word in words:
        _find_word(text, word, windows)
    for start in sorted(windows):
        check_stop()
        end = windows[start]
        yield from _unwrap(text[start:end], ended=end < len(text))


def _telling(text: str, words: tuple[str, ...]) -> str:
    """The lines of a long text that hold one of `words`, or the text itself."""
    if len(text) < _SHORT_TEXT:
        return text
    data = text.encode("utf-8", errors="surrogatepass")
    kept: list[bytes] = []
    done = 0
    for number, found in enumerate(compile_words(words).finditer(data)):
        check_stop()
        if number == _MOST_TELLING:
            return text
        start = max(done, data.rfind(b"\n", done, found.start()) + 1)
        done = data.find(b"\n", found.end() - 1) + 1 or len(data)
        kept.append(data[start:done])
    return b"".join(kept).decode("utf-8", errors="surrogatepass")


def _find_word(text: str, word: str, windows: dict[int, int]) -> None:
    """Note the lines that hold a word; of very many the first and the last."""
    position, found = text.find(word), 0
    while position >= 0 and found < MOST_LINES:
        position = text.find(word, _note(text, position, windows))
        found += 1
    if position < 0:
        return
    first, position = position, text.rfind(word)
    while position >= first and found < 2 * MOST_LINES:
        _note(text, position, windows)
        position = text.rfind(word, first, text.rfind("\n", 0, position) + 1)
        found += 1


def _note(text: str, position: int, windows: dict[int, int]) -> int:
    """Note the line around a position; where it, or the window into it, ends."""
    check_stop()
    start = text.rfind("\n", 0, position) + 1
    end = text.find("\n", position)
    end = len(text) if end < 0 else end
    if end - start > MAX_LINE:
        start = max(start, position - BEFORE)
        end = min(end, start + MAX_LINE)
    windows[start] = max(end, windows.get(start, 0))
    return end


def _unwrap(raw: str, *, ended: bool) -> Iterator[Line]:
    inner = _open_envelope(raw)
    if inner is None:
        yield _line(raw, ended=ended)
        return
    for part in inner.splitlines():
        yield _line(part, ended=True)


def _open_envelope(raw: str) -> str | None:
    """The message inside a line of JSON, or None."""
    start = raw.find("{")
    # A few dozen characters may stand before the braces: a pod's name, a time.
    if (
        start < 0
        or start > 200
        or not raw.rstrip().endswith("}")
        or '"' not in raw[start : start + 2]
    ):
        return None
    try:
        record = json.loads(raw[start:])
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict):
        return None
    fields = cast(dict[str, Any], record)
    for key in _ENVELOPE_KEYS:
        value = fields.get(key)
        if isinstance(value, str):
            return value
    return None


def _line(raw: str, *, ended: bool) -> Line:
    text = _ANSI.sub("", raw) if "\x1b" in raw or "[" in raw else raw
    process, key, end = "", "", 0
    for found in _PROCESS.finditer(text, 0, 4 * BEFORE):
        process, end = found[1], found.end()
        key = f"{found[3] or found[1]}@{found[4]}" if found[4] else (found[3] or found[1])
    level = ""
    record = _LEVEL.search(text, max(0, end - 1), 4 * BEFORE)
    if record:
        level, end = record[1], record.end()
    content = text[end:] if end else _after_container(text)
    return Line(text, content.strip(), level, process, key, ended)


# "vllm-1  | ", "2026-04-22T01:35:23.123456789Z stdout F ", "[pod/vllm-0/vllm] ",
# "Apr 22 01:35:23 host vllm[12]: "
_CONTAINER = re.compile(
    r"(?:\[[\w./\-]{1,200}\]\s{0,4}"
    r"|[\w.\-]{1,100}\s{0,30}\|\s"
    r"|\d{4}-\d\d-\d\dT[\d:.]{8,20}(?:Z|[+\-]\d\d:?\d\d)\s{1,4}"
    r"|std(?:out|err)\s[FP]\s"
    r"|[A-Z][a-z]{2}\s{1,2}\d{1,2}\s\d\d:\d\d:\d\d\s[\w.\-]{1,80}\s[\w.\-]{1,80}(?:\[\d{1,8}\])?:\s)"
)


def _after_container(text: str) -> str:
    position = 0
    for _ in range(4):
        found = _CONTAINER.match(text, position)
        if not found:
            break
        position = found.end()
    return text[position:]
