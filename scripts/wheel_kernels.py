"""Write which GPUs the compiled kernels of vLLM's wheels run on.

    python scripts/wheel_kernels.py WHEEL...

Reads the CUDA fat binaries inside `vllm/_C*.so` and `vllm/_moe_C*.so` of each wheel: the
compute capabilities they hold machine code for. Releases between two wheels that were read
are taken to be like the earlier one.
"""

from __future__ import annotations

import json
import re
import struct
import sys
import zipfile
from pathlib import Path

TARGET = Path(__file__).parent.parent / "planner/vllm_preflight/launch/acceptance/kernels.json"
DATE = "2026-11-28"
_MAGIC = struct.pack("<I", 0xBA55ED50)
_MACHINE_CODE = 2
_ENTRY_ARCHITECTURE = 28
# Toolkits add an empty kernel of their own for this one.
_PLACEHOLDER = 52


def capabilities(library: bytes) -> set[int]:
    """Compute capabilities (major × 10 + minor) of the machine code in a library."""
    found: set[int] = set()
    position = library.find(_MAGIC)
    while position >= 0:
        header, size = struct.unpack_from("<HQ", library, position + 6)
        entry, end = position + header, position + header + size
        while entry < end <= len(library):
            kind, entry_header, entry_size = struct.unpack_from("<HxxIQ", library, entry)
            if kind not in {1, _MACHINE_CODE} or not 0 < entry_header < 4096:
                break
            if kind == _MACHINE_CODE:
                found.add(struct.unpack_from("<I", library, entry + _ENTRY_ARCHITECTURE)[0])
            entry += entry_header + entry_size
        position = library.find(_MAGIC, position + 4)
    return found - {_PLACEHOLDER}


def read_wheel(path: Path) -> tuple[str, list[int]]:
    """The release of a wheel and the capabilities that its main kernels all have."""
    release = path.name.split("-")[1]
    with zipfile.ZipFile(path) as wheel:
        names = [name for name in wheel.namelist() if re.fullmatch(r"vllm/_(moe_)?C.*\.so", name)]
        found: set[int] = set()
        for name in names:
            found |= capabilities(wheel.read(name))
    return release, sorted(found)


def main() -> None:
    read = sorted(
        (read_wheel(Path(name)) for name in sys.argv[1:]),
        key=lambda item: [int(part) for part in item[0].split(".")],
    )
    history: list[dict[str, object]] = []
    for release, found in read:
        if not history or history[-1]["capabilities"] != found:
            history.append({"since": release, "capabilities": found})
    data = {
        "description": (
            "Compute capabilities (major × 10 + minor) that the wheels' kernels hold machine "
            "code for; code of one capability also runs on later minors of the same major."
        ),
        "source": "fat binaries in vllm/_C*.so and vllm/_moe_C*.so of the wheels",
        "wheels_read": [release for release, _ in read],
        "date": DATE,
        "history": history,
    }
    TARGET.write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
