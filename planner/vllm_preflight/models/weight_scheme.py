"""What a quantisation scheme stores for a weight, and which weights it covers.

A scheme is the number format and its scales; a `Quantization` says which scheme each
module of a checkpoint has. How many bytes that takes on a given GPU is decided in
`memory.weight_layouts`.
"""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Literal

from vllm_preflight.base.cancellation import check_stop
from vllm_preflight.base.errors import UnsupportedArchitecture
from vllm_preflight.base.patterns import LONGEST_PATTERN, Pattern, compile_pattern

SchemeKind = Literal[
    "fp8_tensor",
    "fp8_channel",
    "fp8_block",
    "mxfp8",
    "int8_channel",
    "int_group",
    "mxfp4",
    "nvfp4",
    "bnb4",
    "bnb8",
]

# Wrappers in front of a module's path; checkpoints and vLLM place them differently.
_WRAPPERS = re.compile(r"^(?:(?:model|language_model|text_model|backbone|transformer)\.)+")
# One expert of a routed layer; vLLM asks for all of them under one name.
_EXPERT_INDEX = re.compile(r"\bexperts\.(?:\d+|\*)(?=\.|$)")
# The same block under other names: (as checkpoints write it, as the architecture does).
_ALIASES = (
    (re.compile(r"\b(?:block_sparse_moe|feed_forward|ffn)(?=\.|\*|$)"), "mlp"),
    (re.compile(r"\bshared_expert(?=\.|\*|$)"), "shared_experts"),
    (re.compile(r"(?<=\.)attn(?=\.|\*|$)"), "self_attn"),
    (re.compile(r"(?<=experts\.)(?:w1|gate_up_proj)(?=\.|$)"), "gate_proj"),
    (re.compile(r"(?<=experts\.)w2(?=\.|$)"), "down_proj"),
    (re.compile(r"(?<=experts\.)w3(?=\.|$)"), "up_proj"),
)
_ENCODER = re.compile("visual|vision|audio|encoder")
_SEPARATORS = re.compile(r"[.\\]+")
# A published checkpoint names some hundred patterns and, expert by expert, 70,000 paths.
_MOST_PATTERNS = 2_000
_MOST_RULES = 200_000
# A pattern is tried with each module that no path names.
_MOST_TRIES = 500_000
_LAYER_NUMBER = re.compile(r"layers\.\d")
_LABELS = {
    "fp8_tensor": "FP8 per tensor",
    "fp8_channel": "FP8 per channel",
    "mxfp8": "MXFP8",
    "int8_channel": "INT8 per channel",
    "mxfp4": "MXFP4",
    "nvfp4": "NVFP4",
    "bnb4": "4-bit NF4",
    "bnb8": "8-bit",
}


@dataclass(frozen=True, slots=True)
class WeightScheme:
    """How one quantised weight is stored.

    `bits` is the width of a stored number. `group_size` is how many inputs share a scale
    (0: a whole output row). `block` is the tile of a block-wise FP8 scale.
    `zero_points` says a group has an offset beside its scale; `act_order` that rows are
    reordered by activation (GPTQ's desc_act). `weight_only` keeps activations in 16 bit,
    whatever the GPU can do. `static_inputs` says that a layer stores a scale for them.
    """

    kind: SchemeKind
    bits: int = 8
    group_size: int = 0
    block: tuple[int, int] | None = None
    zero_points: bool = False
    act_order: bool = False
    weight_only: bool = False
    static_inputs: bool = False

    @property
    def label(self) -> str:
        """The scheme for people, such as "FP8 block 128x128" or "INT4 group 128"."""
        if self.kind == "fp8_block" and self.block:
            return f"FP8 block {self.block[0]}x{self.block[1]}"
        if self.kind == "int_group":
            groups = f"group {self.group_size}" if self.group_size else "per channel"
            return f"INT{self.bits} {groups}"
        return _LABELS[self.kind]


@dataclass(frozen=True)
class Quantization:
    """The schemes of a checkpoint, module by module.

    Attributes:
        method: vLLM's name ("fp8", "awq", "compressed-tensors"); "none" for 16/32 bit.
        default: the scheme of every linear layer and expert no rule names; None leaves
            them in the model's dtype.
        rules: (pattern, scheme or None) in order of precedence; None keeps 16 bit. A
            pattern is a module's path, a glob, or a regular expression after "re:".
        experts_only: whether `default` is for routed experts alone.
        quantizes_head: whether `default` covers the output projection too.
        kv_cache_dtype: what the checkpoint makes of `kv_cache_dtype=auto`, if anything.
        online: whether vLLM quantises 16-bit weights while loading them.
        label: the scheme for people.
    """

    method: str = "none"
    default: WeightScheme | None = None
    rules: tuple[tuple[str, WeightScheme | None], ...] = ()
    experts_only: bool = False
    quantizes_head: bool = False
    kv_cache_dtype: str | None = None
    online: bool = False
    label: str = field(default="none", compare=False)

    @property
    def depends_on_layer(self) -> bool:
        """Whether any rule names a layer by its number."""
        return self._depends_on_layer

    def scheme(
        self, path: str, *, fused: str = "", expert: bool = False, head: bool = False
    ) -> WeightScheme | None:
        """The scheme of the module at `path` ("model.layers.0.mlp.down_proj"), None for 16 bit.

        `fused` is the path of the module it is part of in checkpoints that store
        projections joined ("model.layers.0.self_attn.qkv_proj"). `expert` and `head` say
        that it is a routed expert or the output projection.
        """
        if self.default is None and not self.rules:
            return None
        for name in (path, fused) if fused else (path,):
            if name not in self._known:
                self._known[name] = self._rules.find(normal_path(name), name)
            found, scheme = self._known[name]
            if found:
                return scheme
        if head and not self.quantizes_head:
            return None
        return None if self.experts_only and not expert else self.default

    @cached_property
    def _known(self) -> dict[str, tuple[bool, WeightScheme | None]]:
        # The rules' answers so far; a launch asks for the same modules as the one before.
        return {}

    @cached_property
    def names_experts(self) -> bool:
        """Whether a rule gives routed experts a scheme of their own."""
        return any(
            scheme is not None and "experts" in pattern and "shared_expert" not in pattern
            for pattern, scheme in self.rules
        )

    @cached_property
    def encoder_scheme(self) -> WeightScheme | None:
        """The scheme of the linear layers of a vision or audio encoder, None for 16 bit.

        Checkpoints leave encoders in 16 bit. vLLM's FP8 compares the modules a
        checkpoint excludes one by one, so it quantises an encoder that is excluded as a
        whole ("model.vision_tower") or not at all (vLLM 0.33 quantization/fp8.py).
        """
        if self.method != "fp8" or any(_inside_encoder(rule) for rule, _ in self.rules):
            return None
        return self.default

    @cached_property
    def _depends_on_layer(self) -> bool:
        return any(
            _LAYER_NUMBER.search(pattern) or "layers\\." in pattern for pattern, _ in self.rules
        )

    @cached_property
    def _rules(self) -> _Rules:
        return _Rules(self.rules)


class _Rules:
    """Rules compiled for lookup: exact paths in a dictionary, the rest as expressions."""

    def __init__(self, rules: tuple[tuple[str, WeightScheme | None], ...]) -> None:
        self._paths: dict[str, WeightScheme | None] = {}
        self._expressions: list[tuple[Pattern, bool, WeightScheme | None]] = []
        self._tries = 0
        _check_number(len(rules), _MOST_RULES, "rules")
        for pattern, scheme in rules:
            check_stop()
            _check_number(len(self._expressions), _MOST_PATTERNS, "patterns")
            if pattern.startswith("re:"):
                self._expressions.append((_compiled(pattern), True, scheme))
                continue
            name = normal_path(pattern)
            if any(letter in name for letter in "*?["):
                _check_length(name)
                # A glob that names a block covers what is inside it.
                for glob in (name, f"{name}.*"):
                    expression = re.compile(fnmatch.translate(glob))
                    self._expressions.append((expression, False, scheme))
            else:
                self._paths.setdefault(name, scheme)

    def find(self, name: str, path: str) -> tuple[bool, WeightScheme | None]:
        """Whether a rule names the module, and the scheme it gives."""
        check_stop()
        parts = name.split(".")
        # The longest path wins: a rule for a projection beats one for its block.
        for end in range(len(parts), 0, -1):
            prefix = ".".join(parts[:end])
            if prefix in self._paths:
                return True, self._paths[prefix]
        for part in parts:
            if part in self._paths:
                return True, self._paths[part]
        self._tries += len(self._expressions)
        _check_number(self._tries, _MOST_TRIES, "tries of a pattern on a module")
        for expression, raw, scheme in self._expressions:
            if expression.match(path if raw else name):
                return True, scheme
        return False, None


def _compiled(pattern: str) -> Pattern:
    try:
        return compile_pattern(pattern[3:])
    except ValueError as error:
        raise _refused_rule(f"by {pattern[:60]!r}, which {error}") from error


def _check_length(pattern: str) -> None:
    if len(pattern) > LONGEST_PATTERN:
        raise _refused_rule(
            f"by {pattern[:60]!r}…, which is longer than {LONGEST_PATTERN} characters"
        )


def _check_number(count: int, most: int, what: str) -> None:
    if count > most:
        raise _refused_rule(f"by more than {most:,} {what}")


def _refused_rule(how: str) -> UnsupportedArchitecture:
    return UnsupportedArchitecture(
        f"The quantisation names modules {how}.",
        "Correct the quantization_config of the config.json.",
        keys=("quantization_config.ignore",),
    )


def _inside_encoder(rule: str) -> bool:
    """Whether a rule names modules inside an encoder, or all of them by a pattern."""
    first = _ENCODER.search(rule)
    if first is None:
        return False
    if "*" in rule[first.end() :]:
        return True
    blocks = _SEPARATORS.split(rule)
    return any(
        _is_encoder(block) and re.match(r"\w", inside) is not None
        for block, inside in pairwise(blocks)
    )


def _is_encoder(block: str) -> bool:
    """Whether a block of a path ("vision_tower", "re:.*visual") is an encoder's by its name."""
    name = re.split(r"\W+", block)[-1]
    return name.endswith(("visual", "encoder")) or "vision" in name or "audio" in name


def without_expert_number(path: str) -> str:
    """`path` with all routed experts under one name; regular expressions as they are."""
    if "experts." not in path or path.startswith("re:"):
        return path
    return _EXPERT_INDEX.sub("experts", path)


def normal_path(path: str) -> str:
    """A module's path without wrappers and expert numbers, blocks under common names."""
    name = _EXPERT_INDEX.sub("experts", _WRAPPERS.sub("", path))
    for pattern, replacement in _ALIASES:
        name = pattern.sub(replacement, name)
    return name
