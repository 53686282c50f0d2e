"""Write the embedded model catalogue from the shared folder of public configs.

    python scripts/build_model_catalog.py --shared ../shared --date 2026-11-24

Reads `data/models/{index,configs,hf_quant}.jsonl` and writes
`planner/vllm_preflight/models/catalog/models.jsonl`: facts only, in our own short form, and
`checkpoints.json` beside it: quantised checkpoints that exist and whose names say how.
Keys that say nothing about memory, shape or speed are dropped. A config that cannot be
read as an architecture is replaced by one with the same dimensions, or left out and named
in the output: an id in the catalogue is one that can be planned.
"""

from __future__ import annotations

import argparse
import datetime
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from catalog_composed import composed, wrapped
from catalog_evidence import PRESETS, Evidence, read_recipes, unsaid_ropes
from vllm_preflight.base.errors import UnsupportedArchitecture
from vllm_preflight.models.catalog.compact import decode, encode
from vllm_preflight.models.catalog.entries import catalog_entry
from vllm_preflight.models.checkpoint_names import read_name
from vllm_preflight.models.config_files import with_modelopt
from vllm_preflight.models.config_reader import read_architecture
from vllm_preflight.models.derived import base_of, derived_model
from vllm_preflight.models.overrides import merge_config
from vllm_preflight.models.parameters import count_parameters
from vllm_preflight.models.quantization import read_quantization

Json = dict[str, Any]
FACTS = Path(__file__).with_name("model_facts.json")
TARGET = Path(__file__).parent.parent / "planner/vllm_preflight/models/catalog/models.jsonl"
CHECKPOINTS = TARGET.with_name("checkpoints.json")

# Keys without bearing on memory, shape or speed: tokens, training, labels, names, text.
DROPPED = re.compile(
    r".*_token_ids?|.*_token_index|.*_placeholder.*|vit_token|ignore_index"
    r"|(bos|eos|pad|sep|im_start|im_end|im_newline|text_end|text_start|video_end|video_start"
    r"|mask_init|eod|image_newline)_id"
    r"|.*dropout.*|.*_pdrop|layerdrop|.*dropped_token|.*_init_scale|.*xavier_init"
    r"|init_.*(std|config|device|gain)|initializer.*|emb_init.*|rescale_prenorm_residual"
    r"|.*aux_loss.*|seq_aux|.*jitter.*|moe_loss_weight|mtp_loss_scaling_factor|z_loss.*"
    r"|id2label|label2id|problem_type|finetuning_task|task_specific_params|num_labels|class_num"
    r"|summary_.*|output_(attentions|hidden_states|scores|past|router_logits)|return_dict.*"
    r"|use_cache|gradient_checkpointing|pretraining_tp|ep_size|torchscript|pruned_heads"
    r"|tf_legacy_loss|prefix|verbose|time_step_(min|max|floor|limit)|cache_implementation|is_decoder"
    r"|transformers_version|_name_or_path|model_name.*|model_file_.*|tokenizer_.*|vit_path"
    r"|_attn_implementation.*|attn_implementation|_from_model_config|producer|auto_map"
)
# Generation settings, dropped only beside `top_p`: elsewhere `top_k` counts experts.
GENERATION = re.compile(
    r"top_[pk]|temperature|typical_p|do_sample|early_stopping|.*_penalty|(max|min)_length"
    r"|num_beams|num_beam_groups|num_return_sequences|.*ngram_size|bad_words_ids"
    r"|.*suppress_tokens|remove_invalid_values"
)
# Words in a name that say its weights are stored otherwise than its lender's.
PRECISION = re.compile(
    r"awq|gptq|fp8|fp4|int[48]|[348]-?bit|gguf|quant|bnb|bf16|mxfp|w[48]a|exl|mlx", re.IGNORECASE
)
# A context length this scrape writes where it could not read the config.
UNREAD_CONTEXT = 4096
# What must be equal for another's config to be borrowed.
DIMENSIONS = (
    "hidden_size",
    "intermediate_size",
    "num_hidden_layers",
    "num_attention_heads",
    "num_key_value_heads",
    "head_dim",
    "vocab_size",
)
DTYPES = {"bfloat16": "BF16", "float16": "F16", "float32": "F32"}


# Classes by names of their sources that no release of vLLM registers, beside the registry's
# (vLLM 0.33 model_executor/models/registry.py).
CLASSES = {
    "MiniMaxM3ForCausalLM": "MiniMaxM3SparseForCausalLM",
    "Step3p7FlashForCausalLM": "Step3p7ForConditionalGeneration",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--shared", type=Path, default=Path("../shared"))
    parser.add_argument("--date", default=datetime.date.today().isoformat())
    arguments = parser.parse_args()
    data = arguments.shared / "data"
    entries, left_out = build(data / "models", data / "recipes.jsonl", arguments.date)
    lines = [json.dumps(entry, separators=(",", ":"), allow_nan=False) for entry in entries]
    TARGET.write_text("\n".join(lines) + "\n", encoding="utf-8")
    write_checkpoints(data / "models", data / "recipes.jsonl", arguments.date)
    print(f"{len(entries)} models, {TARGET.stat().st_size:,} bytes in {TARGET.name}")
    print(", ".join(f"{n} {word}" for word, n in counted("completeness", entries)))
    for fact in ("max_position_embeddings", "quantization_config"):
        bases = [entry["facts"][fact] for entry in entries]
        print(f"{fact}: " + ", ".join(f"{n} {word}" for word, n in tally(bases)))
    for model, reason in left_out.items():
        print(f"left out: {model}: {reason}")


def write_checkpoints(folder: Path, recipes: Path, date: str) -> None:
    """Which quantised checkpoints of catalogued models exist, beside those in the catalogue."""
    named = {row["model"] for row in read_rows(folder / "index.jsonl")}
    for row in read_rows(recipes):
        if row["tasks"] != ["omni"]:
            variants = row["variants"].values()
            named |= {one["model_id"] for one in variants if one.get("model_id")}
    found: dict[str, list[str]] = {}
    for name in sorted(named, key=str.lower):
        base = base_of(name)
        known = catalog_entry(name)
        if base is None or known is not None or read_name(name).precision in (None, "16-bit"):
            continue
        if derived_model(name) is not None:
            found.setdefault(base.id, []).append(name)
    content = {
        "provenance": "ids of llmfit's scrape of the Hub and of vLLM's recipes",
        "date": date,
        "checkpoints": dict(sorted(found.items())),
    }
    CHECKPOINTS.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def counted(field: str, entries: Iterable[Json]) -> list[tuple[str, int]]:
    return tally(entry[field] for entry in entries)


def tally(words: Iterable[str]) -> list[tuple[str, int]]:
    # A twin that lent its scheme is a detail of the basis.
    return Counter(word.partition(", as in ")[0] for word in words).most_common()


def build(folder: Path, recipes: Path, date: str) -> tuple[list[Json], dict[str, str]]:
    """All entries, sorted by id, each starting with its id; and why others are left out."""
    index = {row["model"]: row for row in read_rows(folder / "index.jsonl")}
    configs = {
        row["model"]: as_registered(as_published(row["config"], index[row["model"]]))
        for row in read_rows(folder / "configs.jsonl")
    }
    for model, (scaling, said_by) in unsaid_ropes(configs, DIMENSIONS).items():
        configs[model] = {**configs[model], "rope_scaling": scaling}
        index[model] = {**index[model], "note": f"rope_scaling as {said_by} states it"}
    for model, row in index.items():
        if row["completeness"] == "transformers-default":
            index[model], configs[model] = whole_class(row, configs[model])
    modelopt = {row["model"]: row["config"] for row in read_rows(folder / "hf_quant.jsonl")}
    partial = {row["model"]: row["config"] for row in read_rows(folder / "partial.jsonl")}
    entries: list[Json] = []
    unreadable: dict[str, str] = {}
    for model, config in configs.items():
        reason = unread(config)
        if reason:
            unreadable[model] = reason
        elif says_its_scheme(index[model], config, modelopt.get(model)):
            entries.append(own_entry(index[model], config, modelopt.get(model), date))
    for model in unreadable:
        configs[model] = {key: configs[model][key] for key in DIMENSIONS if key in configs[model]}
        index[model] = {
            **index[model],
            "completeness": "partial",
            "same_dims_as": [
                name for name in configs if name not in unreadable and alike(configs, model, name)
            ],
        }
    known = {name_of(entry["id"]) for entry in entries}
    for row in index.values():
        if row["completeness"] == "partial":
            lender = lender_of(row, index, configs)
            if lender is not None:
                unreadable.pop(row["model"], None)
                entries.append(borrowed_entry(row, index[lender], configs[lender], date))
                continue
            config = composed(row, partial.get(row["model"], {}))
            # A copy of a known model is answered from that.
            if config is not None and name_of(row["model"]) not in known:
                entries.append(composed_entry(row, config, date))
    quoted = quoted_entries(FACTS, index, configs, date)
    entries = [*(one for one in entries if one["id"] not in {row["id"] for row in quoted}), *quoted]
    evidence = Evidence(entries, index, read_recipes(recipes))
    settled = with_completed(with_stated([with_facts(entry, evidence) for entry in entries]))
    return sorted(settled, key=lambda entry: entry["id"].lower()), unreadable


def with_stated(entries: list[Json]) -> list[Json]:
    """The entries with what pages state of them beside their config."""
    pooling, storage = stated(FACTS, "pools"), stated(FACTS, "storage")
    for entry in entries:
        entry.update(optional(pools=pooling.get(entry["id"], "")))
        if entry["id"] in storage and entry["facts"]["quantization_config"] == "unknown":
            entry["facts"]["quantization_config"] = storage[entry["id"]]
    return entries


def with_completed(entries: list[Json]) -> list[Json]:
    """The entries with keys that their parts of configs lack.

    With them a config has to make exactly the published parameter total.
    """
    by_id = {entry["id"]: entry for entry in entries}
    for row in json.loads(FACTS.read_text(encoding="utf-8"))["completed"]:
        for model in row["models"]:
            entry = by_id[model]
            whole = merge_config(decode(entry["config"]), row["config"])
            if count_parameters(read_architecture(whole)).total != entry["params_total"]:
                raise ValueError(f"{model}: what completes it does not make its parameters")
            entry.update(completed=encode(row["config"]), completed_by=row["source"])
    return entries


def quoted_entries(
    path: Path, index: Mapping[str, Json], configs: Mapping[str, Json], date: str
) -> list[Json]:
    """Models whose config is known by a copy, or by its differences from a sibling's.

    A published parameter total has to be exactly what the config makes.
    """
    entries: list[Json] = []
    for row in json.loads(path.read_text(encoding="utf-8"))["configs"]:
        base = configs[row["like"]] if "like" in row else {}
        config = merge_config(base, row["config"])
        for model in row["models"]:
            total = index[model]["params_total"]
            if total and count_parameters(read_architecture(config)).total != total:
                raise ValueError(f"{model}: the config does not make {total:,} parameters")
            basis = row.get("basis") or ("composed" if base else "preset")
            entries.append(head(index[model], config, basis, row["source"], date))
    return entries


def stated(path: Path, fact: str) -> dict[str, str]:
    """Models of which a page states a fact, with what says so.

    "pools": the repository's modules.json asks for pooling; "storage": it is as the config says.
    """
    found = json.loads(path.read_text(encoding="utf-8"))[fact]
    return {model: row["source"] for row in found for model in row["models"]}


def with_facts(entry: Json, evidence: Evidence) -> Json:
    """The entry with what settled its length and its storage, and what contradicts them."""
    config, facts, found = evidence.settle(entry)
    changed = {**entry, "facts": facts, "config": encode(kept(config))}
    if entry.get("bytes_basis", "").startswith(("2 bytes x", "4 bytes x")) and (
        read_quantization(config).method != "none"
    ):
        # An estimate for 16 bits says nothing of a quantised checkpoint.
        for field in ("total_bytes", "bytes_basis", "stored_dtype"):
            changed.pop(field, None)
    return {**changed, **optional(conflict="; ".join(found))}


def unread(config: Json) -> str:
    """Why a config cannot be read as an architecture, empty when it can."""
    try:
        read_architecture(config)
    except UnsupportedArchitecture as error:
        return error.message
    return ""


def alike(configs: Mapping[str, Json], model: str, other: str) -> bool:
    """Whether all the main dimensions are known of a model, and are another's too."""
    own = configs[model]
    return len(own) == len(DIMENSIONS) and all(
        configs[other].get(key) == own[key] for key in DIMENSIONS
    )


def read_rows(path: Path) -> Iterable[Json]:
    with path.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def as_registered(config: Json) -> Json:
    """The config with vLLM's name of its class, where its source has one of its own."""
    classes = [CLASSES.get(name, name) for name in config.get("architectures", [])]
    return {**config, "architectures": classes} if classes else config


def as_published(config: Json, row: Json) -> Json:
    """Undo the key names of the one source that renames and adds some (MLC's presets)."""
    if "mlc-llm preset" not in (row.get("note") or ""):
        return config
    window = config.get("sliding_window_size")
    if window is not None and "sliding_window" not in config:
        config = {**config, "sliding_window": window}
    added = {
        "sliding_window_size",
        "context_window_size",
        "prefill_chunk_size",
        "attention_sink_size",
    }
    return {key: value for key, value in config.items() if key not in added}


def whole_class(row: Json, config: Json) -> tuple[Json, Json]:
    """The row and the config with the towers around a text model's class defaults."""
    found = wrapped(config, row["params_total"])
    if found is None:
        return row, config
    name, whole = found
    source = f"{row['source'].partition(' class defaults')[0]} class defaults {name}"
    note = "class defaults, not config.json; they make exactly the published parameter total"
    return {**row, "source": source, "note": note}, whole


def says_its_scheme(row: Json, config: Json, modelopt: Json | None) -> bool:
    """Whether a checkpoint named after a quantisation has it in its config.

    A source may have dropped it, and then the weights would be sized as if unquantised.
    """
    return bool(not row.get("quant_from_name") or config.get("quantization_config") or modelopt)


def completeness_of(row: Json) -> str:
    """How much of the published config an entry is; a copy for another use may differ from it."""
    preset = row["completeness"] == "full" and PRESETS.search(row["source"])
    return "preset" if preset else row["completeness"]


def own_entry(row: Json, config: Json, modelopt: Json | None, date: str) -> Json:
    # The index also reports lists as collapsed that the config now has in full.
    notes = [
        note for note in (row.get("note") or "").split("; ") if note and "collapsed" not in note
    ]
    merged = modelopt is not None and not config.get("quantization_config")
    if merged:
        config = with_modelopt(config, without_swallowing_names(modelopt))
    quantization = json.dumps(config.get("quantization_config"))
    if "layers.*." in quantization and (merged or "collapsed" in (row.get("note") or "")):
        notes.append("layer numbers in the quantisation's lists of modules are collapsed to *")
    return {
        **head(row, config, completeness_of(row), plain(row["source"]), date),
        **stored_bytes(row, config),
        **optional(note=plain("; ".join(notes))),
    }


def borrowed_entry(row: Json, lender: Json, config: Json, date: str) -> Json:
    context = row.get("context_length_llmfit")
    if context and (row["gated"] is False or context != UNREAD_CONTEXT):
        config = {**config, "max_position_embeddings": context}
    source = (
        f"config of {lender['model']} ({plain(lender['source'])}), whose dimensions and "
        f"published parameter total are equal"
    )
    return {
        **head(row, config, "borrowed", source, date),
        **optional(note="keys other than the main dimensions are not verified for this model"),
    }


def composed_entry(row: Json, config: Json, date: str) -> Json:
    source = f"dimensions of {plain(row['source'])}"
    note = "keys other than the dimensions are those of the class; the parameters add up exactly"
    return {**head(row, config, "composed", source, date), **optional(note=note)}


def head(row: Json, config: Json, completeness: str, source: str, date: str) -> Json:
    short = encode(kept(config))
    if decode(short) != decode(encode(decode(short))):
        raise ValueError(f"{row['model']}: the short form does not survive a round trip")
    return {
        "id": row["model"],
        "completeness": completeness,
        "source": source,
        "date": date,
        **optional(
            params_total=row["params_total"],
            # A remark on a total that was left out says nothing here.
            params_note=plain((row["params_total"] and row.get("params_note")) or ""),
            gated=row["gated"],
        ),
        "config": short,
    }


def optional(**fields: Any) -> Json:
    """The fields that say something."""
    return {name: value for name, value in fields.items() if value not in (None, "")}


def stored_bytes(row: Json, config: Json) -> Json:
    """Bytes of all tensors: as published, else parameters times a uniform dtype."""
    if row["safetensors_total_bytes"]:
        basis = plain(row["bytes_source"])
        return {"total_bytes": row["safetensors_total_bytes"], "bytes_basis": basis}
    how = row.get("bytes_estimate_how") or ""
    uniform = re.match(r"([24]) x params_total", how)
    if uniform is None:
        return {}
    dtype = str(config.get("dtype") or config.get("torch_dtype") or "").removeprefix("torch.")
    return {
        "total_bytes": row["bytes_estimate"],
        "bytes_basis": f"{uniform[1]} bytes x published parameter total",
        **optional(stored_dtype=DTYPES.get(dtype)),
    }


def plain(text: str) -> str:
    """A source's own name for itself, without numbers only an index understands."""
    text = re.sub(r"public file \d+(, \d+)*( \(.*\))?", "a public file quoting the figures", text)
    text = re.sub(r"\s*(quoted )?(by )?index id \d+", " published element counts", text)
    return text.replace("github:", "github.com/").strip()


def kept(value: Any) -> Any:
    """A config without the keys that say nothing about memory, shape or speed."""
    if isinstance(value, list):
        return [kept(item) for item in cast(list[Any], value)]
    if not isinstance(value, Mapping):
        return value
    members = cast(Mapping[str, Any], value)
    generation = "top_p" in members
    result = {
        key: kept(member)
        for key, member in members.items()
        if not DROPPED.fullmatch(key) and not (generation and GENERATION.fullmatch(key))
    }
    # That the model ships its own code is a fact; whose files it names is not.
    return {**result, "auto_map": {}} if "auto_map" in members else result


def without_swallowing_names(modelopt: Json) -> Json:
    """Drop names that became `layers.**` when digits were collapsed: they match all layers."""
    quantization = dict(modelopt["quantization"])
    names = quantization.get("exclude_modules")
    if names:
        quantization["exclude_modules"] = [name for name in names if "**" not in name]
    return {**modelopt, "quantization": quantization}


def lender_of(row: Json, index: Mapping[str, Json], configs: Mapping[str, Json]) -> str | None:
    """The full config this model may borrow, the most alike by name, or None."""
    if row.get("quant_from_name") or not row["params_total"]:
        return None
    candidates = [
        name
        for name in row.get("same_dims_as") or []
        if index[name]["completeness"] == "full"  # Which no unreadable one is any more.
        and index[name]["params_total"] == row["params_total"]
        and may_borrow(row, name, configs[name])
    ]
    context = row.get("context_length_llmfit")

    def likeness(name: str) -> tuple[bool, bool, int]:
        shared = len(set(re.split(r"[-/_.]", name)) & set(re.split(r"[-/_.]", row["model"])))
        same_context = configs[name].get("max_position_embeddings") == context
        return same_context, organisation(name) == organisation(row["model"]), shared

    return max(candidates, key=likeness, default=None)


def may_borrow(row: Json, lender: str, config: Json) -> bool:
    """Whether keys beyond the dimensions are safe to take from `lender`.

    A uniform sliding window and a quantisation are switches that siblings flip; a scaled
    rope makes the context length mean something else.
    """
    same_organisation = organisation(lender) == organisation(row["model"])
    if config.get("quantization_config") and (
        not same_organisation or PRECISION.search(row["model"])
    ):
        return False
    window_is_uniform = config.get("sliding_window") and "layer_types" not in config
    if window_is_uniform and config.get("use_sliding_window") is not False:
        return False
    context = row.get("context_length_llmfit")
    if not context or (context == UNREAD_CONTEXT and row["gated"] is not False):
        return same_organisation
    inner = config.get("text_config") or config
    if inner.get("max_position_embeddings") == context:
        return True
    scaled = (inner.get("rope_scaling") or {}) or (inner.get("rope_parameters") or {}).get("factor")
    return not scaled and "text_config" not in config and "max_position_embeddings" in config


def name_of(model: str) -> str:
    return read_name(model).base.lower()


def organisation(model: str) -> str:
    return model.partition("/")[0]


if __name__ == "__main__":
    main()
