"""Write `arguments.json` and `configs.json`: what every release's `vllm serve` accepts.

Reads the wheels of releases, unpacked from PyPI:

    for release in 0.8.0 … 0.33.0:
        pip download --no-deps vllm==RELEASE; unzip WHEEL 'vllm/*.py' -d FOLDER/RELEASE
    python scripts/build_flags.py FOLDER [--compare LISTED.json]

Nothing of vLLM is imported. `--compare` takes a listing of a release's real parser
(arguments with flags, dest, type, choices, nargs) and says how far the reading agrees.
"""

from __future__ import annotations

import argparse
import json
import re
from pathlib import Path
from typing import Any

from vllm_parsers import ParserReader, config_schema

FOLDER = Path("planner/vllm_preflight/launch/flags")
_TYPES = {
    "str": "text",
    "nullable_str": "text",
    "int": "integer",
    "float": "number",
    "human_readable_int": "scaled",
    "human_readable_int_or_auto": "length",
    "json.loads": "json",
    "union_dict_and_str": "json_or_text",
    "nullable_kvs": "limits",
    "parse_reasoning_parser": "text",
    "lambda s.lower().replace('-', '_')": "name",
}
_ACTIONS = {
    "argparse.BooleanOptionalAction": "switch",
    "store_true": "on",
    "StoreBoolean": "boolean",
    "append": "append",
    "LoRAParserAction": "lora_modules",
    "PromptAdapterParserAction": "adapters",
}
# What takes a removed flag's place, by the words of the releases that deprecated it
# (engine/arg_utils.py, config/model.py, utils/argparse_utils.py).
REPLACED = {
    "--task": "--runner",
    "--enable-reasoning": "--reasoning-parser",
    "--rope-scaling": "--hf-overrides",
    "--rope-theta": "--hf-overrides",
    "--speculative-model": "--speculative-config",
    "--num-speculative-tokens": "--speculative-config",
    "--speculative-draft-tensor-parallel-size": "--speculative-config",
    "--speculative-model-quantization": "--speculative-config",
    "--speculative-max-model-len": "--speculative-config",
    "--speculative-disable-by-batch-size": "--speculative-config",
    "--speculative-disable-mqa-scorer": "--speculative-config",
    "--ngram-prompt-lookup-max": "--speculative-config",
    "--ngram-prompt-lookup-min": "--speculative-config",
    "--spec-decoding-acceptance-method": "--speculative-config",
    "--typical-acceptance-sampler-posterior-threshold": "--speculative-config",
    "--typical-acceptance-sampler-posterior-alpha": "--speculative-config",
    "--disable-logprobs-during-spec-decoding": "--speculative-config",
    "--num-redundant-experts": "--eplb-config",
    "--eplb-window-size": "--eplb-config",
    "--eplb-step-interval": "--eplb-config",
    "--eplb-log-balancedness": "--eplb-config",
    "--enable-multimodal-encoder-data-parallel": "--mm-encoder-tp-mode",
    "--cuda-graph-sizes": "--cudagraph-capture-sizes",
    "--guided-decoding-backend": "--structured-outputs-config",
    "--guided-decoding-disable-fallback": "--structured-outputs-config",
    "--guided-decoding-disable-any-whitespace": "--structured-outputs-config",
    "--guided-decoding-disable-additional-properties": "--structured-outputs-config",
    "--disable-mm-preprocessor-cache": "--mm-processor-cache-gb",
    "--override-pooler-config": "--pooler-config",
    "--disable-log-requests": "--no-enable-log-requests",
}
# Why nothing takes the place of some that ended with vLLM's V0 engine.
WITHOUT = {
    "--swap-space": "the V1 engine swaps no requests to the CPU",
    "--max-seq-len-to-capture": "the V1 engine captures graphs by batch size, for any length",
    "--num-scheduler-steps": "the V1 engine has no multi-step scheduling",
    "--multi-step-stream-outputs": "the V1 engine has no multi-step scheduling",
    "--preemption-mode": "the V1 engine always computes preempted requests again",
    "--use-v2-block-manager": "there was only one block manager left",
    "--device": "the platform is that of the installed vLLM",
}
# Keys of JSON arguments, by the class that had them.
REPLACED_KEYS = {
    "CompilationConfig": {
        "level": "mode",
        "use_inductor": "backend",
        "full_cuda_graph": "cudagraph_mode",
        "use_cudagraph": "cudagraph_mode",
    },
    "PassConfig": {
        "enable_fusion": "fuse_norm_quant and fuse_act_quant",
        "enable_attn_fusion": "fuse_attn_quant",
        "enable_noop": "eliminate_noops",
        "enable_fi_allreduce_fusion": "fuse_allreduce_rms",
    },
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="one folder per release")
    parser.add_argument("--compare", type=Path, help="a listing of a release's real parser")
    options = parser.parse_args()
    names = sorted((path.name for path in options.folder.iterdir()), key=_number)
    # A fourth number or a post release stands for its release: the last of them counts.
    latest = {_number(name)[:3]: name for name in names}
    releases = [".".join(map(str, key)) for key in latest]
    readers = [ParserReader(options.folder / name) for name in latest.values()]
    read = [{_name(item): _definition(item, r) for item in r.read()} for r in readers]
    schemas = [config_schema(reader) for reader in readers]
    paired = [_has_pairs(reader) for reader in readers]
    _write_arguments(releases, read, releases[paired.index(True)])
    _write_configs(releases, schemas)
    if options.compare:
        _compare(
            json.loads(options.compare.read_text(encoding="utf-8")),
            dict(zip(releases, read, strict=True)),
        )


def _number(name: str) -> tuple[int, ...]:
    numbers = re.findall(r"\d+", name.partition(".post")[0])
    return (*(int(part) for part in numbers), int(".post" in name))


def _spellings(item: dict[str, Any]) -> list[str]:
    return [text for text in item["spellings"] if isinstance(text, str)]


def _name(item: dict[str, Any]) -> str:
    """How the table calls an argument: its first long spelling; model_tag for the model."""
    spellings = _spellings(item)
    return next((text for text in spellings if text.startswith("--")), spellings[0])


def _definition(item: dict[str, Any], reader: ParserReader) -> dict[str, Any]:
    """One argument of one release, without what is usual."""
    name = _name(item)
    result: dict[str, Any] = {}
    if aliases := [text for text in _spellings(item) if text != name]:
        result["aliases"] = aliases
    action = getattr(item.get("action"), "name", item.get("action")) or "store"
    kind = _ACTIONS.get(action, "store")
    if kind != "store":
        result["action"] = kind
    if kind in {"switch", "on"}:
        return result
    result |= _value_type(getattr(item.get("type"), "name", "str"), reader)
    if (count := item.get("nargs")) is not None:
        result["nargs"] = count
    choices = item.get("choices")
    if isinstance(choices, list):
        result["choices"] = ["None" if choice is None else choice for choice in choices]
    if name == "model_tag" and "default" not in result:
        result.pop("type", None)
    if isinstance(item.get("dest"), str) and item["dest"] != name[2:].replace("-", "_"):
        result["dest"] = item["dest"]
    if name == "--model" and isinstance(item.get("default"), str):
        result["default"] = item["default"]
    return result


def _value_type(text: str, reader: ParserReader) -> dict[str, Any]:
    result: dict[str, Any] = {}
    optional = text.startswith("optional_type(")
    if optional:
        text = text.removeprefix("optional_type(").removesuffix(")")
    parsed = optional or text.startswith("parse_type(")
    text = text.removeprefix("parse_type(").removesuffix(")") if "parse_type" in text else text
    if optional or text == "nullable_str":
        result["optional"] = True
    if text.startswith("config "):
        name = text.removeprefix("config ")
        result |= {"type": "config", "config": name}
        node = reader.configs[name].node
        if node is not None and any(getattr(i, "name", "") == "from_cli" for i in node.body):
            result["levels"] = True
        return result
    if text.endswith((".from_cli", ".from_json")):
        result["type"] = "json"
        if text.startswith("CompilationConfig"):
            result["levels"] = True
        return result
    kind = "ids" if text.startswith("lambda [") else _TYPES.get(text, "text")
    if kind == "json" and parsed and reader.takes_pairs:
        kind = "json_or_limits"
    if kind != "text":
        result["type"] = kind
    return result


def _has_pairs(reader: ParserReader) -> bool:
    """Whether --enable-x has a --disable-x and the reverse."""
    module = reader.sources.module("vllm.utils.argparse_utils")
    return module is not None and "EnableDisableAction" in module.names


def _spans(releases: list[str], values: list[Any]) -> list[dict[str, Any]]:
    """Equal neighbours joined: value, first release with it, first one without it."""
    spans: list[dict[str, Any]] = []
    for index, value in enumerate(values):
        if value is None:
            continue
        if index and spans and values[index - 1] == value:
            continue
        ends = next((i for i in range(index, len(values)) if values[i] != value), None)
        span: dict[str, Any] = {"since": releases[index]} if index else {}
        if ends is not None:
            span["until"] = releases[ends]
        spans.append({**span, "is": value})
    return spans


def _write_arguments(
    releases: list[str], read: list[dict[str, dict[str, Any]]], pairs_since: str
) -> None:
    names = list(dict.fromkeys(name for parser in reversed(read) for name in parser))
    lines: list[str] = []
    for name in names:
        history = [
            {key: span[key] for key in ("since", "until") if key in span} | span["is"]
            for span in _spans(releases, [parser.get(name) for parser in read])
        ]
        entry: dict[str, Any] = {"flag": name}
        if name in REPLACED:
            entry["replaced_by"] = REPLACED[name]
        if name in WITHOUT:
            entry["without"] = WITHOUT[name]
        lines.append(json.dumps({**entry, "history": history}, ensure_ascii=False))
    _write(
        "arguments.json",
        {
            "description": "Every argument of `vllm serve`, release by release. `history`: what "
            "it is from `since` (absent: the oldest release) until `until` (absent: the newest); "
            "outside these it does not exist. `action`: store unless given; switch has a --no- "
            "form, and from `pairs_since` --enable-x has --disable-x and the reverse; on has "
            "neither; boolean takes true or false. `type`: text unless given. `optional`: None and "
            "an empty text mean not given. `levels`: 0 to 3 stand for the whole config. "
            "`replaced_by`: what the releases after it take instead; `without`: why they need "
            "nothing.",
            "source": "the parser of each release's wheel (engine/arg_utils.py, the front end's "
            "cli_args.py, entrypoints/cli/serve.py), read by scripts/build_flags.py",
            "date": "2026-11-28",
            "releases": releases,
            "pairs_since": pairs_since,
        },
        "arguments",
        lines,
    )


def _write_configs(releases: list[str], schemas: list[dict[str, dict[str, Any]]]) -> None:
    names = sorted({name for schema in schemas for name in schema})
    lines: list[str] = []
    for name in names:
        closed = [schema[name]["closed"] if name in schema else None for schema in schemas]
        keys = sorted({key for schema in schemas if name in schema for key in schema[name]["keys"]})
        table = {
            key: [
                {k: span[k] for k in ("since", "until") if k in span} | {"types": span["is"]}
                for span in _spans(
                    releases,
                    [
                        schema[name]["keys"].get(key) if name in schema else None
                        for schema in schemas
                    ],
                )
            ]
            for key in keys
        }
        shut = [
            {k: span[k] for k in ("since", "until") if k in span}
            for span in _spans(releases, [value or None for value in closed])
        ]
        entry = {"config": name, "closed": shut, "keys": table}
        if name in REPLACED_KEYS:
            entry["replaced_by"] = REPLACED_KEYS[name]
        lines.append(json.dumps(entry, ensure_ascii=False))
    _write(
        "configs.json",
        {
            "description": "Keys of the arguments that are JSON objects, release by release. "
            "`closed`: the releases where an unknown key is an error. Types: int, float, str, "
            "bool, none, list, dict, any, no object (anything else); choices; config NAME for an "
            "object of another config. `replaced_by`: the keys that took the place of others.",
            "source": "the config classes of each release's wheel, read by scripts/build_flags.py",
            "date": "2026-11-28",
        },
        "configs",
        lines,
    )


def _write(name: str, head: dict[str, Any], key: str, lines: list[str]) -> None:
    text = json.dumps(head, ensure_ascii=False, indent=2).removesuffix("\n}")
    body = ",\n    ".join(lines)
    FOLDER.joinpath(name).write_text(
        f'{text},\n  "{key}": [\n    {body}\n  ]\n}}\n', encoding="utf-8"
    )


_LISTED = {"loads": "json", "_parse_type": "json", "union_dict_and_str": "json_or_text"} | {
    "parse_dataclass": "config",
    "int": "integer",
    "float": "number",
    "human_readable_int": "scaled",
    "human_readable_int_or_auto": "length",
    "<lambda>": "name",
}


def _compare(listed: dict[str, Any], read: dict[str, dict[str, dict[str, Any]]]) -> None:
    """Say where the reading of a release differs from its real parser's listing."""
    ours = read[listed["vllm"]]
    real = {
        item["flags"][0] if item["flags"] else item["dest"]: item for item in listed["arguments"]
    }
    real = {next((f for f in i["flags"] if f.startswith("--")), k): i for k, i in real.items()}
    real.pop("--help")
    differences = [f"{name}: only one has it" for name in sorted(set(real) ^ set(ours))]
    for name in set(real) & set(ours):
        item, found = real[name], ours[name]
        pairs = {
            "choices": (
                sorted(map(str, item.get("choices", ()))),
                sorted(map(str, found.get("choices", ()))),
            ),
            "optional": (item.get("type") == "_optional_type", bool(found.get("optional"))),
            "nargs": (item.get("nargs", "").replace("0", ""), str(found.get("nargs", ""))),
        }
        if item.get("type") != "_optional_type":
            listed_type = _LISTED.get(item.get("type", ""), "text")
            ids = listed_type == "name" and "choices" not in item
            pairs["type"] = ("ids" if ids else listed_type, found.get("type", "text"))
        differences += [
            f"{name}: {key} {a} ≠ {b}" for key, (a, b) in sorted(pairs.items()) if a != b
        ]
    print("\n".join(differences))
    wrong = len({line.partition(":")[0] for line in differences})
    print(f"{len(real) - wrong} of {len(real)} arguments agree ({1 - wrong / len(real):.2%})")


if __name__ == "__main__":
    main()
