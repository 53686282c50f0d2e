"""Write into `flags.json` with which release of vLLM a flag came and went.

Reads the argument parsers of releases, unpacked from their wheels on PyPI:

    for release in 0.8.0 … 0.33.0:
        pip download --no-deps vllm==RELEASE; unzip WHEEL 'vllm/engine/*' 'vllm/entrypoints/cli/*' \
            'vllm/entrypoints/openai/*' -d FOLDER/RELEASE
    python scripts/date_flags.py FOLDER

Only spellings are read. A flag that the oldest release has gets no `since`, one that the newest
has gets no `until`; flags that no release spells out are left as they are.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

TABLE = Path("planner/vllm_preflight/launch/flags.json")
_SPELLING = re.compile(r"""["'](--[a-z0-9][a-z0-9-]+)["']""")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="one folder per release")
    releases = read_releases(parser.parse_args().folder)
    lines = TABLE.read_text(encoding="utf-8").splitlines(keepends=True)
    TABLE.write_text("".join(_dated(line, releases) for line in lines), encoding="utf-8")


def read_releases(folder: Path) -> dict[str, set[str]]:
    """Flags by release, the oldest first."""
    names = sorted((path.name for path in folder.iterdir()), key=_number)
    found = {
        name: {
            flag
            for path in (folder / name).rglob("*.py")
            for flag in _SPELLING.findall(path.read_text(encoding="utf-8"))
        }
        for name in names
    }
    # A release whose wheel could not be read says nothing.
    return {name: flags for name, flags in found.items() if "--max-model-len" in flags}


def _dated(line: str, releases: dict[str, set[str]]) -> str:
    text = line.strip().removesuffix(",")
    if not text.startswith('{"flag"'):
        return line
    entry: dict[str, Any] = json.loads(text)
    names = list(releases)
    having = [name for name in names if entry["flag"] in releases[name]]
    # Parsers of the HTTP front end are built without spellings since 0.9.
    if not having or (entry["target"] == "none" and names[-1] not in having):
        return line
    entry.pop("since", None)
    entry.pop("until", None)
    if having[0] != names[0]:
        entry["since"] = having[0]
    if having[-1] != names[-1]:
        entry["until"] = names[names.index(having[-1]) + 1]
    return line.replace(text, json.dumps(entry))


def _number(release: str) -> tuple[int, ...]:
    return tuple(int(part) for part in release.split("."))


if __name__ == "__main__":
    main()
