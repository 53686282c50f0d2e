"""Pack what vLLM's own classes allocate into the set `benchmarks/architectures.py` grades.

    python scripts/build_architecture_cases.py MEASURED.json [...] --registry REGISTRY.json

Each MEASURED file maps a label to a config with its source, the bytes vLLM 0.33's class holds
on rank 0 for each tensor-parallel size (parameters and buffers, built on PyTorch's meta
device) and the KV-cache specs of its layers. Of several configs of a class the first that
could be built is kept, checkpoints before defaults before made-up shapes. A class that no
MEASURED file has keeps its committed case.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.architectures import CASES  # noqa: E402

from vllm_preflight.models.families.refused import REASONS  # noqa: E402

_DATE = "2026-11-28"
_CATEGORIES = {
    "text_generation": "text generation",
    "transformers_supported": "run by transformers",
    "multimodal": "multimodal",
    "embedding": "pooling",
    "late_interaction": "pooling",
    "reward": "pooling",
    "token_classification": "pooling",
    "sequence_classification": "pooling",
    "speculative_decoding": "drafts",
}
# What is not set beside ours, and why.
_WITHOUT_CACHES = {
    "DeepseekV4ForCausalLM": "its caches have names of their own on either side",
    "DeepseekV4ForConditionalGeneration": "the same",
    "MiniMaxM3SparseForCausalLM": "its indexer's cache has a name of its own on either side",
    "MiniMaxM3SparseForConditionalGeneration": "the same",
    "Gemma3nForCausalLM": "layers that share an earlier layer's cache are counted there",
    "Gemma3nForConditionalGeneration": "the same",
}
_UNMEASURED = {
    "MoonshotKimiaForCausalLM": "its encoder's config lies in a folder of the checkpoint",
    "MossTranscribeDiarizeForConditionalGeneration": "the class and its defaults disagree about "
    "the width of the encoder's feed-forward block",
}
# bigcode/gpt_bigcode-santacoder is divided unlike the class's own defaults, unexplained.
_DEFAULTS_ONLY = {"GPTBigCodeForCausalLM"}
_NOISE = {"architectures_", "id2label", "label2id", "dtype", "torch_dtype"}
_ORDER = ("real", "transformers", "vLLM", "probe")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("measured", nargs="+", type=Path)
    parser.add_argument("--registry", type=Path, required=True)
    options = parser.parse_args(arguments)
    found: dict[str, list[Mapping[str, Any]]] = {}
    for path in options.measured:
        for row in json.loads(path.read_text(encoding="utf-8")).values():
            found.setdefault(row["class"], []).append(row)
    categories = json.loads(options.registry.read_text(encoding="utf-8"))["categories"]
    kept = _committed()
    lines = [_header()]
    for key, name in _CATEGORIES.items():
        done: set[str] = set()
        for architecture in sorted(categories[key]):
            if name != "drafts" and architecture not in done:
                done.add(architecture)
                rows = found.get(architecture, [])
                before = None if rows else kept.get((architecture, name))
                lines.append(before or _case(architecture, name, rows))
    unique = list(dict.fromkeys(json.dumps(line, separators=(",", ":")) for line in lines))
    CASES.write_text("\n".join(unique) + "\n", encoding="utf-8")
    print(f"{len(unique) - 1} classes, {CASES.stat().st_size:,} bytes")
    return 0


def _committed() -> dict[tuple[str, str], dict[str, Any]]:
    """The cases there are, by class and category."""
    if not CASES.exists():
        return {}
    rows = map(json.loads, CASES.read_text(encoding="utf-8").splitlines()[1:])
    return {(row["class"], row["category"]): row for row in rows if "config" in row}


def _header() -> dict[str, Any]:
    return {
        "provenance": "vLLM 0.33.0's own model classes built on PyTorch's meta device as rank 0, "
        "with the configs of checkpoints, of transformers 5.20 and of vLLM",
        "date": _DATE,
        "units": "bytes per rank; layers per cache",
    }


def _case(name: str, category: str, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    usable = sorted(
        (
            row
            for row in rows
            if row.get("config")
            and not (name in _DEFAULTS_ONLY and row["source"].startswith("real"))
        ),
        key=lambda row: (
            not row.get("tp1", {}).get("bytes"),
            _ORDER.index(row["source"].split(" ")[0]),
        ),
    )
    if not usable:
        reason = REASONS.get(name, "no config of the class is at hand")
        return {"class": name, "category": category, "source": reason}
    row = usable[0]
    weights = {
        str(size): row[f"tp{size}"]["bytes"]
        for size in (1, 2, 4, 8)
        if row.get(f"tp{size}", {}).get("bytes")
    }
    first = row.get("tp1", {})
    case: dict[str, Any] = {
        "class": name,
        "category": category,
        "source": row["source"],
        "config": _plain(row["config"]),
    }
    if weights and name not in _UNMEASURED:
        case["weights"] = weights
        case["max_model_len"] = first["max_len"]
        if name not in _WITHOUT_CACHES:
            case["caches"] = _caches(first.get("specs", {}))
    return case


def _plain(value: Any) -> Any:
    """A config without what is null or says nothing about shapes.

    A window that is null is none, where a class would fill one in.
    """
    if isinstance(value, dict):
        return {
            key: _plain(entry)
            for key, entry in value.items()
            if (entry is not None or key == "sliding_window")
            and key not in _NOISE
            and not key.endswith("_token_id")
        }
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    return None if isinstance(value, float) and value in (float("inf"), float("-inf")) else value


def _caches(specs: Mapping[str, int]) -> dict[str, int]:
    counts: Counter[str] = Counter()
    for text, layers in specs.items():
        name = _cache(text)
        if name:
            counts[name] += layers
    return dict(sorted(counts.items()))


def _cache(text: str) -> str:
    """VLLM's spec as `benchmarks.architectures.cache_name` names ours."""
    kind, _, fields = text.partition(" ")
    if kind == "NoneType":
        return ""
    spec = json.loads(fields)
    shape = f"{spec.get('num_kv_heads')}x{spec.get('head_size')}"
    if kind == "MambaSpec":
        shapes = [
            [int(part) for part in re.findall(r"\d+", group)]
            for group in re.findall(r"\(([\d, ]+)\)", spec["shapes"])
        ]
        sizes = [1] * len(shapes)
        for place, entries in enumerate(shapes):
            for entry in entries:
                sizes[place] *= entry
        if len(sizes) == 1:
            sizes = [0, *sizes] if len(shapes[0]) == 3 else [*sizes, 0]
        return f"state {sizes[0]}+{sizes[1]}"
    if "MLA" in kind:
        return f"latent {spec['head_size']}"
    if "Cross" in kind:
        return f"cross {shape}"
    if spec.get("sliding_window"):
        return f"window {spec['sliding_window']} {shape}"
    if spec.get("attention_chunk_size"):
        return f"chunk {spec['attention_chunk_size']} {shape}"
    return f"full {shape}"


if __name__ == "__main__":
    sys.exit(main())
