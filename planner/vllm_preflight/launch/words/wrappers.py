"""Programs that hand their arguments on to vLLM's engine: other projects' servers, run-batch.

What is their own is taken out of the words, so that vLLM's parser reads the rest. Sources:
Dynamo components/src/dynamo/vllm/backend_args.py and common/configuration/groups/runtime_args.py;
KServe python/huggingfaceserver and python/kserve (model_server.py); vLLM 0.33
entrypoints/launchers/run_batch.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from vllm_preflight.launch.words.expand import Expanded


@dataclass(frozen=True)
class Wrapper:
    """A program's own flags: without a value, with one, with many; those under another name.

    `short` are letters that stand for a flag, a value right behind them or after them.
    """

    switches: frozenset[str]
    valued: frozenset[str]
    many: frozenset[str] = frozenset()
    renamed: Mapping[str, str] = field(default_factory=dict[str, str])
    own: re.Pattern[str] | None = None
    short: Mapping[str, str] = field(default_factory=dict[str, str])


_DYNAMO = Wrapper(
    switches=frozenset(
        {
            *("is-prefill-worker", "is-decode-worker", "use-vllm-tokenizer", "route-to-encoder"),
            *("multimodal-encode-worker", "multimodal-worker", "multimodal-decode-worker"),
            *("multimodal-processor", "multimodal-encode-prefill-worker", "enable-multimodal"),
            *("frontend-decoding", "embedding-worker", "enable-local-indexer", "durable-kv-events"),
            *("fpm-trace", "exclude-tools-when-tool-choice-none", "tcp-tls-insecure"),
            *("multimodal-embedding-cache-publisher", "nats-tls-insecure", "enable-rl"),
        }
    ),
    valued=frozenset(
        {
            *("namespace", "endpoint", "kv-state-endpoint", "discovery-backend", "request-plane"),
            *("response-plane", "event-plane", "store-kv", "migration-limit", "endpoint-types"),
            *("custom-jinja-template", "dump-config-to", "sleep-mode-level", "mm-prompt-template"),
            *("model-express-url", "media-output-fs-url", "media-output-http-url"),
            *("health-check-payload", "engine-request-limit", "disaggregation-mode"),
            *("multimodal-embedding-cache-capacity-gb", "stage-configs-path", "benchmark-mode"),
            *("tcp-tls-cert-path", "tcp-tls-key-path", "tcp-tls-ca-cert-path"),
            *("extra-engine-args", "model-path"),
        }
    ),
    many=frozenset({"connector", "output-modalities"}),
    own=re.compile(r"(?:no-)?dyn-.*|benchmark-.*|(?:tcp|nats)-tls-.*"),
)
_HUGGINGFACE = Wrapper(
    switches=frozenset(
        {
            *("disable-lower-case", "disable-special-tokens", "return-token-type-ids"),
            *("return-probabilities", "enable-grpc", "enable-docs-url", "enable-latency-logging"),
            *("predictor-use-ssl", "return-raw-logits"),
        }
    ),
    valued=frozenset(
        {
            *("model-name", "model-dir", "http-port", "grpc-port", "workers", "backend", "task"),
            *("max-threadpool-workers", "max-asyncio-workers", "log-config-file", "max-length"),
            *("access-log-format", "predictor-host", "predictor-protocol", "tensor-input-names"),
            *("configure-logging", "predictor-request-timeout-seconds", "padding-side"),
            *("grpc-max-send-message-length", "grpc-max-receive-message-length"),
        }
    ),
    renamed={"model-id": "--model", "model-revision": "--revision"},
)
_RUN_BATCH = Wrapper(
    switches=frozenset({"enable-metrics"}),
    valued=frozenset(
        {
            *("input-file", "output-file", "output-tmp-dir", "max-inflight"),
            *("response-role", "max-log-len", "url", "host", "port"),
        }
    ),
    short={"-i": "--input-file", "-o": "--output-file"},
)
RUN_BATCH = "run-batch"
BATCH_MODULES = frozenset(
    {"vllm.entrypoints.openai.run_batch", "vllm.entrypoints.launchers.run_batch"}
)
MODULES: Mapping[str, Wrapper] = {
    "dynamo.vllm": _DYNAMO,
    "huggingfaceserver": _HUGGINGFACE,
    RUN_BATCH: _RUN_BATCH,
    **dict.fromkeys(BATCH_MODULES, _RUN_BATCH),
}


def engine_words(module: str, words: Sequence[Expanded]) -> tuple[Expanded, ...]:
    """The words that reach vLLM's engine; all of them for vLLM's own server modules."""
    wrapper = MODULES.get(module)
    if wrapper is None:
        return tuple(words)
    kept: list[Expanded] = []
    index = 0
    while index < len(words):
        word = words[index]
        index += 1
        name, equals, value = word.text.partition("=")
        if word.text[:2] in wrapper.short:
            equals, name = word.text[2:], wrapper.short[word.text[:2]]
        key = name.removeprefix("--").replace("_", "-") if name.startswith("--") else ""
        if key in wrapper.renamed:
            text = wrapper.renamed[key] + (f"={value}" if equals else "")
            kept.append(Expanded(text, word.missing))
        elif key and (key in wrapper.switches or key.removeprefix("no-") in wrapper.switches):
            continue
        elif key and (key in wrapper.valued or (wrapper.own and wrapper.own.fullmatch(key))):
            if not equals and index < len(words) and not words[index].text.startswith("--"):
                index += 1
        elif key in wrapper.many:
            while index < len(words) and not words[index].text.startswith("-"):
                index += 1
        else:
            kept.append(word)
    return tuple(kept)
