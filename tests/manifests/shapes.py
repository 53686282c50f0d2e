"""Manifests made of one launch, a function a shape: what is put in has to be read back."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml


@dataclass(frozen=True)
class Wanted:
    """One launch, and what is around it."""

    model: str = "Qwen/Qwen3-8B"
    tensor: int = 1
    length: int = 8192
    seqs: int = 64
    share: float = 0.9
    gpu: str = "nvidia-l4"
    nodes: int = 1
    replicas: int = 1
    release: str = "0.19.0"
    equals: bool = False
    eager: bool = False

    @property
    def stages(self) -> int:
        return self.nodes

    def flags(self, *, model: bool = False) -> list[str]:
        pairs = {"--max-model-len": self.length, "--max-num-seqs": self.seqs}
        pairs |= {"--gpu-memory-utilization": self.share}
        named: dict[str, Any] = {"--model": self.model} if model else {}
        named |= {"--tensor-parallel-size": self.tensor} if self.tensor > 1 else {}
        named |= {"--pipeline-parallel-size": self.stages} if self.stages > 1 else {}
        words: list[str] = []
        for name, value in (named | pairs).items():
            words += [f"{name}={value}"] if self.equals else [name, str(value)]
        return [*words, *(["--enforce-eager"] if self.eager else [])]

    @property
    def settings(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "max_model_len": self.length,
            "max_num_seqs": self.seqs,
            "gpu_memory_utilization": self.share,
        }
        found |= {"tensor_parallel_size": self.tensor} if self.tensor > 1 else {}
        found |= {"pipeline_parallel_size": self.stages} if self.stages > 1 else {}
        return found | ({"enforce_eager": True} if self.eager else {})

    @property
    def image(self) -> str:
        return f"vllm/vllm-openai:v{self.release}"


def _dump(*documents: Mapping[str, Any]) -> str:
    return yaml.safe_dump_all(documents, sort_keys=False, width=10_000)


def _container(wanted: Wanted, **more: Any) -> dict[str, Any]:
    limits = {"nvidia.com/gpu": str(wanted.tensor)}
    return {
        "name": "server",
        "image": wanted.image,
        "resources": {"limits": limits},
        **more,
    }


def _deployment(wanted: Wanted, container: Mapping[str, Any]) -> str:
    pod = {
        "nodeSelector": {"cloud.google.com/gke-accelerator": wanted.gpu},
        "containers": [{"name": "proxy", "image": "envoy:1", "args": ["--port", "1"]}, container],
    }
    return _dump(
        {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": "d"},
            "spec": {"replicas": wanted.replicas, "template": {"spec": pod}},
        }
    )


def deployment_words(wanted: Wanted) -> str:
    command = ["vllm", "serve", wanted.model]
    return _deployment(wanted, _container(wanted, command=command, args=wanted.flags()))


def deployment_module(wanted: Wanted) -> str:
    command = ["python3", "-m", "vllm.entrypoints.openai.api_server", "--model", wanted.model]
    return _deployment(wanted, _container(wanted, command=[*command, *wanted.flags()]))


def deployment_entry_point(wanted: Wanted) -> str:
    return _deployment(wanted, _container(wanted, args=wanted.flags(model=True)))


def deployment_shell(wanted: Wanted) -> str:
    text = f"set -e\nulimit -n 1000\nexec vllm serve $MODEL \\\n  {' '.join(wanted.flags())}\n"
    env = [{"name": "MODEL", "value": wanted.model}]
    return _deployment(wanted, _container(wanted, command=["bash", "-c"], args=[text], env=env))


def deployment_config_map(wanted: Wanted) -> str:
    args = ["--model=$(MODEL)", "--max-model-len=$(LEN)", *wanted.flags()]
    source = [{"configMapRef": {"name": "settings"}}]
    container = _container(wanted, args=args, envFrom=source)
    data = {"MODEL": wanted.model, "LEN": str(wanted.length)}
    config = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}}
    return _deployment(wanted, container) + "---\n" + _dump({**config, "data": data})


def leader_worker_set(wanted: Wanted) -> str:
    command = ["vllm", "serve", wanted.model, *wanted.flags()]
    pod = {
        "nodeSelector": {"nvidia.com/gpu.product": wanted.gpu},
        "containers": [_container(wanted, command=command)],
    }
    worker = {"containers": [_container(wanted, command=["sleep", "infinity"])]}
    template = {
        "size": wanted.nodes,
        "leaderTemplate": {"spec": pod},
        "workerTemplate": {"spec": worker},
    }
    spec = {"replicas": wanted.replicas, "leaderWorkerTemplate": template}
    return _dump({"kind": "LeaderWorkerSet", "metadata": {"name": "l"}, "spec": spec})


def compose(wanted: Wanted) -> str:
    devices = [{"driver": "nvidia", "count": wanted.tensor, "capabilities": ["gpu"]}]
    service = {
        "image": f"vllm/vllm-openai:v${{RELEASE:-{wanted.release}}}",
        "command": f"--model ${{MODEL:-{wanted.model}}} {' '.join(wanted.flags())}",
        "ipc": "host",
        "deploy": {
            "replicas": wanted.replicas,
            "resources": {"reservations": {"devices": devices}},
        },
    }
    return _dump({"services": {"web": {"image": "nginx"}, "llm": service}})


def production_stack(wanted: Wanted) -> str:
    config: dict[str, Any] = {
        "maxModelLen": wanted.length,
        "maxNumSeqs": wanted.seqs,
        "gpuMemoryUtilization": wanted.share,
        "tensorParallelSize": wanted.tensor,
        "extraArgs": ["--enforce-eager"] if wanted.eager else [],
    }
    terms = [
        {"matchExpressions": [{"key": "gpu.product", "operator": "In", "values": [wanted.gpu]}]}
    ]
    spec = {
        "name": "m",
        "repository": "vllm/vllm-openai",
        "tag": f"v{wanted.release}",
        "modelURL": wanted.model,
        "replicaCount": wanted.replicas,
        "requestGPU": wanted.tensor,
        "nodeSelectorTerms": terms,
        "vllmConfig": config,
    }
    return _dump({"servingEngineSpec": {"modelSpec": [spec]}})


def modelservice(wanted: Wanted) -> str:
    container = {
        "name": "vllm",
        "image": wanted.image,
        "modelCommand": "vllmServe",
        "args": [w for w in wanted.flags() if "tensor" not in w][
            (0 if wanted.equals or wanted.tensor == 1 else 1) :
        ],
    }
    decode = {
        "replicas": wanted.replicas,
        "parallelism": {"tensor": wanted.tensor},
        "acceleratorTypes": {"labelKey": "gpu.product", "labelValues": [wanted.gpu]},
        "containers": [container],
    }
    artifacts = {"name": wanted.model, "uri": f"hf://{wanted.model}"}
    return _dump({"modelArtifacts": artifacts, "decode": decode, "prefill": {"create": False}})


def kubeai(wanted: Wanted) -> str:
    spec = {
        "url": f"hf://{wanted.model}",
        "engine": "VLLM",
        "image": wanted.image,
        "args": wanted.flags(),
        "minReplicas": wanted.replicas,
        "resourceProfile": f"{wanted.gpu.replace('nvidia', 'nvidia-gpu')}:{wanted.tensor}",
    }
    return _dump({"apiVersion": "kubeai.org/v1", "kind": "Model", "spec": spec})


def llm_inference_service(wanted: Wanted) -> str:
    container = _container(wanted, name="main", args=[])
    flags = [w for w in wanted.flags() if "tensor" not in w]
    flags = flags[(0 if wanted.equals or wanted.tensor == 1 else 1) :]
    container["env"] = [{"name": "VLLM_ADDITIONAL_ARGS", "value": " ".join(flags)}]
    spec = {
        "model": {"uri": f"hf://{wanted.model}", "name": "m"},
        "replicas": wanted.replicas,
        "parallelism": {"tensor": wanted.tensor},
        "template": {"nodeSelector": {"gpu.product": wanted.gpu}, "containers": [container]},
    }
    return _dump({"kind": "LLMInferenceService", "metadata": {"name": "s"}, "spec": spec})


def ray_service(wanted: Wanted) -> str:
    config = {
        "model_loading_config": {"model_id": "m", "model_source": wanted.model},
        "accelerator_type": wanted.gpu,
        "deployment_config": {"autoscaling_config": {"min_replicas": wanted.replicas}},
        "engine_kwargs": wanted.settings,
    }
    application = {
        "name": "llm",
        "import_path": "ray.serve.llm:build_openai_app",
        "args": {"llm_configs": [config]},
    }
    pod = {"containers": [_container(wanted)]}
    cluster = {"workerGroupSpecs": [{"replicas": 4, "template": {"spec": pod}}]}
    spec = {"serveConfigV2": _dump({"applications": [application]}), "rayClusterConfig": cluster}
    return _dump({"kind": "RayService", "metadata": {"name": "r"}, "spec": spec})


def dynamo(wanted: Wanted) -> str:
    words = ["-m", "dynamo.vllm", "--is-decode-worker", "--model", wanted.model]
    container = {"image": "nvcr.io/x/vllm-runtime:1.0", "command": ["python3"]}
    container["args"] = [*words, *wanted.flags(), "--dyn-reasoning-parser", "x"]
    service = {
        "componentType": "worker",
        "replicas": wanted.replicas,
        "resources": {"limits": {"gpu": str(wanted.tensor)}},
        "extraPodSpec": {"nodeSelector": {"gpu.product": wanted.gpu}, "mainContainer": container},
    }
    graph = {"apiVersion": "nvidia.com/v1alpha1", "kind": "DynamoGraphDeployment"}
    return _dump({**graph, "metadata": {"name": "g"}, "spec": {"services": {"W": service}}})


def skypilot(wanted: Wanted) -> str:
    name = wanted.gpu.removeprefix("nvidia-").upper()
    return _dump(
        {
            "resources": {"accelerators": f"{name}:{wanted.tensor}"},
            "num_nodes": wanted.nodes,
            "envs": {"MODEL": wanted.model},
            "setup": f"pip install vllm=={wanted.release}",
            "run": f"vllm serve ${{MODEL}} {' '.join(wanted.flags())}\n",
            "service": {"replicas": wanted.replicas},
        }
    )


def dstack(wanted: Wanted) -> str:
    return _dump(
        {
            "type": "service",
            "image": wanted.image,
            "env": [f"MODEL={wanted.model}"],
            "commands": ["echo start", f"vllm serve $MODEL {' '.join(wanted.flags())}"],
            "replicas": wanted.replicas,
            "resources": {"gpu": f"{wanted.gpu.removeprefix('nvidia-')}:{wanted.tensor}"},
        }
    )


def systemd(wanted: Wanted) -> str:
    devices = ",".join(map(str, range(wanted.tensor)))
    return (
        "[Unit]\nDescription=vLLM\n[Service]\nExecStart=\n"
        f'Environment="MODEL={wanted.model}" CUDA_VISIBLE_DEVICES={devices}\n'
        f"ExecStart=/usr/bin/vllm serve ${{MODEL}} \\\n  {' '.join(wanted.flags())}\n"
    )


def quadlet(wanted: Wanted) -> str:
    devices = "".join(f"AddDevice=nvidia.com/gpu={n}\n" for n in range(wanted.tensor))
    return (
        f"[Container]\nImage=docker.io/{wanted.image}\n{devices}ShmSize=8g\n"
        f"Exec={' '.join(wanted.flags(model=True))}\n"
    )


def dockerfile(wanted: Wanted) -> str:
    flags = json.dumps(wanted.flags(model=True))
    return (
        f"# syntax\nARG V={wanted.release}\nFROM vllm/vllm-openai:v${{V}}\nRUN true\nCMD {flags}\n"
    )


def script(wanted: Wanted) -> str:
    flags = " ".join(wanted.flags())
    return (
        f"#!/bin/bash\npip install vllm=={wanted.release}\nMODEL={wanted.model}\nARGS=({flags})\n"
        'vllm serve "$MODEL" "${ARGS[@]}"\n'
    )


def config_file(wanted: Wanted) -> str:
    settings = {name.replace("_", "-"): value for name, value in wanted.settings.items()}
    return _dump({"model": wanted.model, **settings})


Shape = Callable[[Wanted], str]
# The shape, its file's name, and what of a launch it says.
SHAPES: Mapping[str, tuple[Shape, str, frozenset[str]]] = {
    function.__name__: (function, name, frozenset(says.split()))
    for function, name, says in (
        (deployment_words, "a.yaml", "gpu gpus replicas release"),
        (deployment_module, "a.yaml", "gpu gpus replicas release"),
        (deployment_entry_point, "a.yaml", "gpu gpus replicas release"),
        (deployment_shell, "a.yaml", "gpu gpus replicas release"),
        (deployment_config_map, "a.yaml", "gpu gpus replicas release"),
        (leader_worker_set, "a.yaml", "gpu gpus replicas release nodes"),
        (compose, "compose.yaml", "gpus replicas release"),
        (production_stack, "values.yaml", "gpu gpus replicas release"),
        (modelservice, "values.yaml", "gpu gpus replicas release"),
        (kubeai, "a.yaml", "gpu gpus replicas release"),
        (llm_inference_service, "a.yaml", "gpu gpus replicas release"),
        (ray_service, "a.yaml", "gpu gpus replicas"),
        (dynamo, "a.yaml", "gpu gpus replicas"),
        (skypilot, "a.yaml", "gpu gpus replicas release nodes"),
        (dstack, "a.yaml", "gpu gpus replicas release"),
        (systemd, "a.service", "gpus"),
        (quadlet, "a.container", "gpus release"),
        (dockerfile, "Dockerfile", "release"),
        (script, "a.sh", "release"),
        (config_file, "vllm.yaml", ""),
    )
}
