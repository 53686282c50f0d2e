"""Which GPU a pod asks for and how many: resources, selectors, affinity, instance types, MIG."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from vllm_preflight.base.errors import UnknownGpu
from vllm_preflight.hardware.mig import find_profile
from vllm_preflight.hardware.spoken import read_hardware_name
from vllm_preflight.manifests.nodes import (
    Fields,
    Node,
    Text,
    at,
    digits,
    fields_of,
    items_of,
    text_at,
)
from vllm_preflight.manifests.servers import Gpus

# Resources that count GPUs, without their product.
_COUNTED = frozenset({"nvidia.com/gpu", "nvidia.com/gpu.shared", "amd.com/gpu", "gpu"})
_OTHER = (
    ("google.com/tpu", "a TPU"),
    ("habana.ai/", "Intel Gaudi"),
    ("gpu.intel.com/", "an Intel GPU"),
    ("aws.amazon.com/neuron", "AWS Neuron"),
    ("huawei.com/", "Ascend"),
    ("cambricon.com/", "Cambricon"),
    ("metax-tech.com/", "MetaX"),
    ("hygon.com/", "Hygon DCU"),
)
# Turns and shares of cards that other pods use too.
_SHARED = re.compile(
    r"nvidia\.com/gpu\.shared|nvidia\.com/gpu(?:mem|cores)[\w.-]*|volcano\.sh/vgpu-[\w.-]*|"
    r"aliyun\.com/gpu-mem|tencent\.com/vcuda-[\w.-]*"
)
# Labels of nodes whose cards are shared out, with the values that say so.
_SHARING = (
    (re.compile(r"cloud\.google\.com/gke-gpu-sharing-strategy"), re.compile(r".+")),
    (re.compile(r"nvidia\.com/gpu\.sharing-strategy"), re.compile(r"(?!none$).+")),
    (re.compile(r"nvidia\.com/gpu\.product"), re.compile(r".*-SHARED")),
)
_MIG = re.compile(r"nvidia\.com/mig-(\d)g\.(\d{1,3})gb(?:\.\w+)?")
# Labels that name the GPU, the most exact first; patterns, since clouds add their own.
_LABELS = tuple(
    re.compile(pattern)
    for pattern in (
        r"(?:nvidia|amd)\.com/gpu\.product(?:-name)?",
        r"cloud\.google\.com/gke-(?:tpu-)?accelerator",
        r".*/(?:instance-gpu-name|gpu[-.]?(?:model|name|product|type|class)|model)",
        r".*gpu[-_.]?(?:product|model|name|type|class|sku).*",
        r".*accelerator.*",
        r"(?:.*/)?(?:instance-type|machine-type|instanceType)",
        r".*/(?:instance-family|sku-name|class)",
        r".*(?:gpu|sku|node[-_.]?pool|agentpool).*",
    )
)
_PARTITION = "cloud.google.com/gke-gpu-partition-size"
_PREFIX = re.compile(r"^(?:(?:nvidia|amd)-)?gpu-(?=[a-z]+\d|rtx|gh\d|gb\d)", re.IGNORECASE)


def named_gpu(text: str) -> str | None:
    """The name as the GPU catalogue reads it; None where it names no GPU.

    A name that leaves open which of several is kept, for its reader asks.
    """
    text = text.removesuffix("-SHARED")
    for candidate in (text, text.replace("_", "-"), _PREFIX.sub("", text)):
        candidate = re.sub(r"[-_ ]?NVLINK", "", candidate, flags=re.IGNORECASE)
        try:
            return read_hardware_name(candidate).gpu.name
        except UnknownGpu as error:
            if "leaves open" in error.message:
                return candidate
    return None


def pod_gpus(containers: Iterable[Node], pod: Node, more: Sequence[Node] = ()) -> Gpus:
    """What the containers of a pod ask for, and the GPU its placement names.

    `more` are further mappings with `resources`, such as a service around the pod.
    """
    count, mig, other, shared = 0, None, None, _shared_by(pod)
    named: list[str] = []
    for holder in (*containers, *more):
        for resource, amount in _resources(holder):
            if _SHARED.fullmatch(resource):
                shared = resource
            profile = _MIG.fullmatch(resource)
            if profile is not None:
                mig, count = f"{profile[1]}g.{profile[2]}gb", count + amount
            elif resource in _COUNTED:
                count += amount
            elif found := next((n for prefix, n in _OTHER if resource.startswith(prefix)), None):
                other, count = found, count + amount
            elif resource.startswith(("nvidia.com/", "amd.com/")):
                name = named_gpu(resource.partition("/")[2])
                if name is not None:
                    named.append(name)
                    count += amount
    names = tuple(dict.fromkeys(named)) or placed_on(pod)
    if mig is None and (size := text_at(pod, "nodeSelector", _PARTITION)):
        mig = str(size)
    return Gpus(_split(names, mig), count or None, mig=mig, other=other, shared=shared)


def _shared_by(pod: Node) -> str | None:
    """The label by which a pod asks for a node whose cards are shared out."""
    for key, values in _labels(pod):
        for label, value in _SHARING:
            if label.fullmatch(key) and any(value.fullmatch(text) for text in values):
                return f"{key}={','.join(values)}"
    return None


def _split(names: tuple[str, ...], mig: str | None) -> tuple[str, ...]:
    """The names under a MIG profile."""
    if mig is None:
        return names
    plain = [name for name in names if find_profile(name) is None]
    return tuple(f"{name} MIG {mig}" for name in plain) or names or (f"MIG {mig}",)


def with_mig(gpus: Gpus, mig: str) -> Gpus:
    """The same GPUs, divided by a MIG profile."""
    return replace(gpus, names=_split(gpus.names, mig), mig=mig)


def _resources(holder: Node) -> Iterator[tuple[str, int]]:
    """Accelerators of a container's limits, or of its requests where limits have none."""
    seen: set[str] = set()
    for part in ("limits", "requests"):
        resources = fields_of(at(holder, "resources", part))
        for name, amount in resources.items():
            if name == "custom":
                yield from _custom(amount, seen)
            else:
                yield from _counted(name, amount, seen)


def _custom(node: Node, seen: set[str]) -> Iterator[tuple[str, int]]:
    for name, amount in fields_of(node).items():
        yield from _counted(name, amount, seen)


def _counted(name: str, amount: Node, seen: set[str]) -> Iterator[tuple[str, int]]:
    count = digits(amount) if isinstance(amount, Text) else None
    if count is not None and name not in seen:
        seen.add(name)
        yield name, count


def placed_on(pod: Node) -> tuple[str, ...]:
    """The GPUs that a pod's node selector or required affinity names, as alternatives."""
    return gpus_of_labels(_labels(pod))


def _labels(pod: Node) -> list[tuple[str, list[str]]]:
    """The labels of nodes that a pod asks for, each with its alternatives."""
    selected: list[tuple[str, list[str]]] = [
        (key, [str(value)])
        for key, value in fields_of(at(pod, "nodeSelector")).items()
        if isinstance(value, Text)
    ]
    return [*selected, *_affinity(pod)]


def _affinity(pod: Node) -> Iterator[tuple[str, list[str]]]:
    required = at(pod, "affinity", "nodeAffinity", "requiredDuringSchedulingIgnoredDuringExecution")
    preferred = at(
        pod, "affinity", "nodeAffinity", "preferredDuringSchedulingIgnoredDuringExecution"
    )
    terms = items_of(at(required, "nodeSelectorTerms"))
    terms = terms or [at(item, "preference") for item in items_of(preferred)]
    merged: dict[str, list[str]] = {}
    for term in terms:
        for rule in items_of(at(term, "matchExpressions")):
            key, operator = text_at(rule, "key"), text_at(rule, "operator")
            if key is not None and operator == "In":
                values = [str(v) for v in items_of(at(rule, "values")) if isinstance(v, Text)]
                merged.setdefault(str(key), []).extend(values)
    yield from merged.items()


def gpus_of_labels(labels: Iterable[tuple[str, list[str]]]) -> tuple[str, ...]:
    """The GPUs of the most exact label that names any."""
    known = list(labels)
    for pattern in _LABELS:
        for key, values in known:
            if pattern.fullmatch(key):
                names = [name for value in values if (name := named_gpu(value)) is not None]
                if names:
                    return tuple(dict.fromkeys(names))
    return ()


def counted_gpu(text: str) -> tuple[str | None, int | None]:
    """A GPU with its count, as job files write it: "H100:8", "A100-80GB", "8"."""
    if (alone := digits(text)) is not None:
        return None, alone
    name, _, written = text.rpartition(":")
    if name and (count := digits(written)) is not None:
        return named_gpu(name), count
    try:
        found = read_hardware_name(text)
    except UnknownGpu:
        return named_gpu(text), None
    return found.gpu.name, found.gpus


def alternatives(node: Node) -> list[str]:
    """GPU names of a text, a list, or the keys of a mapping, as job files write them."""
    if isinstance(node, Text):
        return [part.strip() for part in str(node).split(",") if part.strip()]
    if isinstance(node, Fields):
        return [key if value is None else f"{key}:{value}" for key, value in node.items()]
    return [str(item) for item in items_of(node) if isinstance(item, Text)]
