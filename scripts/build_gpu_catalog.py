"""Write the GPU catalogue from the shared table of public facts.

    python scripts/build_gpu_catalog.py --shared ../shared --date 2026-11-24
    python scripts/build_gpu_catalog.py --shared ../shared --residuals

Reads `data/gpus.jsonl`, our own `scripts/gpu_additions.json` (cards and facts which that
table lacks) and `hardware/visible_memory.json` (totals that CUDA or ROCm showed to real
start-ups) and writes `hardware/gpus.json`: facts only, every field with its source,
sources kept once in a table.

Where only the FP32 rate of an addition is published, the dense 16-bit rate of the tensor
cores with 32-bit accumulation follows from it (`TENSOR_PER_FP32`).

What CUDA shows (`visible_mib`), in this order:

1. measured: the total of visible_memory.json, Linux only;
2. derived from NVML's total by `visible_bytes_from_total` (NVIDIA);
3. derived from the nominal size: the same rule, after 0.45 % that NVML does not show from
   Hopper on, and a sixteenth where the card ships with inline ECC on (`INLINE_ECC`).
   Known NVML totals follow their nominal size so within 1.4 % (V100), most within 0.1 %;
4. memory shared with the CPU: the share of the nominal size that GB10 shows at least;
5. other vendors: the driver's total, else the nominal size; ROCm shows 99.5 % or more.

`--residuals` prints every known pair of NVML and visible total beside the rule.
"""

from __future__ import annotations

import argparse
import datetime
import json
import re
import statistics
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from vllm_preflight.base.units import BYTES_TO_MIB
from vllm_preflight.hardware.visible_memory import visible_bytes_from_total

Json = dict[str, Any]
FOLDER = Path(__file__).parent.parent / "planner/vllm_preflight/hardware"
TARGET = FOLDER / "gpus.json"
VISIBLE = FOLDER / "visible_memory.json"
ADDITIONS = Path(__file__).with_name("gpu_additions.json")

# Our key and the table's, in the order they are written.
FIELDS = {
    "nominal_gib": "memory_gb_marketing",
    "vram_mib": "nvml_total_mib",
    "compute_capability": "compute_capability",
    "bandwidth_gb_s": "mem_bandwidth_gbps",
    "fp16_tflops": "fp16_tflops_dense",
    "fp8_tflops": "fp8_tflops_dense",
    "fp4_tflops": "fp4_tflops_dense",
    "int8_tops": "int8_tops",
    "nvlink_gb_s": "nvlink_gbps",
    "pcie_gen": "pcie_gen",
}
# Other names people use that are neither ours nor NVML's.
ALIASES = {
    "GB10": ["DGX Spark", "DGX Spark GB10"],
    # Equal memory; the entry states no FLOPS, in which the two differ.
    "RTX PRO 6000 Blackwell Workstation": ["RTX PRO 6000 Blackwell Max-Q Workstation"],
    "H20-3e 141GB": ["H20 141GB"],
    "H100 SXM5 80GB": ["H100 Mega"],
    "Quadro RTX 8000": ["Q RTX 8000"],
    "GB200": ["GB200 NVL72", "GB200 Superchip"],
    "GB300": ["GB300 NVL72", "GB300 Superchip"],
    # What HGX and DGX pages say of the whole memory, of which 180 GB are usable.
    "B200 SXM 180GB": ["B200 SXM 192GB"],
}
# A card that ROCm shows as two devices: figures of the card are halved.
TWO_DEVICES = {"Instinct MI250": "Instinct MI250 GCD", "Instinct MI250X": "Instinct MI250X GCD"}
HALVED = ("nominal_gib", "bandwidth_gb_s", "fp16_tflops")
# Other products under a row's NVML names: the memory is equal, the speed is not known.
OTHER_PRODUCTS = {"NVIDIA H20-3e": "H20-3e 141GB", "NVIDIA L20X": "L20X 141GB"}
# What a card is rather than how large or fast.
SHAPE = ("must_say", "unified", "node_size", "nvlink_domain")
SHARED_FACTS = ("nominal_gib", "vram_mib", "compute_capability")
# Nominal size known only, and ECC inside the memory on by default: NVML then shows 15/16,
# as of T4, A10, L4, L20 and L40S (B200 and B300: 93.3 %).
INLINE_ECC = {"Tesla P4", "Tesla P40", "A2", "A16", "L2", "L40", "B100 192GB"}
ECC_SHARE = 15 / 16
# Dense 16-bit tensor FLOPS with 32-bit accumulation over FP32 FLOPS, by generation: GeForce
# and the others. As published for RTX 2080 Ti (53.8 / 13.45), T4 (65 / 8.1), V100 (125 /
# 15.7), RTX 3090 (71 / 35.6), A6000 (154.8 / 38.7), RTX 4090 (165.2 / 82.6), L40S (362.1 /
# 91.6), RTX 5090 (209.5 / 104.8).
TENSOR_PER_FP32 = {7: (4, 8), 8: (2, 4), 12: (2, 4)}
# What GB10 shows of its 128 GiB, the low end of what start-ups printed.
UNIFIED_SHOWN = 119.7 / 128
# Generations whose workstation and Jetson parts keep the data centre's ratio.
FULL_RATE = {"7.0", "8.7"}
# NVML's total over the nominal size for compute capability 9.0 and later: 0.9951 to 0.9958.
SHOWN_SINCE_HOPPER = 0.9955


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--date", default=datetime.date.today().isoformat())
    parser.add_argument("--residuals", action="store_true", help="print the rule's fit and stop")
    arguments = parser.parse_args()
    with (arguments.shared / "data/gpus.jsonl").open(encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    totals = json.loads(VISIBLE.read_text(encoding="utf-8"))["totals"]
    catalog = build(rows, totals, arguments.date, read_additions())
    if arguments.residuals:
        print_residuals(catalog["gpus"], totals)
        return
    TARGET.write_text(render(catalog), encoding="utf-8")
    print(f"{len(catalog['gpus'])} GPUs, {TARGET.stat().st_size:,} bytes in {TARGET.name}")


def read_additions() -> Json:
    return json.loads(ADDITIONS.read_text(encoding="utf-8"))


def build(rows: Sequence[Json], totals: Sequence[Json], date: str, additions: Json) -> Json:
    """The whole catalogue; a measured total or a fact for a card it lacks is an error."""
    measured = {name: row for row in totals if row["platform"] == "linux" for name in row["gpus"]}
    entries = [
        {**entry, "date": date}
        for row in rows
        if row["memory_gb_marketing"]  # without it (shared system memory) nothing can be said
        for entry in read_row(row)
    ]
    by_name = {entry["name"]: entry for entry in entries}
    for row in additions["facts"]:
        supplement(by_name[row["name"]], row)
    entries += [read_addition(row) for row in additions["cards"]]
    entries = [with_visible(entry, measured) for entry in entries]
    missing = {name for row in totals for name in row["gpus"]} - {e["name"] for e in entries}
    if missing:
        raise ValueError(f"visible_memory.json names cards the table lacks: {sorted(missing)}")
    sources = sorted({source for entry in entries for source in entry["sources"].values()})
    number = {source: index for index, source in enumerate(sources)}
    for entry in entries:
        entry["sources"] = {key: number[source] for key, source in entry["sources"].items()}
        # Last, so that a line ends with how old it is.
        entry["date"] = entry.pop("date")
    return {"schema_version": 1, "sources": sources, "gpus": entries}


def read_row(row: Json) -> Iterator[Json]:
    """The entry of a row, and of other products that the row counts in."""
    given = row["name"]
    name = TWO_DEVICES.get(given) or re.sub(r"\s*\(.*\)", "", given)
    others = [name for name in row["nvml_names"] if name in OTHER_PRODUCTS]
    entry: Json = {"name": name, "vendor": row["vendor"]}
    entry["nvml_names"] = [name for name in row["nvml_names"] if name not in others]
    entry["aliases"] = ALIASES.get(name, [])
    entry.update({ours: row[theirs] for ours, theirs in FIELDS.items() if row[theirs] is not None})
    sources = {key: plain(row["source"][FIELDS[key]]) for key in FIELDS if key in entry}
    if given in TWO_DEVICES:
        for key in HALVED:
            entry[key] = entry[key] / 2
            sources[key] += ", half of the card's"
    entry["sources"] = sources
    if row.get("note"):
        entry["note"] = plain(row["note"])
    yield entry
    for nvml_name in others:
        facts = {key: entry[key] for key in SHARED_FACTS}
        product = OTHER_PRODUCTS[nvml_name]
        yield {
            "name": product,
            "vendor": entry["vendor"],
            "nvml_names": [nvml_name],
            "aliases": ALIASES.get(product, []),
            **facts,
            "sources": {key: f"{sources[key]} (equal to {name})" for key in facts},
        }


def read_addition(row: Json) -> Json:
    """The entry of a card that the shared table lacks."""
    entry = {key: row[key] for key in ("name", "vendor", "nvml_names", "aliases")}
    entry |= {"sources": {}, "date": row["date"]}
    supplement(entry, row)
    return entry


def supplement(entry: Json, row: Json) -> None:
    """Put facts into an entry that has none of them yet; what is there already stands."""
    facts, sources = dict(row["facts"]), dict(row["sources"])
    if (fp32 := facts.pop("fp32_tflops", None)) is not None:
        capability = entry.get("compute_capability") or facts["compute_capability"]
        ratio = tensor_ratio(entry["name"], capability)
        facts["fp16_tflops"] = round(fp32 * ratio, 1)
        sources["fp16_tflops"] = f"{sources.pop('fp32_tflops')}: {ratio} x the FP32 rate"
    for key, value in facts.items():
        if key not in entry:
            entry[key] = value
            entry["sources"][key] = sources[key]
    entry |= {key: row[key] for key in SHAPE if key in row}


def tensor_ratio(name: str, capability: str) -> int:
    """Dense 16-bit tensor FLOPS of a card over its FP32 FLOPS."""
    geforce, other = TENSOR_PER_FP32[int(capability.partition(".")[0])]
    if capability in FULL_RATE:
        return TENSOR_PER_FP32[7][1]
    return geforce if name.startswith("GeForce") else other


def plain(text: str) -> str:
    """A source's own name for itself, without numbers only an index understands."""
    text = re.sub(r"public file \d+(, \d+)*", "nvidia-smi output in public files", text)
    text = re.sub(r" \(index id \d+\)| \(thread id not kept\)", "", text)
    return text.replace("github:", "github.com/")


def with_visible(entry: Json, measured: dict[str, Json]) -> Json:
    """The entry with what CUDA or ROCm shows, and how that is known."""
    if row := measured.get(entry["name"]):
        mib, basis = round(row["value"] * 1024, 1), "measured"
        spread = "" if row["low"] == row["high"] else f", {row['low']} to {row['high']} GiB"
        source = f"{row['source']}{spread}"
    elif entry.get("unified"):
        mib, basis = entry["nominal_gib"] * 1024 * UNIFIED_SHOWN, "derived"
        source = "the nominal size times the share of it that GB10 shows"
    elif entry["vendor"] != "NVIDIA":
        mib, basis = entry.get("vram_mib") or entry["nominal_gib"] * 1024, "derived"
        source = "the driver's total" if "vram_mib" in entry else "the nominal size"
    elif "vram_mib" in entry:
        mib, basis = visible_bytes_from_total(entry["vram_mib"]) / BYTES_TO_MIB, "derived"
        source = "NVML's total less the driver's reserve"
    else:
        mib, basis = visible_bytes_from_total(nominal_mib(entry)) / BYTES_TO_MIB, "derived"
        source = "the nominal size less the driver's reserve"
    entry["visible_mib"] = round(mib, 1)
    entry["visible_basis"] = basis
    entry["sources"]["visible_mib"] = source
    return entry


def nominal_mib(entry: Json) -> int:
    """NVML's total as the nominal size lets expect it."""
    share = ECC_SHARE if entry["name"] in INLINE_ECC else 1.0
    if float(entry["compute_capability"]) >= 9.0:
        share *= SHOWN_SINCE_HOPPER
    return round(entry["nominal_gib"] * 1024 * share)


def render(catalog: Json) -> str:
    """JSON with one source and one GPU a line, so that a change shows as its own line."""
    lines = {
        key: ",\n".join("  " + json.dumps(item, ensure_ascii=False) for item in catalog[key])
        for key in ("sources", "gpus")
    }
    return (
        f'{{\n"schema_version": {catalog["schema_version"]},\n'
        f'"sources": [\n{lines["sources"]}\n],\n"gpus": [\n{lines["gpus"]}\n]\n}}\n'
    )


def known_pairs(entries: Sequence[Json], totals: Sequence[Json]) -> dict[str, tuple[int, float]]:
    """NVIDIA cards with NVML's total and a precise visible total, both in MiB.

    One card a row: two forms of a card that the logs do not tell apart count once.
    """
    by_name = {entry["name"]: entry for entry in entries}
    pairs: dict[str, tuple[int, float]] = {}
    for row in totals:
        entry = by_name[row["gpus"][0]]
        known = entry["vendor"] == "NVIDIA" and "vram_mib" in entry
        if known and row["platform"] == "linux" and not row.get("rounded"):
            pairs[entry["name"]] = (entry["vram_mib"], row["value"] * 1024)
    return pairs


def print_residuals(entries: Sequence[Json], totals: Sequence[Json]) -> None:
    pairs = known_pairs(entries, totals)
    reserves = [total - visible for total, visible in pairs.values()]
    slope, base = statistics.linear_regression([total for total, _ in pairs.values()], reserves)
    print(f"{len(pairs)} cards; refit: {base:.1f} MiB + {slope:.6f} x total")
    errors: list[float] = []
    for name, (total, visible) in pairs.items():
        rule = visible_bytes_from_total(total) / BYTES_TO_MIB
        errors.append(rule - visible)
        print(f"{name:32}{total:9,} MiB, visible {visible:11,.1f}, rule {errors[-1]:+8.1f} MiB")
    rms = statistics.fmean(error * error for error in errors) ** 0.5
    print(f"root mean square {rms:.1f} MiB, largest {max(errors, key=abs):+.1f} MiB")
    nominal = {
        entry["name"]: nominal_mib(entry) / entry["vram_mib"] - 1
        for entry in entries
        if entry["vendor"] == "NVIDIA" and "vram_mib" in entry
    }
    for name, error in sorted(nominal.items(), key=lambda pair: -abs(pair[1]))[:16]:
        print(f"{name:32} nominal size against NVML {error:+.1%}")


if __name__ == "__main__":
    main()
