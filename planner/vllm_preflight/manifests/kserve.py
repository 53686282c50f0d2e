"""vLLM servers of KServe: InferenceService with its ServingRuntime, and LLMInferenceService."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from dataclasses import replace

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.manifests.accelerators import pod_gpus
from vllm_preflight.manifests.environment import container_environment
from vllm_preflight.manifests.groups import object_name
from vllm_preflight.manifests.nodes import (
    Fields,
    Items,
    Node,
    Text,
    at,
    fields_of,
    is_true,
    items_of,
    number_at,
    text_at,
)
from vllm_preflight.manifests.pods import Input, is_worker, serves, shared_memory
from vllm_preflight.manifests.releases import image_release
from vllm_preflight.manifests.servers import ManifestServer
from vllm_preflight.manifests.words import Values, flag, read_command, words_of

RUNTIMES = frozenset({"ServingRuntime", "ClusterServingRuntime"})
LLM_SERVICES = frozenset({"LLMInferenceService", "LLMInferenceServiceConfig"})
# Where KServe's storage initialiser puts the model.
_MOUNTED = "/mnt/models"
_MAIN = ("main", "kserve-container")


def read_llm_service(node: Node, known: Input) -> Iterator[ManifestServer]:
    """The server of an LLMInferenceService, and that of its prefill."""
    spec, name = at(node, "spec"), object_name(node)
    roles = [("decode" if at(spec, "prefill") else "", spec), ("prefill", at(spec, "prefill"))]
    for role, part in roles:
        if isinstance(part, Fields):
            server = _of_role(spec, part, known)
            if server is not None:
                yield replace(server, name=f"{name}/{role}" if role else name)


def _of_role(spec: Node, part: Fields, known: Input) -> ManifestServer | None:
    pod = at(part, "template")
    container = _main(pod) or Fields(part.line)
    parallel = at(part, "parallelism")
    if not isinstance(at(spec, "model"), Fields):
        return None
    model = _hub_model(text_at(spec, "model", "uri")) or text_at(spec, "model", "name")
    if model is None:
        return ManifestServer("", part.line, problem="spec.model has neither uri nor name.")
    values = container_environment([container], known.maps, known.given).values
    command, arguments = words_of(at(container, "command")), words_of(at(container, "args"))
    written = command or [model.moved("vllm"), model.moved("serve"), model]
    sizes = list[Text]() if command else list(_parallel(parallel))
    if items_of(at(spec, "model", "lora", "adapters")):
        sizes.append(model.moved("--enable-lora"))
    stored = [word.moved(word.replace(_MOUNTED, model)) for word in (*written, *sizes, *arguments)]
    words = stored
    words += _additional(container, values)
    image = text_at(container, "image")
    try:
        found = read_command(words, values, image=str(image) if image else None)
    except InvalidRequest as error:
        return ManifestServer("", part.line, image=image, problem=error.message)
    if found is None or is_worker(found):
        return None
    gpus = pod_gpus(items_of(at(pod, "containers")), pod)
    local = number_at(parallel, "dataLocal")
    data = number_at(parallel, "data") or local or 1
    has_workers = isinstance(at(part, "worker"), Fields)
    nodes = max(data // (local or data), 1)
    if has_workers and nodes == 1:
        nodes = number_at(parallel, "pipeline") or 1
    replicas = number_at(part, "replicas")
    return ManifestServer(
        "",
        model.line,
        command=found,
        sources=tuple(words),
        image=str(image) if image else None,
        release=image_release(image),
        gpus=gpus,
        nodes=nodes,
        replicas=1 if replicas is None else replicas,
        # The well-known configurations of KServe mount /dev/shm.
        shared_memory=replace(shared_memory(pod, container), known="volumes" in fields_of(pod)),
    )


def _main(pod: Node) -> Fields | None:
    containers = [c for c in items_of(at(pod, "containers")) if isinstance(c, Fields)]
    named = [c for c in containers if text_at(c, "name") in _MAIN]
    return next(iter(named or containers), None)


def _parallel(node: Node) -> Iterator[Text]:
    """The flags that KServe's configurations write for spec.parallelism."""
    for key, name in (
        ("tensor", "tensor-parallel-size"),
        ("pipeline", "pipeline-parallel-size"),
        ("data", "data-parallel-size"),
        ("dataLocal", "data-parallel-size-local"),
    ):
        value = text_at(node, key)
        if value is not None and value != "1":
            yield from flag(name, value, value)
    expert = text_at(node, "expert")
    if expert is not None and is_true(expert):
        yield expert.moved("--enable-expert-parallel")


def _additional(container: Fields, values: Values) -> list[Text]:
    """The words of VLLM_ADDITIONAL_ARGS, which KServe's command ends with."""
    entries = (e for e in items_of(at(container, "env")) if text_at(e, "name") is not None)
    place = next((e for e in entries if text_at(e, "name") == "VLLM_ADDITIONAL_ARGS"), None)
    text = values.get("VLLM_ADDITIONAL_ARGS")
    if place is None or text is None:
        return []
    written = text_at(place, "value") or Text.at("", container.line)
    try:
        return [written.moved(word) for word in shlex.split(text)]
    except ValueError:
        raise InvalidRequest("The quotes of VLLM_ADDITIONAL_ARGS do not match.") from None


def read_service(node: Node, objects: Iterable[Node], known: Input) -> ManifestServer | None:
    """The server of an InferenceService's `model`, with its runtime where that is given."""
    predictor = at(node, "spec", "predictor")
    model = at(predictor, "model")
    if not isinstance(model, Fields):
        return None
    runtime = _runtime(text_at(model, "runtime"), objects)
    kind = str(text_at(model, "modelFormat", "name") or "").lower()
    if runtime is None and kind not in {"vllm", "huggingface"}:
        return None
    container = _main(at(runtime, "spec")) or Fields(model.line)
    stored = text_at(model, "storageUri")
    hub = _hub_model(stored)
    base = [*words_of(at(container, "command")), *words_of(at(container, "args"))]
    start = Text.at("", model.line)
    if not base and kind == "huggingface":
        base = [start.moved(word) for word in ("python3", "-m", "huggingfaceserver")]
    words = [*base, *words_of(at(model, "args")), *_worker_sizes(at(predictor, "workerSpec"))]
    own = not words_of(at(container, "command")) and kind != "huggingface"
    if not base:
        words = [start.moved("vllm"), start.moved("serve"), *words]
    words = _with_stored(words, hub or stored)
    image = text_at(model, "image") or text_at(container, "image")
    values = container_environment([container, model], known.maps, known.given).values
    try:
        command = read_command(
            words, values, image=image, own_entry=own and bool(base) and serves(image, words)
        )
    except InvalidRequest as error:
        return ManifestServer(object_name(node), model.line, problem=error.message)
    if command is None:
        return None
    pod = Fields(model.line)
    pod.update({**fields_of(at(runtime, "spec")), **fields_of(predictor)})
    replicas = number_at(predictor, "minReplicas")
    worker = at(predictor, "workerSpec")
    nodes = number_at(worker, "pipelineParallelSize") if isinstance(worker, Fields) else None
    return ManifestServer(
        object_name(node),
        model.line,
        command=command,
        sources=tuple(words),
        image=str(image) if image else None,
        release=image_release(image),
        gpus=pod_gpus([model, container], pod),
        nodes=nodes or 1,
        replicas=1 if replicas is None else max(replicas, 1),
        shared_memory=shared_memory(pod, container),
    )


def _runtime(name: str | None, objects: Iterable[Node]) -> Node:
    for node in objects:
        if text_at(node, "kind") in RUNTIMES and text_at(node, "metadata", "name") == name:
            return node
    return None


def _worker_sizes(node: Node) -> Iterator[Text]:
    for key, name in (
        ("pipelineParallelSize", "pipeline-parallel-size"),
        ("tensorParallelSize", "tensor-parallel-size"),
    ):
        value = text_at(node, key)
        if value is not None:
            yield from flag(name, value, value)


def _with_stored(words: list[Text], stored: Text | None) -> list[Text]:
    """The words with the stored model for its mounted folder, or named where nothing is."""
    if stored is None:
        return words
    changed = [word.moved(word.replace(_MOUNTED, stored)) for word in words]
    texts = [str(word) for word in changed]
    if any(text.partition("=")[0] in {"--model", "--model_id", "--model-id"} for text in texts):
        return changed
    if "serve" in texts[:-1] and not texts[texts.index("serve") + 1].startswith("-"):
        return changed
    flag_name = "--model_id" if "huggingfaceserver" in changed else "--model"
    return [*changed, stored.moved(flag_name), stored]


def _hub_model(uri: Text | None) -> Text | None:
    """The Hub's id of an hf:// address; None for other stores."""
    if uri is None or not uri.startswith("hf://"):
        return None
    return uri.moved(uri.removeprefix("hf://").partition(":")[0])


def runtime_alone(node: Node) -> ManifestServer | None:
    """A ServingRuntime without a service: what it lacks, said."""
    container = _main(at(node, "spec"))
    words = [*words_of(at(container, "command")), *words_of(at(container, "args"))]
    if not any("vllm" in word for word in words) or isinstance(at(node, "spec"), Items):
        return None
    return ManifestServer(
        object_name(node),
        getattr(container, "line", 1),
        problem="A serving runtime names no model of its own.",
        hint="Give the InferenceService that uses it in the same input.",
    )
