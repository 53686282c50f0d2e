"""What kind of failure a line of a log tells of.

The sentences are vLLM's, V0 and V1; torch's out-of-memory error gets its kind from where
it happened, which its stack frames tell. A kind is only given on such evidence.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from vllm_preflight.logs.causes import Cause
from vllm_preflight.logs.scrub import scrub
from vllm_preflight.logs.startup_log import FailureKind, LogFailure

_GIB = r"(-?\d{1,6}(?:\.\d{1,6})?) ?Gi?B"
_INT = r"(\d[\d,]{0,15})"

# Stack frames by phase. Profiling comes first: its stack also holds frames of capturing.
FRAMES: tuple[tuple[str, tuple[str, ...]], ...] = (
    (
        "profiling",
        (
            ", in determine_available_memory",
            ", in determine_num_available_blocks",
            ", in profile_run",
            ", in profile_cudagraph_memory",
        ),
    ),
    (
        "after sizing",
        (
            ", in compile_or_warm_up_model",
            ", in initialize_from_config",
            ", in initialize_kv_cache",
            ", in initialize_cache",
            ", in _warm_up_model",
            ", in capture_model",
        ),
    ),
    ("loading", (", in load_model", ", in load_weights", ", in initialize_model")),
)
FRAME_WORDS = tuple(word for _, words in FRAMES for word in words)

# Lines of progress, and the phase that begins with them.
_PROGRESS = (
    ("Starting to load model", "loading"),
    ("Model loading took", "profiling"),
    ("oading model weights took", "profiling"),
    ("Available KV cache memory", "after sizing"),
    ("KV cache size: ", "after sizing"),
    (" blocks: ", "after sizing"),
)
PROGRESS_WORDS = tuple(words for words, _ in _PROGRESS)
# As a prediction names them: what leaves no room for the profiling run does not fit.
_PHASE_KINDS: dict[str, FailureKind] = {
    "loading": "weights_do_not_fit",
    "profiling": "weights_do_not_fit",
    "after sizing": "out_of_memory_after_sizing",
    "serving": "out_of_memory_after_sizing",
}

# Lines after which the process is over, whatever else the log says.
FATAL = (
    "EngineCore failed to start",
    "EngineCore hit an exception",
    "EngineCore encountered a fatal error",
    "Engine core initialization failed",
    "Engine process failed to start",
    "WorkerProc failed to start",
    "WorkerProc hit an exception",
    "WorkerProc initialization failed",
    "Error executing method",
    "Application startup failed. Exiting",
)
SENTENCES = (
    "on startup is less than desired GPU memory utilization",
    "No available memory for the cache blocks",
    "KV cache is needed, which is larger than",
    "is larger than the maximum number of tokens that can be stored in",
    "Cannot auto-fit max_model_len",
    "exceeds available Mamba cache blocks",
    "out of memory",
    "on startup is less than desired CPU memory utilization",
)
USAGE_ERROR = re.compile(
    r"(?:^|\s)(?:vllm(?: \w{1,20})?|api_server\.py|__main__\.py|\w{1,40}\.py): error: (.{1,400})"
)
_MOST_FOUND = 1_000
_KILLED = re.compile(r"\bOOMKilled\b|\bexit(?:ed)?(?: with)?(?: \w{1,10})? code:? 137\b|^Killed$")
_EXCEPTION = re.compile(
    r"(?:[A-Za-z_]\w{0,60}\.){0,8}([A-Z]\w{0,60}(?:Error|Exception)|Exception)(?:: (.*))?\Z", re.S
)
# Errors that follow from another one's, or only announce it.
_CONSEQUENCE = re.compile(
    r"\b(?:BrokenPipeError|EOFError|ConnectionResetError|ConnectionRefusedError|CancelledError"
    r"|EngineDeadError|ProcessLookupError|DistBackendError)\b|core initialization failed"
    r"|WorkerProc initialization failed|process failed to start|See stack trace for root cause"
    r"|RayTaskError|\bvalidation errors? for\b"
)
_INVALID = re.compile(
    r"must be divisible|is not divisible by|is smaller than max_model_len|smaller than max_num_seqs"
    r"|is greater than the derived max_model_len|[Ww]orld size|local rank \d+ is out of bounds"
    r"|[Uu]nknown (?:quantization|attention)|unrecognized arguments"
    r"|must be (?:greater|less|positive|in|one of)|does not match the quantization"
)
# In the words of a setting that was refused; too common in other errors.
_INVALID_SETTING = re.compile(
    r"must be |should be |cannot be |[Ii]nvalid |max_num_batched_tokens|max_model_len"
)
_UNSUPPORTED = re.compile(
    r"(?:are|is) not supported|not supported anymore|does not recognize this architecture"
    r"|Unrecognized model in|No valid attention backend|only supported on GPUs with compute"
    r"|Minimum capability|[Nn]ot implemented|NotImplementedError|no kernel image is available"
    r"|has no vLLM implementation|Unsupported"
)


def is_exception(content: str) -> bool:
    """Whether a line is the last of a traceback: an error's name, and what it says."""
    return _EXCEPTION.match(content) is not None or is_interrupt(content)


def of_host_memory(content: str) -> bool:
    """Whether the kernel says that it killed a process for RAM, in words that torch has too."""
    return "out of memory" in content.lower() and "Killed process" in content


def is_interrupt(content: str) -> bool:
    """Whether a process was told to stop, which is no failure."""
    return content.startswith(("KeyboardInterrupt", "SystemExit", "asyncio.exceptions.Cancelled"))


@dataclass
class Failures:
    """Collects what a start-up's lines say of failure, and judges once all are read."""

    found: list[LogFailure] = field(default_factory=list[LogFailure])
    caused: LogFailure | None = None
    consequence: str = ""
    symptoms: dict[str, None] = field(default_factory=dict[str, None])
    fatal: str = ""
    frames: set[str] = field(default_factory=set[str])
    sized: bool = False
    serving: bool = False
    reached: str = ""

    def add_progress(self, text: str) -> None:
        """Note which phase a line of progress begins; what ran out of memory came after it."""
        for words, phase in _PROGRESS:
            if words in text and not self.found:
                self.reached = phase
                self.sized = self.sized or phase == "after sizing"

    def add_frame(self, text: str) -> None:
        """Note the phase of a stack frame."""
        self.frames |= {phase for phase, words in FRAMES if any(word in text for word in words)}

    def add_fatal(self, content: str) -> None:
        """Note a line after which the process is over."""
        self.fatal = self.fatal or scrub(content)

    def add_sentence(self, content: str) -> None:
        """Take in a line that says how memory ran short."""
        for words, reader in _READERS:
            if words in content:
                figures = reader(content)
                kind: FailureKind = _KINDS[words]
                self._add(kind, content, figures, "cpu_memory" if words == SENTENCES[7] else "")
                return

    def add_exception(self, content: str) -> None:
        """Take in the last line of a traceback."""
        if is_interrupt(content):
            return
        kind: FailureKind = "other"
        if _UNSUPPORTED.search(content):
            kind = "unsupported"
        elif _INVALID.search(content):
            kind = "invalid_arguments"
        self._add(kind, content)

    def add_value_error(self, content: str) -> None:
        """Take in the line of a validation error that says what is wrong."""
        # pydantic appends the whole input to its sentence.
        sentence = content.removeprefix("Value error, ").partition(" [type=")[0]
        kind: FailureKind = "other"
        if _UNSUPPORTED.search(sentence):
            kind = "unsupported"
        elif _INVALID.search(sentence) or _INVALID_SETTING.search(sentence):
            kind = "invalid_arguments"
        self._add(kind, sentence)

    def add_usage_error(self, message: str) -> None:
        """Take in argparse's last word; the process ends with it."""
        self.found.insert(0, LogFailure("invalid_arguments", scrub(message)))
        self.fatal = self.fatal or scrub(message)

    def _add(
        self,
        kind: FailureKind,
        sentence: str,
        figures: Mapping[str, float] | None = None,
        cause: str = "",
    ) -> None:
        # What explains a failure comes early, once for each worker.
        if len(self.found) < _MOST_FOUND:
            self.found.append(LogFailure(kind, scrub(sentence), figures=figures or {}, cause=cause))

    def add_cause(self, cause: Cause, content: str) -> None:
        """Take in a line of the catalogue of causes; the first cause explains the others."""
        if cause.role == "symptom":
            self.symptoms[cause.id] = None
        elif cause.role == "consequence":
            self.consequence = self.consequence or cause.id
        elif self.caused is None and not self._told():
            self.caused = LogFailure(
                cause.kind, scrub(content), certain=cause.certain, cause=cause.id
            )

    def _told(self) -> bool:
        """Whether a line before said what is wrong with the arguments or the model."""
        return any(
            item.kind in ("invalid_arguments", "unsupported")
            and not _CONSEQUENCE.search(item.message)
            for item in self.found
        )

    def survive(self) -> None:
        """Forget what failed before the server was up."""
        self.found.clear()
        self.caused, self.fatal, self.consequence = None, "", ""

    def add_kill(self, content: str) -> None:
        """Take in a line if it says that the process was killed."""
        if _KILLED.search(content):
            self.add_fatal("The process was killed from outside (exit code 137 or OOMKilled).")

    def judge(self) -> LogFailure | None:
        """The failure that explains the others, or None when nothing fatal is there."""
        memory = [item for item in self.found if item.kind in _MEMORY_KINDS]
        named = [item for item in memory if item.kind != "out_of_memory"]
        if named:
            return _fullest(named)
        if memory:
            return self._out_of_memory(memory[0])
        if self.caused is not None:
            return self.caused
        if not self.fatal:
            return None
        causes = [item for item in self.found if not _CONSEQUENCE.search(item.message)]
        told = [item for item in causes if item.kind != "other"]
        for choice in (told, causes):
            if choice:
                return choice[0]
        # Every failure ends in such lines; they say that it failed, and not why.
        if self.consequence or self.found:
            return None
        return LogFailure("other", self.fatal)

    def _out_of_memory(self, item: LogFailure) -> LogFailure:
        phase = next((name for name, _ in FRAMES if name in self.frames), "")
        if not phase and self.sized:
            phase = "after sizing"
        certain = bool(phase) or self.serving
        if self.serving:
            phase = "serving"
        if not phase:
            # Sampling is warmed up last; else the last phase that was begun is the likeliest.
            phase = "after sizing" if "sampler" in item.message else self.reached
        kind = _PHASE_KINDS.get(phase, "out_of_memory")
        return LogFailure(kind, item.message, phase, item.figures, certain)


def _fullest(items: list[LogFailure]) -> LogFailure:
    """The one with most figures: workers repeat a sentence, some cut short."""
    return max(items, key=lambda item: len(item.figures))


def _figures(**patterns: str) -> Callable[[str], dict[str, float]]:
    compiled = {name: re.compile(pattern) for name, pattern in patterns.items()}

    def read(content: str) -> dict[str, float]:
        figures: dict[str, float] = {}
        for name, pattern in compiled.items():
            found = pattern.search(content)
            if found:
                figures[name] = float(found[1].replace(",", ""))
        return figures

    return read


_AMOUNT = r"(\d{1,6}(?:\.\d{1,6})?) ([KMG])iB"
_ALLOCATION = {
    "tried_gib": re.compile(rf"Tried to allocate {_AMOUNT}"),
    "total_gib": re.compile(rf"total capacity of {_AMOUNT}"),
    "free_gib": re.compile(rf"of which {_AMOUNT} is free"),
}
_GIB_PER_UNIT = {"K": 1 / 1024**2, "M": 1 / 1024, "G": 1.0}
_DUMMIES = re.compile(rf"sampler with {_INT} dummy requests")


def _allocation(content: str) -> dict[str, float]:
    """Figures of torch's out-of-memory error, which come in any unit."""
    figures: dict[str, float] = {}
    for name, pattern in _ALLOCATION.items():
        found = pattern.search(content)
        if found:
            figures[name] = round(float(found[1]) * _GIB_PER_UNIT[found[2]], 4)
    dummies = _DUMMIES.search(content)
    if dummies:
        figures["max_num_seqs"] = float(dummies[1].replace(",", ""))
    return figures


_READERS = (
    (
        SENTENCES[0],
        _figures(
            free_gib=r"\((-?\d{1,6}(?:\.\d{1,6})?)/",
            total_gib=r"/(\d{1,6}(?:\.\d{1,6})?) GiB\)",
            utilization=r"utilization \((\d(?:\.\d{1,8})?),",
            requested_gib=rf"utilization \(\d(?:\.\d{{1,8}})?, {_GIB}\)",
        ),
    ),
    (SENTENCES[1], _figures()),
    (
        SENTENCES[2],
        _figures(
            max_model_len=rf"max seq len \({_INT}\)",
            kv_needed_gib=rf"{_GIB} KV cache is needed",
            available_kv_gib=rf"available KV cache memory \({_GIB}\)",
            estimated_max_model_len=rf"maximum model length is {_INT}\.",
        ),
    ),
    (
        SENTENCES[3],
        _figures(
            max_model_len=rf"max seq len \({_INT}\)",
            kv_cache_tokens=rf"stored in (?:the )?KV cache \({_INT}\)",
        ),
    ),
    (SENTENCES[4], _figures()),
    (
        SENTENCES[5],
        _figures(
            max_num_seqs=rf"max_num_seqs \({_INT}\)", mamba_blocks=rf"cache blocks \({_INT}\)"
        ),
    ),
    (
        SENTENCES[6],
        _allocation,
    ),
    (
        SENTENCES[7],
        _figures(
            free_gib=r"\((-?\d{1,6}(?:\.\d{1,6})?)/",
            total_gib=r"/(\d{1,6}(?:\.\d{1,6})?) GiB\)",
            utilization=r"utilization \((\d(?:\.\d{1,8})?)[,)]",
            requested_gib=rf"utilization \(\d(?:\.\d{{1,8}})?, {_GIB}\)",
        ),
    ),
)
_KINDS: dict[str, FailureKind] = {
    SENTENCES[0]: "free_memory_below_request",
    SENTENCES[1]: "no_kv_cache_memory",
    SENTENCES[2]: "kv_cache_too_small",
    SENTENCES[3]: "kv_cache_too_small",
    SENTENCES[4]: "kv_cache_too_small",
    SENTENCES[5]: "mamba_blocks_too_few",
    SENTENCES[6]: "out_of_memory",
    SENTENCES[7]: "free_memory_below_request",
}
_MEMORY_KINDS = frozenset(_KINDS.values())
