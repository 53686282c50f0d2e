"""Build the MCPB bundle: the server for desktop hosts, installed by a click.

    python scripts/build_bundle.py [--check] [--out DIR]

The bundle holds the sources; the host's own uv installs what they need. It is checked and
packed by the official tool, installed in app/ (npm ci --prefix app). With `--check` nothing
is kept.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from vllm_preflight_server.mcp.tools import TOOLS
from vllm_preflight_server.pages.figures import chart

ROOT = Path(__file__).resolve().parent.parent
MCPB = ROOT / "app" / "node_modules" / ".bin" / "mcpb"
FILES = ("pyproject.toml", "README.md", "LICENSE", "planner", "server")
ICON_PIXELS = 512


def manifest() -> dict[str, Any]:
    """The bundle's description, from pyproject.toml, server.json and the tools themselves."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    registry = json.loads((ROOT / "server.json").read_text(encoding="utf-8"))
    return {
        "manifest_version": "0.4",
        "name": project["name"],
        "display_name": registry["title"],
        "version": project["version"],
        "description": registry["description"],
        "author": {"name": "vllm-preflight maintainers"},
        "license": project["license"],
        "icon": "icon.png",
        "keywords": project["keywords"],
        "server": {
            "type": "uv",
            "entry_point": "server/vllm_preflight_server/cli/__main__.py",
            "mcp_config": {
                "command": "uv",
                "args": [
                    "run",
                    "--directory",
                    "${__dirname}",
                    "--extra",
                    "charts",
                    project["name"],
                    "serve",
                ],
                "env": {"HF_TOKEN": "${user_config.hf_token}"},
            },
        },
        "tools": [
            {"name": spec.name, "description": spec.description.partition(". ")[0] + "."}
            for spec in TOOLS
        ],
        "user_config": {
            "hf_token": {
                "type": "string",
                "title": "Hugging Face token",
                "description": "Only for the configs of gated models that are not built in.",
                "sensitive": True,
                "required": False,
                "default": "",
            }
        },
        # The Hub is asked for the config of a model that is not built in.
        "privacy_policies": ["https://huggingface.co/privacy"],
        "compatibility": {
            "platforms": ["darwin", "linux", "win32"],
            # A semantic-version range, unlike Python's own.
            "runtimes": {"python": project["requires-python"].replace(",", " ")},
        },
    }


def draw_icon(path: Path) -> None:
    """A GPU's memory as a stacked bar against the budget's line."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure: Any = Figure(figsize=(4, 4), dpi=ICON_PIXELS / 4, facecolor="#14191f")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    bottom = 0.14
    for part, height in zip(chart()["parts"], (0.34, 0.06, 0.04, 0.05, 0.16), strict=True):
        axes.bar(0.5, height - 0.008, 0.44, bottom=bottom, color=part["dark"])
        bottom += height
    axes.bar(0.5, 0.86 - bottom, 0.44, bottom=bottom, color=chart()["outside"]["dark"])
    axes.plot([0.16, 0.84], [bottom, bottom], color="white", linewidth=5, dashes=(2.2, 1.2))
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.axis("off")
    figure.savefig(path)


def build(folder: Path, out: Path) -> Path:
    """Lay the bundle out in `folder`, check it and pack it into `out`; the bundle's path."""
    folder.mkdir()
    for name in FILES:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    draw_icon(folder / "icon.png")
    description = manifest()
    (folder / "manifest.json").write_text(json.dumps(description, indent=2), encoding="utf-8")
    bundle = out / f"{description['name']}-{description['version']}.mcpb"
    _mcpb("validate", folder / "manifest.json")
    _mcpb("pack", folder, bundle)
    return bundle


def _mcpb(*arguments: str | Path) -> None:
    done = subprocess.run(
        [MCPB, *map(str, arguments)],
        check=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    )
    if done.returncode:
        sys.exit(done.stdout)


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="build and check, keep nothing")
    parser.add_argument("--out", type=Path, default=ROOT / "dist", help="where the bundle goes")
    arguments = parser.parse_args()
    if not MCPB.exists():
        sys.exit("The official tool is missing; run: npm ci --prefix app")
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out" if arguments.check else arguments.out
        out.mkdir(parents=True, exist_ok=True)
        bundle = build(Path(folder) / "bundle", out)
        print(f"{bundle.name}: {bundle.stat().st_size:,} bytes, valid")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
