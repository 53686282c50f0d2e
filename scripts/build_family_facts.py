"""Write what model families need of `vllm serve`: parsers, remote code, environment, releases.

Reads vLLM's public recipes from the shared folder, and which parsers each release registers
from its wheel on PyPI:

    for release in 0.8.0 … 0.33.0:
        pip download --no-deps vllm==RELEASE; unzip WHEEL 'vllm/reasoning/*' 'vllm/tool_parsers/*' \
            'vllm/entrypoints/openai/*' 'vllm/config*' 'vllm/engine/*' -d FOLDER/RELEASE
    python scripts/build_family_facts.py FOLDER --shared ../shared --date 2026-11-28

Only names are read: of parsers, flags, models and machines. Recipes of vllm-omni, another
server, are left out. What vLLM's documentation says beyond the recipes stands in DOCUMENTED.
"""

from __future__ import annotations

import argparse
import ast
import json
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

Json = dict[str, Any]
TARGET = Path("planner/vllm_preflight/recommend/families.json")
TOOL_DOCS = "github.com/vllm-project/vllm docs/features/tool_calling.md"
REASONING_DOCS = "github.com/vllm-project/vllm docs/features/reasoning_outputs.md"

# The parsers' registries: their manager, their table since 0.11, where their modules have been.
REGISTRIES = {
    "reasoning_parser": (
        "ReasoningParserManager",
        "_REASONING_PARSERS_TO_REGISTER",
        ("vllm/reasoning", "vllm/entrypoints/openai/reasoning_parsers"),
    ),
    "tool_call_parser": (
        "ToolParserManager",
        "_TOOL_PARSERS_TO_REGISTER",
        ("vllm/tool_parsers", "vllm/entrypoints/openai/tool_parsers"),
    ),
}

# Series that vLLM's documentation names and no recipe covers. `{size}` stands for a parameter
# count. Templates of examples/ are vLLM's own files, in its container image and source tree.
TEMPLATE = "examples/tool_chat_template_{}.jinja"
DOCUMENTED: tuple[tuple[str, Json, str], ...] = (
    (
        "meta-llama/Llama-3.1-{size}-Instruct",
        {"tool_call_parser": "llama3_json", "chat_template": TEMPLATE.format("llama3.1_json")},
        TOOL_DOCS,
    ),
    (
        "meta-llama/Llama-3.2-{size}-Instruct",
        {"tool_call_parser": "llama3_json", "chat_template": TEMPLATE.format("llama3.2_json")},
        TOOL_DOCS,
    ),
    (
        "meta-llama/Llama-3.3-{size}-Instruct",
        {"tool_call_parser": "llama3_json"},
        "github.com/vllm-project/vllm v0.33.0 vllm/tool_parsers/llama_tool_parser.py",
    ),
    *(
        (
            f"meta-llama/Llama-4-{name}-Instruct",
            {
                "tool_call_parser": "llama4_pythonic",
                "chat_template": TEMPLATE.format("llama4_pythonic"),
            },
            TOOL_DOCS,
        )
        for name in ("Scout-17B-16E", "Maverick-17B-128E")
    ),
    ("mistralai/Mistral-7B-Instruct-v0.3", {"tool_call_parser": "mistral"}, TOOL_DOCS),
    ("ibm-granite/granite-4.0-h-small", {"tool_call_parser": "granite4"}, TOOL_DOCS),
    ("ibm-granite/granite-3.1-{size}-instruct", {"tool_call_parser": "granite"}, TOOL_DOCS),
    ("ibm-granite/granite-3.2-{size}-instruct", {"reasoning_parser": "granite"}, REASONING_DOCS),
    ("ai21labs/AI21-Jamba-1.5-Mini", {"tool_call_parser": "jamba"}, TOOL_DOCS),
    ("ai21labs/AI21-Jamba-1.5-Large", {"tool_call_parser": "jamba"}, TOOL_DOCS),
    ("Qwen/Qwen2.5-{size}-Instruct", {"tool_call_parser": "hermes"}, TOOL_DOCS),
    (
        "Qwen/QwQ-{size}",
        {"tool_call_parser": "hermes", "reasoning_parser": "deepseek_r1"},
        f"{TOOL_DOCS}; {REASONING_DOCS}",
    ),
    ("Qwen/Qwen3-Coder-{size}-Instruct", {"tool_call_parser": "qwen3_xml"}, TOOL_DOCS),
    (
        "deepseek-ai/DeepSeek-V3-0324",
        {"tool_call_parser": "deepseek_v3", "chat_template": TEMPLATE.format("deepseekv3")},
        TOOL_DOCS,
    ),
    *(
        (
            f"deepseek-ai/DeepSeek-R1-Distill-{base}-{{size}}",
            {"reasoning_parser": "deepseek_r1"},
            REASONING_DOCS,
        )
        for base in ("Qwen", "Llama")
    ),
    (
        "CohereLabs/command-a-reasoning-08-2025",
        {"tool_call_parser": "cohere_command3", "reasoning_parser": "cohere_command3"},
        TOOL_DOCS,
    ),
    ("meituan-longcat/LongCat-Flash-Chat", {"tool_call_parser": "longcat"}, TOOL_DOCS),
    (
        "zai-org/GLM-4.5-Air",
        {"tool_call_parser": "glm45", "reasoning_parser": "glm45"},
        f"{TOOL_DOCS}; {REASONING_DOCS}",
    ),
    ("zai-org/GLM-4.7-Flash", {"tool_call_parser": "glm47"}, TOOL_DOCS),
    (
        "google/functiongemma-270m-it",
        {"tool_call_parser": "functiongemma", "chat_template": TEMPLATE.format("functiongemma")},
        TOOL_DOCS,
    ),
    ("allenai/Olmo-3-{size}-Instruct", {"tool_call_parser": "olmo3"}, TOOL_DOCS),
    ("allenai/Olmo-3-{size}-Think", {"tool_call_parser": "olmo3"}, TOOL_DOCS),
    (
        "swiss-ai/Apertus-{size}-Instruct-2509",
        {"tool_call_parser": "apertus", "chat_template": TEMPLATE.format("apertus")},
        TOOL_DOCS,
    ),
    (
        "baidu/ERNIE-4.5-{size}-Thinking",
        {"reasoning_parser": "ernie45"},
        REASONING_DOCS,
    ),
)

# What a recipe calls its machines: the card in the GPU catalogue, null for what is no GPU.
HARDWARE: dict[str, str | None] = {
    "a100": "A100 SXM4 80GB",
    "arc_pro_b60": "Arc Pro B60",
    "arc_pro_b70": "Arc Pro B70",
    "ascend_950pr": None,
    "b200": "B200 SXM 180GB",
    "b300": "B300 SXM 288GB",
    "dgx_spark_gb10": "GB10",
    "dgx_station_gb300": "GB300",
    "gb200": "GB200",
    "gb300": "GB300",
    "h100": "H100 SXM5 80GB",
    "h20": "H20",
    "h200": "H200 SXM 141GB",
    "ironwood": None,
    "mi300x": "Instinct MI300X",
    "mi325x": "Instinct MI325X",
    "mi350x": "Instinct MI350X",
    "mi355x": "Instinct MI355X",
    "rtx_4090": "GeForce RTX 4090",
    "rtx_5090": "GeForce RTX 5090",
    "rtx_pro_5000": "RTX PRO 5000 Blackwell 48GB",
    "rtx_pro_6000": "RTX PRO 6000 Blackwell Server",
    "trillium": "TPU v6e",
    "xeon6": None,
}
_COUNTED = re.compile(r"(.+)_(\d+)x")

# Flags that have a field of their own.
VALUED = {
    "--reasoning-parser": "reasoning_parser",
    "--tool-call-parser": "tool_call_parser",
    "--chat-template": "chat_template",
    "--tokenizer-mode": "tokenizer_mode",
    "--config-format": "config_format",
    "--load-format": "load_format",
}
# Flags that say where and for whom a recipe serves, not what the model needs.
DEPLOYMENT = (
    "--host",
    "--port",
    "--served-model-name",
    "--allowed-local-media-path",
    "--tensor-parallel-size",
    "--gpu-memory-utilization",
    "--max-model-len",
)
# A parser of a plugin file beside the checkpoint is in no release's registry.
PLUGINS = {
    "--reasoning-parser-plugin": "reasoning_parser",
    "--tool-call-parser-plugin": "tool_call_parser",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("wheels", type=Path, help="one folder per release")
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--date", required=True)
    arguments = parser.parse_args()
    recipes = read_recipes(arguments.shared / "data" / "recipes.jsonl")
    table = {
        "schema_version": 1,
        "date": arguments.date,
        "registries_source": "vLLM wheels 0.8.0 to 0.33.0: vllm/reasoning, vllm/tool_parsers, "
        "vllm/config and vllm/engine/arg_utils.py",
        "registries": {
            **{
                kind: dated(releases_of(arguments.wheels), parsers_in(*where))
                for kind, where in REGISTRIES.items()
            },
            "tokenizer_mode": dated(releases_of(arguments.wheels), tokenizer_modes),
        },
        "hardware": HARDWARE,
        "families": [*map(recipe_family, recipes), *documented_families(arguments.date)],
    }
    TARGET.write_text(lines_of(table), encoding="utf-8")
    print(f"{len(table['families'])} families, {TARGET.stat().st_size:,} bytes")


def read_recipes(path: Path) -> list[Json]:
    """The recipes of models that vLLM itself serves, sorted by id."""
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    served = [row for row in rows if row["tasks"] != ["omni"]]
    return sorted(served, key=lambda row: row["model"]["model_id"].lower())


def releases_of(wheels: Path) -> list[Path]:
    """The unpacked wheels, the oldest release first."""
    return sorted(wheels.iterdir(), key=lambda path: release_number(path.name))


def dated(
    releases: Sequence[Path], names_in: Callable[[Path], set[str]]
) -> dict[str, dict[str, str]]:
    """Name to the first release that has it (`since`) and the first without it (`until`)."""
    by_release = [names_in(path) for path in releases]
    found: dict[str, dict[str, str]] = {}
    for name in sorted(set().union(*by_release)):
        having = [place for place, names in enumerate(by_release) if name in names]
        if having != list(range(having[0], having[-1] + 1)):
            raise ValueError(f"{name} went and came back: the table cannot say so")
        found[name] = {"since": releases[having[0]].name}
        if having[-1] + 1 < len(releases):
            found[name]["until"] = releases[having[-1] + 1].name
    return found


def parsers_in(manager: str, table: str, folders: Sequence[str]) -> Callable[[Path], set[str]]:
    """What reads the parsers of one registry out of a release."""

    def read(release: Path) -> set[str]:
        modules = (path for place in folders for path in sorted((release / place).glob("*.py")))
        return registered(modules, manager, table)

    return read


def tokenizer_modes(release: Path) -> set[str]:
    """The words `--tokenizer-mode` takes: a Literal, or an argument's choices before 0.9."""
    names = ("config.py", "config/__init__.py", "config/model.py")
    paths = [release / "vllm" / name for name in names]
    for path in paths:
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        literal = re.search(r"^TokenizerMode = Literal(\[[^\]]*\])", text, re.MULTILINE)
        if literal:
            return set(ast.literal_eval(literal[1]))
    text = (release / "vllm/engine/arg_utils.py").read_text(encoding="utf-8")
    choices = re.search(r"--tokenizer-mode['\"],[^)]*?choices=(\[[^\]]*\])", text)
    if choices is None:
        raise ValueError(f"{release.name}: no choices of --tokenizer-mode")
    return set(ast.literal_eval(choices[1]))


def registered(paths: Iterable[Path], manager: str, table: str) -> set[str]:
    """Names that modules register: by a decorator of the manager, or in the lazy table."""
    names: set[str] = set()
    for path in paths:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ClassDef):
                for decorator in node.decorator_list:
                    names.update(decorator_names(decorator, manager))
            elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == table:
                names.update(ast.literal_eval(node.value))
    return names


def decorator_names(decorator: ast.expr, manager: str) -> list[str]:
    """The names in `@Manager.register_module("a")` or `(["a", "b"])`."""
    if not isinstance(decorator, ast.Call) or ast.unparse(decorator.func) != (
        f"{manager}.register_module"
    ):
        return []
    given = decorator.args[0] if decorator.args else decorator.keywords[0].value
    names = ast.literal_eval(given)
    return [names] if isinstance(names, str) else list(names)


def release_number(release: str) -> tuple[int, ...]:
    """A release as a number: post releases follow their own."""
    return tuple(int(part.removeprefix("post")) for part in release.split("."))


def recipe_family(recipe: Json) -> Json:
    model, features = recipe["model"], recipe.get("features") or {}
    words = [
        *(model.get("base_args") or ()),
        *((features.get("tool_calling") or {}).get("args") or ()),
        *((features.get("reasoning") or {}).get("args") or ()),
    ]
    facts, others = fields_of(words)
    least = model["min_vllm_version"]
    return {
        "model": model["model_id"],
        **facts,
        **said(
            arguments=others,
            environment=model.get("base_env"),
            # "nightly" is no release: the recipe knows of none that has the model.
            minimum_version=None if least == "nightly" else least,
            nightly=least == "nightly" or None,
            images=images_of(model.get("docker_image")),
            verified_hardware=verified(recipe.get("hardware") or {}),
            platforms=platforms_of(recipe.get("hardware_overrides") or {}),
            checkpoints=checkpoints_of(recipe),
        ),
        "source": recipe["source"],
        "date": recipe["date"],
    }


def fields_of(words: Sequence[str]) -> tuple[Json, list[str]]:
    """The fields that arguments fill, and the other arguments that the model may need."""
    facts: Json = {}
    others: list[str] = []
    plugins: set[str] = set()
    for flag, value in pairs_of(words):
        if flag in VALUED and value is not None:
            facts[VALUED[flag]] = value
        elif flag == "--trust-remote-code":
            facts["trust_remote_code"] = True
        elif flag in PLUGINS:
            plugins.add(PLUGINS[flag])
        elif flag != "--enable-auto-tool-choice" and flag not in DEPLOYMENT:
            others += [flag] if value is None else [flag, value]
    return {name: value for name, value in facts.items() if name not in plugins}, others


def pairs_of(words: Sequence[str]) -> Iterable[tuple[str, str | None]]:
    """Flags with their values, in vLLM's spelling with hyphens."""
    split = [part for word in words for part in parts_of(word)]
    for place, word in enumerate(split):
        if word.startswith("-"):
            following = split[place + 1] if place + 1 < len(split) else "-"
            yield word, None if following.startswith("-") else following


def parts_of(word: str) -> list[str]:
    """One or two words of `--flag value` or `--flag=value` written as one."""
    flag, mark, value = word.partition("=" if "=" in word.split(" ")[0] else " ")
    if not word.startswith("--"):
        return [word]
    head, dot, key = flag.partition(".")
    return [head.replace("_", "-") + dot + key, *([value] if mark else [])]


def images_of(image: Any) -> dict[str, str]:
    """Container images by vendor; an image by CUDA release counts as the vendor's."""
    if not image:
        return {}
    by_vendor = {"nvidia": image} if isinstance(image, str) else image
    return {
        vendor: next(iter(name.values())) if isinstance(name, dict) else name
        for vendor, name in by_vendor.items()
    }


def verified(hardware: Json) -> list[Json]:
    """Machines the recipe was verified on, as a label and a number of cards where given."""
    found: list[Json] = []
    for label, state in hardware.items():
        counted = _COUNTED.fullmatch(label)
        name = counted[1] if counted else label
        if name not in HARDWARE:
            raise ValueError(f"{label} is no machine that HARDWARE knows")
        if state == "verified":
            found.append({"hardware": name, **said(gpus=int(counted[2]) if counted else None)})
    return found


def platforms_of(overrides: Json) -> Json:
    found = {
        platform: said(
            arguments=[
                word
                for flag, value in pairs_of(given.get("extra_args") or ())
                if flag not in DEPLOYMENT
                for word in ([flag] if value is None else [flag, value])
            ],
            environment=given.get("extra_env"),
        )
        for platform, given in overrides.items()
    }
    return {platform: given for platform, given in found.items() if given}


def checkpoints_of(recipe: Json) -> Json:
    """Other checkpoints that the recipe names, with what differs for them."""
    own = recipe["model"]["model_id"]
    found: Json = {}
    for variant in recipe["variants"].values():
        identifier = variant.get("model_id") or own
        entry = {
            "precision": variant["precision"],
            **said(
                minimum_version=variant.get("min_vllm_version"),
                environment=variant.get("extra_env"),
            ),
        }
        # The first variant of one checkpoint is the one the recipe serves by default.
        found.setdefault(identifier, entry)
    return found


def documented_families(date: str) -> list[Json]:
    return [
        {"model": model, **facts, "source": source, "date": date}
        for model, facts, source in DOCUMENTED
    ]


def said(**fields: Any) -> Json:
    """The fields that say something."""
    return {name: value for name, value in fields.items() if value not in (None, "", [], {})}


def lines_of(table: Json) -> str:
    """The table as JSON, one family a line."""
    head = {name: value for name, value in table.items() if name != "families"}
    families = ",\n".join("  " + json.dumps(family) for family in table["families"])
    opening = json.dumps(head, indent=1).removesuffix("\n}")
    return f'{opening},\n "families": [\n{families}\n ]\n}}\n'


if __name__ == "__main__":
    main()
