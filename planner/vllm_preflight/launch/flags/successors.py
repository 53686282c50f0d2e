"""What says to a newer release what a dropped flag said: one word of the line, or none.

Flags whose place one JSON argument has taken are put into it together, with what the line
says there already. Source: the deprecation notes of vLLM engine/arg_utils.py, 0.8 to 0.13.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from vllm_preflight.launch.flags.configs import knows_key
from vllm_preflight.launch.flags.table import Parser
from vllm_preflight.launch.launch import Version
from vllm_preflight.launch.ropes import OwnRope, rope_overrides

# Tasks of models that answer with text, which need no word any more.
_GENERATING = frozenset({"auto", "generate", "transcription"})
_SUCCESSORS = {
    "--enable-reasoning": "",
    "--disable-mm-preprocessor-cache": "--mm-processor-cache-gb=0",
    "--enable-multimodal-encoder-data-parallel": "--mm-encoder-tp-mode=data",
    "--override-pooler-config": "--pooler-config={}",
    # Requests are logged only where that is asked for.
    "--disable-log-requests": "",
}
# Flags that are a key of a config now: its argument, its class and the key.
_KEYS = {
    **{
        f"--guided-decoding-{name}": (
            "--structured-outputs-config",
            "StructuredOutputsConfig",
            name.replace("-", "_"),
        )
        for name in (
            "backend",
            "disable-fallback",
            "disable-any-whitespace",
            "disable-additional-properties",
        )
    },
    **{
        f"--{name}": ("--eplb-config", "EPLBConfig", name.removeprefix("eplb-").replace("-", "_"))
        for name in (
            "num-redundant-experts",
            "eplb-window-size",
            "eplb-step-interval",
            "eplb-log-balancedness",
        )
    },
}
# Flags that are together one object now, each with its key and how its value is read.
_SPECULATION = {
    "--speculative-model": "model",
    "--num-speculative-tokens": "num_speculative_tokens",
    "--speculative-draft-tensor-parallel-size": "draft_tensor_parallel_size",
    "-spec-draft-tp": "draft_tensor_parallel_size",
    "--speculative-model-quantization": "quantization",
    "--speculative-max-model-len": "max_model_len",
    "--speculative-disable-by-batch-size": "disable_by_batch_size",
    "--speculative-disable-mqa-scorer": "disable_mqa_scorer",
    "--ngram-prompt-lookup-max": "prompt_lookup_max",
    "--ngram-prompt-lookup-min": "prompt_lookup_min",
    "--spec-decoding-acceptance-method": "acceptance_method",
    "--typical-acceptance-sampler-posterior-threshold": "posterior_threshold",
    "--typical-acceptance-sampler-posterior-alpha": "posterior_alpha",
    "--disable-logprobs-during-spec-decoding": "disable_logprobs",
}
_ROPES = ("--rope-scaling", "--rope-theta")
_NGRAM = "[ngram]"


def successor(flag: str, value: str, words: Sequence[str], version: Version) -> str | None:
    """One word that says the same to the release, empty where nothing need be said.

    `words` are all of the line. None where the old value cannot simply be written otherwise.
    """
    if flag == "--task":
        return "" if value in _GENERATING else "--runner=pooling"
    if flag == "--cuda-graph-sizes":
        return _capture_sizes(value)
    if flag == "--num-redundant-experts" and not _is_said("--enable-eplb", words):
        # Without the balancer it did nothing, and is refused now.
        return ""
    if flag in _KEYS:
        argument, config, key = _KEYS[flag]
        # A key that came and went was dropped as what it switched was.
        return f"{argument}.{key}={value or 'true'}" if knows_key(config, key, version) else ""
    return _SUCCESSORS[flag].format(value) if flag in _SUCCESSORS else None


def _capture_sizes(value: str) -> str | None:
    """One number was the largest size; several were the sizes."""
    sizes = value.split()
    if not sizes or not all(size.isdigit() for size in sizes):
        return None
    if len(sizes) == 1:
        return f"--max-cudagraph-capture-size={sizes[0]}"
    # A word of its own each: -cc takes a list in one.
    return f"-cc={json.dumps({'cudagraph_capture_sizes': [int(size) for size in sizes]})}"


@dataclass(frozen=True)
class Joined:
    """Dropped flags that are one object now.

    `instead` has the object for the first of a kind and "" for its others, None for all where
    it cannot be written; `words` are changed ones of the line, by their place.
    """

    instead: Mapping[str, str | None]
    words: Mapping[int, str]


def join_flags(
    flags: Sequence[tuple[str, str]], words: Sequence[str], parser: Parser, own: OwnRope | None
) -> Joined:
    """What becomes of the line's dropped `flags` with their values; `words` are all it has."""
    said = dict(flags)
    instead: dict[str, str | None] = {}
    changed: dict[int, str] = {}
    kinds = (
        (_SPECULATION, "--speculative-config", _speculation(said, parser.version)),
        (_ROPES, "--hf-overrides", _rope(said, parser.version, own)),
    )
    for names, argument, content in kinds:
        found = [flag for flag, _ in flags if flag in names]
        if not found:
            continue
        beside = _is_said(argument, words)
        merged = _merged(argument, words, content) if beside and content else None
        if content is None or (beside and merged is None):
            instead |= dict.fromkeys(found)
        elif merged is not None:
            # A second object would replace the one that is there.
            changed |= merged
            instead |= dict.fromkeys(found, "")
        else:
            whole = f"{argument}={json.dumps(content)}" if content else ""
            instead |= dict.fromkeys(found, "") | dict.fromkeys(found[:1], whole)
    return Joined(instead, changed)


def _merged(
    argument: str, words: Sequence[str], content: Mapping[str, object]
) -> dict[int, str] | None:
    """The line's own object with the content in it; None where it says that already."""
    place = next(i for i, word in enumerate(words) if _is_said(argument, [word]))
    name, equals, value = words[place].partition("=")
    if name.replace("_", "-") != argument or (not equals and place + 1 == len(words)):
        return None
    try:
        own: object = json.loads(value if equals else words[place + 1])
    except ValueError:
        return None
    if not isinstance(own, dict) or cast(dict[str, object], own).keys() & content.keys():
        return None
    whole = json.dumps({**cast(dict[str, object], own), **content})
    return {place: f"{name}={whole}"} if equals else {place + 1: whole}


def _speculation(said: Mapping[str, str], version: Version) -> dict[str, object] | None:
    """The object of --speculative-config; empty where the flags asked for no speculation."""
    content: dict[str, object] = {
        key: _number(said[flag]) if said[flag] else True
        for flag, key in _SPECULATION.items()
        if flag in said and knows_key("SpeculativeConfig", key, version)
    }
    if not content.keys() & {"model", "num_speculative_tokens"}:
        return {}
    if content.get("model") == _NGRAM:
        del content["model"]
        return {"method": "ngram", **content}
    return content


def _rope(
    said: Mapping[str, str], version: Version, own: OwnRope | None
) -> dict[str, object] | None:
    """The overrides of --rope-scaling and --rope-theta; None where they depend on the model."""
    theta = said.get("--rope-theta")
    base = _number(theta) if theta else None
    if isinstance(base, str):
        return None
    if "--rope-scaling" not in said:
        return rope_overrides(version, own, theta=base)
    try:
        scaling: object = json.loads(said["--rope-scaling"])
    except ValueError:
        return None
    if not isinstance(scaling, dict) or not scaling.keys() & {"rope_type", "type"}:
        return None
    return rope_overrides(version, own, scaling=cast(dict[str, object], scaling), theta=base)


def _is_said(argument: str, words: Iterable[str]) -> bool:
    """Whether the line has the argument already, in whatever spelling."""
    return any(word.partition("=")[0].replace("_", "-").startswith(argument) for word in words)


def _number(text: str) -> int | float | str:
    """A value as JSON has it: a number where it is one."""
    for read in (int, float):
        try:
            return read(text)
        except ValueError:
            continue
    return text
