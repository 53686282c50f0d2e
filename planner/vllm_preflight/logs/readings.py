"""Which words of a log carry which figure: one rule a line format of vLLM, V0 and V1.

Every pattern is anchored on both sides (words before, a unit or closing word after), so a
figure that was cut off is no figure.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

from vllm_preflight.logs.lines import Line
from vllm_preflight.logs.scrub import scrub
from vllm_preflight.logs.settings import read_config, read_mapping, read_namespace
from vllm_preflight.logs.startup_log import RankMemory

_N = r"(-?\d{1,6}(?:\.\d{1,6})?)"
_GIB = rf"{_N} ?Gi?B"
_INT = r"(\d[\d,]{0,15})"


@dataclass
class Readings:
    """Figures and settings of one start-up while its lines are read."""

    ranks: dict[str, RankMemory] = field(default_factory=dict[str, RankMemory])
    scalars: dict[str, Any] = field(default_factory=dict[str, Any])
    arguments: dict[str, Any] = field(default_factory=dict[str, Any])
    config: dict[str, str] = field(default_factory=dict[str, str])

    def rank(self, line: Line) -> RankMemory:
        """The worker that wrote a line, under the best name it printed."""
        memory = self.ranks.setdefault(line.key, RankMemory(line.process))
        # A worker is "Worker" first and "Worker_TP0" once it knows its place.
        if len(line.process) > len(memory.rank):
            memory.rank = line.process
        return memory

    def keep_smallest(self, name: str, value: int) -> None:
        """Set a count, or lower it: the smallest rank decides."""
        self.scalars[name] = min(value, self.scalars.get(name, value))

    @property
    def has_memory(self) -> bool:
        """Whether any worker's memory was printed."""
        return bool(self.ranks)


Reader = Callable[[Readings, Line, re.Match[str]], None]


def _number(text: str) -> float:
    return float(text.replace(",", ""))


def _memory(*fields: str) -> Reader:
    """The groups of the match are these fields of the worker's memory."""

    def read(readings: Readings, line: Line, match: re.Match[str]) -> None:
        rank = readings.rank(line)
        for name, text in zip(fields, match.groups(), strict=True):
            value, known = _number(text), getattr(rank, name)
            # Summaries repeat a figure with fewer digits.
            if known is None or abs(known - value) > 0.0051:
                setattr(rank, name, value)

    return read


def _count(name: str) -> Reader:
    def read(readings: Readings, line: Line, match: re.Match[str]) -> None:
        readings.keep_smallest(name, int(_number(match[1])))

    return read


def _scalar(name: str, convert: Callable[[str], Any], *, first: bool = True) -> Reader:
    def read(readings: Readings, line: Line, match: re.Match[str]) -> None:
        # A text that ends in the middle of a word is no name.
        if not line.ended and match.end() == len(line.text):
            return
        if not (first and name in readings.scalars):
            readings.scalars[name] = convert(match[1])

    return read


def _fixed(name: str, value: Any) -> Reader:
    def read(readings: Readings, line: Line, match: re.Match[str]) -> None:
        readings.scalars[name] = value

    return read


def _concurrency(readings: Readings, line: Line, match: re.Match[str]) -> None:
    value = float(match[2])
    if value <= readings.scalars.get("max_concurrency", value):
        readings.scalars["max_concurrency"] = value
        readings.scalars["max_concurrency_at"] = int(_number(match[1]))


def _shares(readings: Readings, line: Line, match: re.Match[str]) -> None:
    """The share that was given and the one that is the same without the graphs' estimate."""
    given, equivalent = float(match[1]), float(match[2])
    readings.scalars["graph_share"] = round(given - equivalent, 8)
    readings.scalars["given_share"] = given


def _peak(readings: Readings, line: Line, match: re.Match[str]) -> None:
    """0.6.2 to 0.6.4 print the peak with the weights in it."""
    rank = readings.rank(line)
    rank.total_gib, rank.non_torch_gib = _number(match[1]), _number(match[3])
    rank.available_kv_gib = _number(match[4])
    if rank.weights_gib is not None:
        rank.activation_peak_gib = round(_number(match[2]) - rank.weights_gib, 4)
    rank.requested_gib = round(rank.total_gib * _number(match[5]), 4)


def _engine(readings: Readings, line: Line, match: re.Match[str]) -> None:
    readings.scalars.setdefault("version", match[2])
    known: Literal["V0", "V1"] | None = None
    if match[1]:
        known = "V1" if match[1].strip() == "V1" else "V0"
    elif re.match(r"0\.[0-7]\.", match[2]):
        # Before the V1 engine had a name the line just said "an LLM engine".
        known = "V0"
    if known:
        readings.scalars["engine"] = known
    config = read_config(line.text[match.end() :])
    readings.config.update(config)
    if config.get("model"):
        readings.scalars["model"] = config["model"]
    if config.get("max_seq_len", "").isdigit():
        readings.scalars["max_model_len"] = int(config["max_seq_len"])


def _arguments(readings: Readings, line: Line, match: re.Match[str]) -> None:
    rest = line.text[match.end() :]
    read = read_namespace if rest.lstrip().startswith("Namespace(") else read_mapping
    readings.arguments.update(read(rest))


def _blocks(readings: Readings, line: Line, match: re.Match[str]) -> None:
    readings.keep_smallest("num_gpu_blocks", int(_number(match[1])))
    readings.scalars.setdefault("engine", "V0")


def _gpu(readings: Readings, line: Line, match: re.Match[str]) -> None:
    name = scrub(match[1].replace("_", " ").strip(), 60)
    readings.scalars.setdefault("gpu_name", name)


def _backend_name(printed: str) -> str:
    """The name as an argument takes it: "Flash Attention" is FLASH_ATTN."""
    name = printed.upper().replace(" ", "_")
    return {"FLASH_ATTENTION": "FLASH_ATTN", "FLASHATTENTION": "FLASH_ATTN"}.get(name, name)


def _rule(words: str, pattern: str, reader: Reader) -> tuple[str, re.Pattern[str], Reader]:
    return words, re.compile(pattern), reader


_BACKEND = (
    r"Using (?:AttentionBackendEnum\.|_Backend\.)?(\w[\w ]{1,40}?) "
    r"(?:attention )?backend(?:\.| out of| on V1)"
)
_PRINTED_VERSION = r"(\d+\.\d+\.\d+[\w.+\-]{0,40})"

# (words that must be in the line, pattern, what to do with it), in no particular order.
RULES: tuple[tuple[str, re.Pattern[str], Reader], ...] = (
    # Who is running.
    _rule("API server version", rf"API server version v?{_PRINTED_VERSION}(?=[\s)\"]|$)",
          _scalar("version", str, first=False)),
    _rule(" version 0.", rf"[▀▄█] {{1,4}}version {_PRINTED_VERSION}(?=\s|$)",
          _scalar("version", str, first=False)),
    _rule(" model   ", r"[▀▄█] {1,4}model {2,4}(\S{1,300})(?=\s|$)",
          _scalar("model", lambda text: scrub(text, 200), first=False)),
    _rule("LLM engine (v",
          r"Initializing an? (V[01] )?LLM engine \(v([^)\s]{1,80})\) with config: ", _engine),
    _rule("non-default args: ", r"non-default args: ", _arguments),
    _rule("args: Namespace(", r"args: (?=Namespace\()", _arguments),
    # What vLLM resolved.
    _rule("Resolved architecture", r"Resolved architecture: (\w{1,100})(?=\s|$)",
          _scalar("architecture", str)),
    _rule("max model len", r"Using max model len (\d{1,12})(?=\s|$)",
          _scalar("max_model_len", int)),
    _rule("max_num_batched_tokens", r"max_num_batched_tokens(?:=| to )(\d{1,12})(?=[\s.,;)]|$)",
          _scalar("max_num_batched_tokens", int, first=False)),
    _rule("Defaulting max_num_seqs", r"Defaulting max_num_seqs to (\d{1,9})(?=\s)",
          _scalar("max_num_seqs", int)),
    _rule(" backend", _BACKEND,
          _scalar("attention_backend", _backend_name)),
    _rule("attention block size to", rf"attention block size to {_INT} tokens",
          _scalar("block_size", lambda text: int(_number(text)), first=False)),
    _rule("uto-fit max_model_len", rf"uto-fit max_model_len\D{{1,40}}{_INT}\D{{1,20}}?to {_INT}\b",
          lambda readings, line, match: readings.scalars.update(
              max_model_len=int(_number(match[2])))),
    # Which GPU.
    _rule("device_name=", r"device_name=(NVIDIA_\w{2,60}|AMD_\w{2,60}|Tesla_\w{2,20})", _gpu),
    _rule("GPU 0: ", r"GPU 0: ((?:NVIDIA|Tesla|AMD) [\w .\-]{2,50}?)(?= \(UUID|$)", _gpu),
    _rule("|   0  ", r"\|   0  ((?:NVIDIA|Tesla|Quadro) [\w .\-]{2,40}?) {1,40}(?:On|Off) ", _gpu),
    _rule("world_size=", r"\bworld_size=(\d{1,4}) rank=", _scalar("gpu_count", int)),
    # V0: memory.
    _rule("oading model weights took", rf"oading model weights took {_GIB}",
          _memory("weights_gib")),
    _rule("Memory profiling results",
          rf"total_gpu_memory={_GIB}.{{1,80}}peak_torch_memory={_GIB}.{{1,80}}"
          rf"non_torch_memory={_GIB} kv_cache_size={_GIB} gpu_memory_utilization={_N}", _peak),
    _rule("total_gpu_memory (", rf"total_gpu_memory \({_GIB}\).{{1,60}}= {_GIB}",
          _memory("total_gib", "requested_gib")),
    _rule("model weights take",
          rf"model weights take {_GIB}; non_torch_memory takes {_GIB}; PyTorch activation peak "
          rf"memory takes {_GIB}; the rest of the memory reserved for KV Cache is {_GIB}",
          _memory("weights_gib", "non_torch_gib", "activation_peak_gib", "available_kv_gib")),
    _rule(" blocks: ", rf"# \w{{2,8}} blocks: {_INT}, # CPU blocks", _blocks),
    # V1: memory.
    _rule("Model loading took", rf"Model loading took {_GIB}", _memory("weights_gib")),
    _rule("init memory snapshot", rf"free_memory={_GIB}, total_memory={_GIB}",
          _memory("free_gib_at_start", "total_gib")),
    _rule("requested memory: ", rf"worker requested memory: {_GIB}", _memory("requested_gib")),
    _rule("Requested memory: ",
          rf"Initial free memory: {_GIB}; Requested memory: .{{1,40}}, {_GIB}",
          _memory("free_gib_at_start", "requested_gib")),
    _rule("requested GPU memory: ", rf"requested GPU memory: {_GIB}", _memory("requested_gib")),
    _rule("Total non KV cache memory", rf"Total non KV cache memory: {_GIB}",
          _memory("non_kv_gib")),
    _rule("torch peak memory increase", rf"torch peak memory increase: {_GIB}",
          _memory("activation_peak_gib")),
    _rule("non-torch forward increase memory", rf"non-torch forward increase memory: {_GIB}",
          _memory("non_torch_gib")),
    _rule("weights memory: ", rf"; weights memory: {_GIB}", _memory("weights_gib")),
    _rule("Available KV cache memory", rf"Available KV cache memory: {_GIB}",
          _memory("available_kv_gib")),
    _rule("memory for KV Cache", rf"eserved {_GIB} memory for KV Cache",
          _memory("available_kv_gib")),
    _rule("Estimated CUDA graph memory", rf"Estimated CUDA graph memory: {_GIB} total",
          _memory("cuda_graph_estimated_gib")),
    _rule("CUDA graph pool memory",
          rf"CUDA graph pool memory: {_GIB} \(actual\), {_GIB} \(estimated\)",
          _memory("cuda_graph_gib", "cuda_graph_estimated_gib")),
    _rule("Graph capturing finished", rf"Graph capturing finished in .{{1,20}}, took {_GIB}",
          _memory("cuda_graph_gib")),
    _rule("without CUDA graph memory profiling", r"is equivalent to",
          _fixed("cuda_graph_charged", True)),
    _rule("without CUDA graph memory profiling",
          r"-utilization=(\d\.\d{1,8}) is equivalent to "
          r"--gpu-memory-utilization=(-?\d\.\d{1,8})",
          _shares),
    _rule("total consumed (from mem_get_info)",
          rf"total consumed \(from mem_get_info\): {_GIB}", _memory("consumed_gib")),
    _rule("CUDA graph memory profiling will be enabled", r"by default",
          _fixed("cuda_graph_charged", False)),
    # V1: the summary after warm-up.
    _rule("Free memory on device",
          rf"\({_N}/{_N} GiB\) on startup\. Desired GPU memory utilization is "
          rf"\(\d(?:\.\d{{1,8}})?, {_GIB}\)",
          _memory("free_gib_at_start", "total_gib", "requested_gib")),
    _rule("Actual usage is", rf"Actual usage is {_GIB} for weight", _memory("weights_gib")),
    _rule("for peak activation", rf"{_GIB} for peak activation", _memory("activation_peak_gib")),
    _rule("for non-torch memory", rf"{_GIB} for non-torch memory", _memory("non_torch_gib")),
    _rule("for consumed memory", rf"{_GIB} for consumed memory", _memory("consumed_gib")),
    _rule("for CUDAGraph memory", rf"{_GIB} for CUDAGraph memory", _memory("cuda_graph_gib")),
    _rule("kv cache memory in use is", rf"kv cache memory in use is {_GIB}",
          _memory("available_kv_gib")),
    # The cache.
    _rule("KV cache size: ", rf"KV cache size: {_INT} tokens", _count("kv_cache_tokens")),
    _rule("num_gpu_blocks is: ", rf"num_gpu_blocks is: {_INT}(?=\s|$)", _count("num_gpu_blocks")),
    _rule("Maximum concurrency for", rf"Maximum concurrency for {_INT} tokens per request: "
          r"(\d{1,9}(?:\.\d{1,4})?)x", _concurrency),
)  # fmt: skip
WORDS = tuple(dict.fromkeys(words for words, _, _ in RULES))


def read_line(readings: Readings, line: Line) -> None:
    """Take every figure and setting that one line holds."""
    for words, pattern, reader in RULES:
        if words in line.text:
            match = pattern.search(line.text)
            if match:
                reader(readings, line, match)
