"""Whether a server's GPUs, nodes and shared memory are those that its words need."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace

from vllm_preflight.base.text import quoted
from vllm_preflight.contract.verdict import Verdict
from vllm_preflight.launch.arguments import ParsedCommand
from vllm_preflight.manifests.servers import ManifestServer

_FLAG_AND_VALUE = re.compile(r"--?[a-zA-Z][\w.-]*\s+\S")
_STOPPED = (
    "Its count of replicas is 0: nothing runs until it is scaled up. The answer is for the server "
    "that would run then."
)
_SIZES = ("tensor_parallel_size", "pipeline_parallel_size", "data_parallel_size")


def wanted_gpus(parsed: ParsedCommand) -> int:
    """GPUs that the parallel sizes need together."""
    wanted = 1
    for name in _SIZES:
        wanted *= int(parsed.fields.get(name) or 1)
    return wanted


def _sizes_text(parsed: ParsedCommand) -> str:
    short = dict(zip(_SIZES, ("TP", "PP", "DP"), strict=True))
    sizes = [f"{short[name]} {parsed.fields[name]}" for name in _SIZES if parsed.fields.get(name)]
    return " × ".join(sizes) or "TP 1"


def fitted(
    server: ManifestServer, parsed: ParsedCommand
) -> tuple[ManifestServer, list[str], Verdict | None]:
    """The server with its nodes settled, findings, and a refusal where GPUs do not add up."""
    findings = [_STOPPED] if not server.replicas else []
    joined = _joined_word(server)
    if joined:
        sentence = (
            f"refused: {quoted(joined)} is one word, in which vLLM sees no flag: its value "
            "has to be a word of its own, or to follow ="
        )
        verdict = Verdict(outcome="refused", sentence=sentence, start_probability=0.0)
        return server, findings, verdict
    count, wanted = server.gpus.count, wanted_gpus(parsed)
    if server.gpus.other is not None:
        sentence = f"not modelled: {server.gpus.other} is asked for, whose vLLM is not modelled"
        return server, findings, Verdict(outcome="not_modelled", sentence=sentence)
    if count is not None:
        there = server.total_gpus or count * server.nodes
        pods = count * server.replicas
        if wanted > there and server.pods_may_be_nodes and pods == wanted:
            server = replace(server, nodes=server.replicas, replicas=1)
            findings.append(f"Its {server.nodes} pods are taken for the nodes of one server.")
        elif wanted > there and _may_be_joined(server, parsed, wanted):
            server = replace(server, nodes=-(-wanted // count), total_gpus=wanted)
            findings.append(
                f"{_sizes_text(parsed)} needs {wanted} GPUs and this pod asks for {count}: the "
                "others have to be those of the pods that join it."
            )
        elif wanted > there:
            return server, findings, _too_few(server, parsed, count, there, wanted)
        elif server.gpus.mig is not None and wanted > 1:
            sentence = (
                f"refused: {_sizes_text(parsed)} needs {wanted} GPUs that reach each other, and "
                "MIG instances do not; run TP 1"
            )
            return server, findings, Verdict(outcome="refused", sentence=sentence)
        elif wanted < there:
            findings.append(f"Uses {wanted} of the {there} GPUs that it asks for.")
    findings += _of_shared_memory(server, parsed)
    return server, findings, None


def of_shared_card(server: ManifestServer, verdict: Verdict) -> Verdict:
    """The verdict where other pods use the card too, from that of a card of its own.

    What fails alone fails beside others; what starts alone depends on what they hold.
    """
    shared = server.gpus.shared
    if shared is None or verdict.outcome not in {"carries", "queues", "starts", "borderline"}:
        return verdict
    alone = "may or may not start" if verdict.outcome == "borderline" else "starts"
    several = ", and several of them may be one card" if (server.gpus.count or 1) > 1 else ""
    sentence = (
        f"not modelled: {quoted(shared)} is a share of a card that other pods use too{several}; "
        f"how much of its memory they hold is not known. With the card to itself it {alone}"
    )
    return Verdict(outcome="not_modelled", sentence=sentence)


def _joined_word(server: ManifestServer) -> str | None:
    """A word that holds a flag and its value, as lists of words often have by mistake."""
    words = server.command.words if server.command else ()
    return next((word.text for word in words if _FLAG_AND_VALUE.match(word.text)), None)


def _may_be_joined(server: ManifestServer, parsed: ParsedCommand, wanted: int) -> bool:
    """Whether pods beside the group may be nodes of the server too."""
    if server.total_gpus is not None:
        return False
    return parsed.spread or wanted <= server.object_gpus


def _too_few(
    server: ManifestServer, parsed: ParsedCommand, count: int, there: int, wanted: int
) -> Verdict:
    where = f"{count} × {server.nodes} nodes = {there}" if server.nodes > 1 else f"{there}"
    sentence = f"refused: {_sizes_text(parsed)} needs {wanted} GPUs, but {where} are asked for"
    return Verdict(outcome="refused", sentence=sentence, start_probability=0.0)


def _of_shared_memory(server: ManifestServer, parsed: ParsedCommand) -> Iterator[str]:
    size = int(parsed.fields.get("tensor_parallel_size") or 1)
    if size > 1 and server.shared_memory.is_default:
        yield (
            f"TP {size} exchanges data through /dev/shm, of which a container has 64 MiB: workers "
            "crash with 'No space left on device' or a bus error. Mount an emptyDir with medium "
            "Memory at /dev/shm, or set shm_size or ipc: host."
        )
