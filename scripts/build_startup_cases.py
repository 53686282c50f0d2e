"""Write the measured vLLM start-ups that fitting and grading use.

    python scripts/build_startup_cases.py --shared ../shared --date 2026-11-24

Reads `data/vllm_0_19_h100_campaign.csv` (one measuring campaign, every memory term),
`data/vllm_startup_logs.jsonl` (start-ups and refusals collected from public threads) and
`data/logs` (what the campaign's CSV leaves out) and writes
`benchmarks/data/startup_cases.jsonl`: figures only, in our own short form. What the
tables below add was judged by hand; everything else is carried over by rule.
"""

from __future__ import annotations

import argparse
import csv
import datetime
import json
import re
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from vllm_preflight.models.catalog.entries import catalog_entry, ids_named

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from benchmarks.cases import FIELDS, Observed, Resolved  # noqa: E402
from scripts.startup_judgements import (  # noqa: E402
    CAMPAIGN_RANKS,
    COMPILE_CACHE,
    EXCLUDED,
    FAILURES,
    FLAGS,
    GPUS,
    NOTES,
    QUANTIZED_HINT,
    RESOLVED,
    STAND_INS,
    TOTALS,
)

Json = dict[str, Any]
TARGET = ROOT / "benchmarks/data/startup_cases.jsonl"
CAMPAIGN = "llm-d-planner campaign, April 2026"
# Organisations that mirror other people's checkpoints unchanged.
MIRRORS = ("unsloth/", "NousResearch/", "PrimeIntellect/")
RENAMED = {
    "Meta-Llama-3.1-8B-Instruct": "meta-llama/Llama-3.1-8B-Instruct",
    "meta-llama/Meta-Llama-3.1-8B-Instruct": "meta-llama/Llama-3.1-8B-Instruct",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--date", default=datetime.date.today().isoformat())
    arguments = parser.parse_args()
    data: Path = arguments.shared / "data"
    cases = [*campaign_cases(data), *collected_cases(data)]
    header = {"schema": 1, "date": arguments.date, "fields": FIELDS}
    lines = [json.dumps(header, ensure_ascii=False)]
    lines += [json.dumps(tidy(case), ensure_ascii=False) for case in cases]
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text("\n".join(lines) + "\n", encoding="utf-8")
    excluded = Counter(case["excluded"] for case in cases if case.get("excluded"))
    print(f"{len(cases)} cases, {sum(excluded.values())} excluded: {dict(excluded)}")


def campaign_cases(data: Path) -> Iterator[Json]:
    """One case a row of the campaign's CSV."""
    path = data / "vllm_0_19_h100_campaign.csv"
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        yield campaign_case(row, data / "logs")


def campaign_case(row: Mapping[str, str], logs: Path) -> Json:
    name = row["log_file"].removesuffix(".log")
    number = {key: float(value) for key, value in row.items() if _is_number(value)}
    # "model--gpu--tp1pp1dp1--8192" -> the layout and the length of rows that never started.
    layout = re.search(r"tp(\d+)pp(\d+)dp(\d+)--(\d+)", name)
    assert layout is not None, name
    tp, pp, dp, length = (int(group) for group in layout.groups())
    args: Json = {
        "max_model_len": length,
        "gpu_memory_utilization": number["gpu_memory_utilization"],
        "enable_prefix_caching": False,
    }
    sizes = {"tensor_parallel_size": tp, "pipeline_parallel_size": pp, "data_parallel_size": dp}
    args |= {key: size for key, size in sizes.items() if size > 1}
    # The file's suffix says which arguments the run was given beyond the length.
    dtypes = {"dtbf16": "bfloat16", "dtf16": "float16", "dtf32": "float32"}
    suffixes = name.split("--")[-1].removesuffix(".FAILED").split("-")[1:]
    for suffix in suffixes:
        if suffix in dtypes:
            args["dtype"] = dtypes[suffix]
        elif suffix == "kvfp8":
            args["kv_cache_dtype"] = "fp8"
        elif suffix == "qfp8":
            args["quantization"] = "fp8"
    case: Json = {
        "id": f"campaign/{name.replace('--h100-80gb', '')}",
        "source": CAMPAIGN,
        "date": "2026-04-22",
        "version": "0.19.0",
        "engine": "V1",
        "usage": "serve",
        **model_fields(row["model"] or None),
        "gpu": "H100 SXM5 80GB",
        "gpu_as_written": "H100-80GB",
        "total_gib": 79.19,
        "gpus": tp * pp * dp,
        "args": args,
        "args_complete": True,
        # Each run was a new pod; where the forward pass decides, the peak shows it.
        "compile_cache": "cold",
        "starts": row["status"] == "ok",
    }
    if row["status"] != "ok":
        case |= {"failure": "other", "excluded": "failed for a reason other than memory"}
        return case
    observed = {
        "weights_gib": number["weight_memory_gib"],
        "activation_peak_gib": number["activation_memory_gib"],
        "non_torch_gib": number["non_torch_forward_gib"],
        "cuda_graph_gib": number["cuda_graph_actual_gib"],
        "cuda_graph_estimated_gib": number["cuda_graph_estimated_gib"],
        "available_kv_gib": number["kv_cache_memory_gib"],
        "requested_gib": number["requested_memory_gib"],
        "free_gib_at_start": number["init_free_memory_gib"],
        "kv_cache_tokens": int(number["kv_cache_tokens"]),
        "max_concurrency": number["max_concurrency"],
        "max_concurrency_at": length,
    }
    if pp > 1:
        # The CSV mixes ranks; the emptiest (last) stage is what sizes the cache.
        observed = {key: value for key, value in observed.items() if key != "activation_peak_gib"}
        observed |= CAMPAIGN_RANKS[pp]
        case["notes"] = "figures of the last stage, which has the least room"
    if case["model"] is None and "stand_in" not in case:
        case["excluded"] = "the model is not catalogued"
    case["observed"] = observed
    case["resolved"] = {
        "dtype": row["dtype"].removeprefix("torch."),
        "kv_cache_dtype": row["kv_cache_dtype"],
        "max_model_len": length,
        "max_num_batched_tokens": 8192,
        "max_num_seqs": 1024,
        **({} if row["quantization"] == "None" else {"quantization": row["quantization"]}),
        **logged(logs, name),
    }
    return case


def logged(logs: Path, name: str) -> Json:
    """What the complete log of a run adds: the attention back end."""
    stem = re.sub(r"-+h100-80gb-+", "__", name)
    stem = re.sub(r"(pp\d+dp\d+)--", r"\1-", stem)
    path = logs / f"{stem}.log"
    if not path.is_file():
        return {}
    found = re.search(r"Using (\w+) attention backend", path.read_text(encoding="utf-8"))
    return {"attention_backend": found[1]} if found else {}


def collected_cases(data: Path) -> Iterator[Json]:
    """One case a record of the collected start-ups."""
    text = (data / "vllm_startup_logs.jsonl").read_text(encoding="utf-8")
    for line in text.splitlines():
        yield collected_case(json.loads(line))


def collected_case(record: Json) -> Json:
    seen: Json = dict(record["observed"])
    other = str(seen.pop("other", ""))
    written = str(record["gpu"]) if record["gpu"] else None
    version, build = version_fields(record["vllm_version"])
    args = arguments(record["args"])
    case: Json = {
        "id": record["id"],
        "source": source_key(record["source"], record["id"]),
        "date": record["date"],
        "version": version,
        "build": build,
        "engine": record["engine"],
        "usage": "offline" if OFFLINE.search(f"{other} {record.get('notes')}") else None,
        **model_fields(record["model"]),
        "gpu": next((name for pattern, name in GPUS if re.search(pattern, written or "")), None),
        "gpu_as_written": short(written),
        "total_gib": measured_total(record),
        "gpus": record["gpu_count_used"],
        "args": args,
        "args_complete": record["args_complete"],
        "compile_cache": COMPILE_CACHE.get(record["id"]),
        "resolved": resolved(other) | RESOLVED.get(record["id"], {}),
        "observed": observed(seen, other),
        "starts": record["starts"],
        "notes": NOTES.get(record["id"]),
    }
    if record["starts"] is False:
        case["failure"] = failure(record)
    case["excluded"] = exclusion(case, record)
    return case


def model_fields(written: str | None) -> Json:
    """The catalogue's id when there is no doubt, and a stand-in of the same shape."""
    if written is None:
        return {"model": None}
    name = re.sub(r"\s*\(.*", "", written).strip()
    fields: Json = {"model_as_written": name if "not in excerpt" in written else short(written)}
    stand_in = STAND_INS.get(name)
    if stand_in:
        fields["stand_in"] = stand_in[0]
        fields["stand_in_quantization"] = stand_in[1]
    if QUANTIZED_HINT.search(written.removeprefix(name)):
        return {"model": None, **fields}
    return {"model": catalogued(name), **fields}


def catalogued(name: str) -> str | None:
    """The one catalogued id that `name` can mean, or None."""
    name = RENAMED.get(name, name)
    if "/" in name:
        entry = catalog_entry(name)
        return entry.id if entry and entry.id.lower() == name.lower() else None
    originals = [identifier for identifier in ids_named(name) if not identifier.startswith(MIRRORS)]
    return originals[0] if len(originals) == 1 else None


def source_key(source: str, identifier: str) -> str:
    """One key per repository, and per thread in the projects many people report to."""
    thread = re.search(r"github\.com/(vllm-project/[^/]+)/(?:issues|pull)/(\d+)", source)
    if thread:
        return f"github.com/{thread[1]}#{thread[2]}"
    repository = re.search(r"github\.com/([^/\s]+/[^/\s]+)", source)
    if repository:
        return f"github.com/{repository[1]}"
    if source.startswith("http"):
        return re.sub(r"^https?://(www\.)?", "", source).rstrip("/")
    # Two stored copies of one run.
    if "55765941562" in identifier:
        return "public-file:55594152188"
    return source.split(" ")[0]


def version_fields(written: str | None) -> tuple[str | None, str | None]:
    """(release, build): the release a figure can be predicted for, the build as written."""
    if not written:
        return None, None
    found = re.match(r"(0\.\d+(?:\.\d+)?)(\.\d+)?(?=$|[\s+(]|rc|\.dev)", written)
    if not found or found[1] == "0.1" or re.search(r"patched|fork", written):
        return None, short(written)
    release = found[1] if found[1].count(".") == 2 else f"{found[1]}.0"
    return release, None if written == found[0] else short(written)


def arguments(written: Json) -> Json:
    """The flags of vLLM among what a thread gave, in vLLM's spelling."""
    args = {key: value for key, value in written.items() if key in FLAGS}
    limits = args.get("limit_mm_per_prompt")
    if limits == "all 0":
        args["limit_mm_per_prompt"] = {"image": 0, "video": 0, "audio": 0}
    elif isinstance(limits, str):
        pairs = (pair.split("=") for pair in limits.split(","))
        args["limit_mm_per_prompt"] = {modality: int(count) for modality, count in pairs}
    if isinstance(args.get("hf_overrides"), str):
        del args["hf_overrides"]
    # What the checkpoint asked for is in no argument.
    if "resolved" in str(args.get("kv_cache_dtype")):
        del args["kv_cache_dtype"]
    # 0 is what eager execution resolves it to, not what anybody gave.
    if args.get("max_cudagraph_capture_size") == 0:
        del args["max_cudagraph_capture_size"]
    return args


def measured_total(record: Json) -> float | None:
    """CUDA's total; a marketing size in whole GiB is none."""
    total = record["gpu_total_gib"]
    if record["id"] in TOTALS:
        return TOTALS[record["id"]]
    return None if total is None or float(total) == int(float(total)) else float(total)


PATTERNS = {
    "max_num_batched_tokens": r"(?:max_num_batched_tokens resolved|mnbt|max_num_batched_tokens "
    r"default|max_num_batched_tokens=|max_num_batched_tokens) (?:default )?(\d+)",
    "dtype": r"resolved dtype (\w+)",
    "max_model_len": r"max_seq_len (\d+)|max_model_len defaults to (\d+)",
    "quantization": r"quantization (\w+), kv",
    "kv_cache_dtype": r", kv (\w+)",
    "attention_block_size": r"attention block(?: size)? (\d+)",
    "encoder_budget": r"(?i)encoder (?:cache )?(?:budget|will be initialized with a budget of) "
    r"(?:of )?(\d+)",
    "encoder_items": r"(?:profiled with (\d+)|, (\d+) (?:image|video|audio) items?)",
}


def resolved(other: str) -> Json:
    """Settings that vLLM resolved and printed."""
    values: Json = {}
    for name, pattern in PATTERNS.items():
        found = re.search(pattern, other)
        if found:
            text = next(group for group in found.groups() if group)
            values[name] = int(text) if text.isdigit() else text
    if values.get("quantization") == "None":
        del values["quantization"]
    if re.search(r"max_num_batched_tokens=(\d+)", other):
        values["max_num_batched_tokens"] = int(
            cast(re.Match[str], re.search(r"max_num_batched_tokens=(\d+)", other))[1]
        )
    return values


# Records of different collections name one figure differently.
RENAMED_FIGURES = {
    "activation_gib": "activation_peak_gib",
    "cuda_graph_estimate_gib": "cuda_graph_estimated_gib",
    "gpu_blocks": "num_gpu_blocks",
    "max_concurrency_at_tokens": "max_concurrency_at",
}


def observed(seen: Json, other: str) -> Json:
    """The figures a run printed, under our names."""
    values: Json = {RENAMED_FIGURES.get(key, key): value for key, value in seen.items()}
    consumed = re.search(r"consumed(?: \(weights \+ non-torch\))? ([\d.]+)", other)
    if consumed:
        values["consumed_gib"] = float(consumed[1].rstrip("."))
    requested = re.search(r"requested ([\d.]+)", other)
    if requested:
        values["requested_gib"] = float(requested[1].rstrip("."))
    mamba = re.search(r"Mamba cache blocks (?:\()?(\d+)", other)
    if mamba:
        values["mamba_blocks"] = int(mamba[1])
    # A negative "graph capturing took" is another process freeing memory meanwhile.
    if values.get("cuda_graph_gib", 0) < 0:
        del values["cuda_graph_gib"]
    return values


OFFLINE = re.compile(r"offline LLM\(\)|in-process")

FAILURE_RULES = (
    ("free_memory_below_request", r"Free memory on device"),
    ("mamba_blocks_too_few", r"Mamba cache blocks|Measured available blocks"),
    ("kv_cache_too_small", r"KV cache is needed|larger than the maximum number of tokens"),
    ("no_kv_cache_memory", r"No available memory for the cache blocks|KV cache memory: -"),
)


def failure(record: Json) -> str | None:
    """The kind of failure, when the record leaves no doubt."""
    if record["id"] in FAILURES:
        return FAILURES[record["id"]]
    text = record["quote"] + " " + str(record["observed"].get("other", ""))
    if "kv_needed_gib" in record["observed"]:
        return "kv_cache_too_small"
    return next((kind for kind, pattern in FAILURE_RULES if re.search(pattern, text)), None)


def exclusion(case: Json, record: Json) -> str | None:
    """Why a case cannot be compared with a prediction, or None."""
    if case["id"] in EXCLUDED:
        return EXCLUDED[case["id"]]
    text = f"{record['vllm_version']} {record['gpu']} {record.get('notes')} {record['observed']}"
    if re.search(r"ROCm|AMD|gfx\d|Ascend|NPU", text):
        return "not an NVIDIA GPU"
    if re.search(r"fork|[Pp]atched|Genesis|B12X|ascend", text):
        return "a patched build"
    version = str(record["vllm_version"])
    if version.startswith("0.") and version[2:4] in ("2.", "4.", "5."):
        return "vLLM before 0.6"
    if case["model"] is None and "stand_in" not in case:
        return "the model is not named" if not record["model"] else "the model is not catalogued"
    if not case["observed"] and case["starts"] is None:
        return "no figure"
    return None


def short(text: str | None, limit: int = 60) -> str | None:
    """The first words of a name as somebody wrote it."""
    if text is None:
        return None
    name = re.sub(r"\s*\(.*", "", text).strip() or text
    return name[:limit]


def tidy(case: Json) -> Json:
    """The case without empty fields, keys in the order of the header."""
    unknown = set(case) - set(FIELDS) | set(case.get("observed", {})) - Observed.names()
    unknown |= set(case.get("resolved", {})) - Resolved.names()
    assert not unknown, (case["id"], unknown)
    kept: Iterable[str] = (key for key in FIELDS if case.get(key) not in (None, {}, ""))
    return {key: case[key] for key in kept}


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True


if __name__ == "__main__":
    main()
