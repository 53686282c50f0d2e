from __future__ import annotations

import pytest

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.launch.versions import NEWEST_KNOWN, format_version, parse_version


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("0.19.0", (0, 19, 0)),
        ("v0.10.1.1", (0, 10, 1)),
        ("0.11.0rc2", (0, 11, 0)),
        ("0.8.5.post1", (0, 8, 5)),
        ("0.33", (0, 33, 0)),
        ("0.33.1", (0, 33, 1)),
        (" V0.9.2 ", (0, 9, 2)),
        ("0.14.0rc2.dev331+ga698e8e7a", (0, 14, 0)),
        ("0.20.1rc1.dev16", (0, 20, 1)),
        ("0.14.0rc1.dev2+g7d9f6663a.d20260121", (0, 14, 0)),
        ("latest", NEWEST_KNOWN),
        (None, NEWEST_KNOWN),
    ],
)
def test_releases_are_read_as_people_write_them(text: str | None, version: tuple[int, ...]) -> None:
    assert parse_version(text) == version


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no vLLM release"),
        ("nineteen", "no vLLM release"),
        ("0.19.0; rm -rf /", "no vLLM release"),
        ("19", "no vLLM release"),
        ("0.99999999999999", "no vLLM release"),
        ("0.7.3", "V0 engine"),
        ("0.6", "V0 engine"),
        ("0.1.dev19754+g3a0914114", "source build"),
        ("0.34.0", "newer than the newest"),
        ("1.0", "newer than the newest"),
    ],
)
def test_anything_else_is_refused_with_the_reason(text: str, said: str) -> None:
    with pytest.raises(InvalidRequest, match=said):
        parse_version(text)


def test_a_version_is_written_as_vllm_writes_it() -> None:
    assert format_version(parse_version("0.9.2")) == "0.9.2"
