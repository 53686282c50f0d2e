"""vLLM servers of Ray Serve's LLM applications, alone or in a RayService."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.manifests.accelerators import named_gpu, pod_gpus
from vllm_preflight.manifests.groups import object_name
from vllm_preflight.manifests.nodes import (
    Fields,
    Node,
    Text,
    at,
    digits,
    fields_of,
    items_of,
    number_at,
    read_nodes,
    text_at,
)
from vllm_preflight.manifests.pods import Input
from vllm_preflight.manifests.servers import Gpus, ManifestServer, SharedMemory
from vllm_preflight.manifests.settings import setting_words
from vllm_preflight.manifests.words import read_command

_BUILDERS = ("ray.serve.llm:", "ray.llm.")


def is_serve_config(node: Node) -> bool:
    """Whether a document is a Ray Serve config of its own."""
    applications = items_of(at(node, "applications"))
    return any("import_path" in fields_of(item) for item in applications)


def read_ray_service(node: Node, known: Input) -> Iterator[ManifestServer]:
    """The servers of serveConfigV2, on the pods of the cluster beside it."""
    text = text_at(node, "spec", "serveConfigV2")
    if text is None:
        return
    name, gpus, nodes = object_name(node), Gpus(), 0
    cluster = at(node, "spec", "rayClusterConfig")
    groups = [at(cluster, "headGroupSpec"), *items_of(at(cluster, "workerGroupSpecs"))]
    for group in groups:
        spec = at(group, "template", "spec")
        asked = pod_gpus(items_of(at(spec, "containers")), spec)
        if asked.count:
            gpus = gpus if gpus.count else asked
            nodes += number_at(group, "replicas") or 1
    try:
        inner = read_nodes(str(text))
    except InvalidRequest as error:
        yield ManifestServer(name, text.line, problem=f"serveConfigV2: {error.message}")
        return
    for server in (s for config in inner for s in read_serve_config(config, text, known)):
        own = server.gpus
        merged = Gpus(own.names or gpus.names, gpus.count or own.count, mig=gpus.mig)
        yield replace(
            server,
            name=f"{name}/{server.name}",
            gpus=merged,
            nodes=_nodes_needed(server, merged.count, nodes),
        )


def read_serve_config(node: Node, around: Text | None, known: Input) -> Iterator[ManifestServer]:
    """The servers of a serve config; `around` is the text of a file that it stands in."""
    for application in items_of(at(node, "applications")):
        path = str(text_at(application, "import_path") or "")
        name = str(text_at(application, "name") or "app")
        configs = items_of(at(application, "args", "llm_configs"))
        if not configs and isinstance(at(application, "args", "llm_config"), Fields):
            configs = [at(application, "args", "llm_config")]
        line = _line(around, getattr(application, "line", 1))
        if not path.startswith(_BUILDERS) or not configs:
            yield ManifestServer(
                name,
                line,
                problem=f"The application {path or name!r} is own code, which is not read.",
                hint="Give the vllm serve line that it amounts to, after --.",
            )
            continue
        for config in configs:
            if isinstance(config, Text):
                yield ManifestServer(
                    name, line, problem=f"The LLM config is in the file {config}, not given here."
                )
            elif isinstance(config, Fields):
                yield _of_config(config, around, known)


def _of_config(config: Fields, around: Text | None, known: Input) -> ManifestServer:
    loading = at(config, "model_loading_config")
    model_id = text_at(loading, "model_id")
    bucket = text_at(loading, "model_source", "bucket_uri")
    source = text_at(loading, "model_source") or bucket or model_id
    name = str(model_id or "model")
    line = _line(around, config.line)
    if source is None:
        return ManifestServer(name, line, problem="The LLM config names no model.")
    model = Text.at(str(source), _line(around, source.line))
    settings = fields_of(at(config, "engine_kwargs"))
    words = [model.moved("vllm"), model.moved("serve"), model]
    words += [Text.at(str(w), _line(around, w.line)) for w in setting_words(settings)]
    replicas = number_at(config, "deployment_config", "autoscaling_config", "min_replicas")
    replicas = replicas or number_at(config, "deployment_config", "num_replicas")
    accelerator = text_at(config, "accelerator_type")
    gpu = named_gpu(str(accelerator)) if accelerator else None
    return ManifestServer(
        name,
        model.line,
        command=read_command(words, known.given),
        sources=tuple(words),
        gpus=Gpus((gpu,) if gpu else ()),
        replicas=max(replicas or 1, 1),
        shared_memory=SharedMemory(known=False),
    )


def _line(around: Text | None, line: int) -> int:
    return line if around is None else around.line_of(line)


def _nodes_needed(server: ManifestServer, count: int | None, there: int) -> int:
    """Pods that one engine takes, of those there are."""
    words = [word.text for word in server.command.words] if server.command else []
    size = 1
    for flag in ("--tensor-parallel-size", "--pipeline-parallel-size"):
        if flag in words[:-1]:
            size *= digits(words[words.index(flag) + 1]) or 1
    needed = -(-size // count) if count else 1
    return max(1, min(needed, there) if there else needed)
