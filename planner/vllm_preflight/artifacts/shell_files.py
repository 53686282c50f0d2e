"""Files a shell or Docker reads: the serve script, its environment, `docker run`, the benchmark."""

from __future__ import annotations

import csv
import io
import shlex
from collections.abc import Sequence

from vllm_preflight.artifacts.deployment import PORT, Deployment

CACHE_IN_IMAGE = "/root/.cache/huggingface"
# What huggingface_hub itself would use (its HF_HOME), so that nothing is downloaded twice.
_CACHE_HERE = "${HF_HOME:-$HOME/.cache/huggingface}"
ENV_FILE = "vllm.env"
# The server asks nobody who they are; others on the network are let in by choice.
PUBLISHED = f"127.0.0.1:{PORT}:{PORT}"
FRESH_SEED = "$(date +%s)"
_TRUST = "--trust-remote-code"
# Each slot is used several times, so the figures are of a steady state.
_ROUNDS = 4
_FEWEST_PROMPTS = 32


def serve_script(deployment: Deployment) -> str:
    """A script that becomes `vllm serve` with the plan's arguments, and its caller's after them."""
    command = ["exec", "vllm", "serve", *deployment.serve_words()]
    return _script(deployment.summary, [*shell_lines(command), ' "$@"'])


def environment_file(deployment: Deployment) -> str:
    """Variables as `docker --env-file`, compose and systemd all read them: no quotes, no spaces."""
    needs = "is not needed for a local folder" if deployment.is_local else "gated models need it"
    return f"# Token for the Hugging Face Hub; {needs}.\nHF_TOKEN=\n"


def docker_words(deployment: Deployment, env_file: str, cache: str) -> list[str]:
    """`docker run` of the plan, as words; `cache` is the Hub's cache on the machine."""
    words = ["docker", "run", "--rm", "--name", deployment.name]
    words += ["--gpus", str(deployment.gpus), "--ipc", "host", "--publish", PUBLISHED]
    words += ["--env-file", env_file]
    words += ["--volume", f"{cache}:{CACHE_IN_IMAGE}"]
    if deployment.is_local:
        words += ["--mount", _mount("bind", deployment.model, deployment.model, "readonly")]
    # The image's own entry point changed between releases.
    words += ["--entrypoint", "vllm", deployment.image, "serve"]
    return [*words, *deployment.serve_words(port=PORT)]


def docker_script(deployment: Deployment) -> str:
    """A script that runs the plan with Docker in the foreground."""
    lines = [f'cd "$(dirname "$0")"\ncache={_CACHE_HERE}\nmkdir -p "$cache"\n']
    words = shell_lines(["exec", *docker_words(deployment, ENV_FILE, "$cache")])
    mount = f"$cache:{CACHE_IN_IMAGE}"
    place = words.index(f" {shlex.quote(mount)}")
    words[place] = f' "{mount}"'
    return _script(deployment.summary, [*lines, *words, ' "$@"'])


def bench_words(deployment: Deployment, base_url: str) -> list[str]:
    """`vllm bench serve` with the plan's workload, as words after `vllm`."""
    prompts = max(_FEWEST_PROMPTS, _ROUNDS * deployment.concurrency)
    words = ["bench", "serve", "--base-url", base_url, "--model", deployment.model]
    if name := served_name(deployment):
        words += ["--served-model-name", name]
    if tokenizer := deployment.arguments.get("tokenizer"):
        words += ["--tokenizer", tokenizer]
    if deployment.arguments.get("trust_remote_code") or _TRUST in deployment.extra:
        words += [_TRUST]
    words += ["--dataset-name", "random", "--ignore-eos"]
    words += ["--random-input-len", str(deployment.prompt_tokens)]
    words += ["--random-output-len", str(deployment.gen_tokens)]
    if deployment.request_rate is None:
        words += ["--max-concurrency", str(deployment.concurrency)]
    else:
        words += ["--request-rate", f"{deployment.request_rate:g}"]
    return [*words, "--num-prompts", str(prompts)]


def served_name(deployment: Deployment) -> str | None:
    """The first of --served-model-name's values, which requests are to name."""
    words = deployment.extra
    for place, word in enumerate(words):
        flag, equals, value = word.partition("=")
        if flag.replace("_", "-") == "--served-model-name":
            return value if equals else next(iter(words[place + 1 :]), None)
    return None


def bench_script(deployment: Deployment) -> str:
    """A script that sends the plan's workload and fails where the plan's promise is broken.

    The promise: a KV cache of at least the predicted blocks, and no request preempted
    for want of cache while the workload's requests are in flight.
    """
    base = f"http://127.0.0.1:{PORT}"
    lines = [
        f"base_url=${{1:-{base}}}\n",
        f"promised_blocks={deployment.kv_cache_blocks or 0}\n",
        "# Other prompts each time: those of an earlier run would be found in the prefix cache.\n",
        f"seed={FRESH_SEED}\n",
        "metrics() {\n",
        '  curl --fail --silent --show-error "$base_url/metrics"\n',
        "}\n",
        "preemptions() {\n",
        '  metrics | awk \'index($0, "vllm:num_preemptions_total") == 1 { n += $NF }\n',
        '    END { printf "%.0f\\n", n }\'\n',
        "}\n",
        "# Of several replicas the one with the fewest.\n",
        "blocks() {\n",
        "  metrics | grep '^vllm:cache_config_info' |\n",
        "    sed 's/.*num_gpu_blocks=\"\\([0-9]*\\)\".*/\\1/' | sort -n | head -n 1\n",
        "}\n",
        "before=$(preemptions)\n",
        *_benchmark_lines(deployment, base),
        "after=$(preemptions)\n",
        "found=$(blocks)\n",
        *_estimated_speed(deployment),
        'echo "KV cache: $found blocks, promised: $promised_blocks"\n',
        'echo "preemptions: $((after - before)), promised: 0"\n',
        '[ "$found" -ge "$promised_blocks" ] && [ "$after" -eq "$before" ]',
    ]
    return _script(deployment.summary, lines)


def _estimated_speed(deployment: Deployment) -> list[str]:
    """The speed to compare with; an estimate, so nothing hangs on it."""
    if deployment.output_tokens_per_s is None:
        return []
    low, high = deployment.output_tokens_per_s
    sentence = f"output tokens per second, estimated: {low:g} to {high:g} (80 %)"
    return [f"echo {shlex.quote(sentence)}\n"]


def _benchmark_lines(deployment: Deployment, base: str) -> list[str]:
    text = "".join(shell_lines(["vllm", *bench_words(deployment, base)]))
    seeded = text.replace(shlex.quote(base), '"$base_url"', 1) + ' \\\n  --seed "$seed"'
    return [seeded, "\n"]


def shell_lines(words: Sequence[str]) -> list[str]:
    """One command over several lines, a flag and its value on each; the last is left open."""
    lines: list[str] = []
    for word in words:
        separator = " \\\n  " if word.startswith("--") else " "
        lines.append((separator if lines else "") + shlex.quote(word))
    return lines


def comment(text: str) -> str:
    """`text` as comment lines of a shell, YAML or unit file."""
    flat = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return f"# {flat}\n"


def _script(summary: str, lines: Sequence[str]) -> str:
    head = f"#!/usr/bin/env bash\n{comment(summary)}set -euo pipefail\n"
    return head + "".join(lines) + "\n"


def _mount(kind: str, source: str, target: str, *flags: str) -> str:
    """Docker reads --mount as one record of CSV."""
    record = io.StringIO()
    fields = [f"type={kind}", f"source={source}", f"target={target}", *flags]
    csv.writer(record, lineterminator="").writerow(fields)
    return record.getvalue()
