"""Hard cases of each shape with their right reading."""

from __future__ import annotations

import json
from typing import Any

import pytest

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.contract.manifest import ServerReport
from vllm_preflight.launch.arguments import parse_server
from vllm_preflight.manifests.read import read_manifest
from vllm_preflight.manifests.servers import ManifestServer
from vllm_preflight.questions.manifest import Beside, Manifest, check_manifests


def _one(text: str, name: str = "a.yaml", **given: str) -> ManifestServer:
    (server,) = read_manifest(text, name, given)
    assert server.command is not None, server.problem
    return server


def _args(server: ManifestServer) -> dict[str, Any]:
    assert server.command is not None
    parsed = parse_server(server.command, "0.19.0")
    return {k: v for k, v in parsed.fields.items() if k != "vllm_version"}


def _pod(container: str, more: str = "") -> str:
    return f"kind: Pod\nmetadata: {{name: p}}\nspec:\n  {more}\n  containers:\n  - {container}\n"


@pytest.mark.parametrize(
    "container",
    [
        '{image: x, command: [vllm, serve, "a/b"], args: [--max-model-len, "4096"]}',
        '{image: x, command: [/usr/bin/env, vllm], args: [serve, a/b, "--max_model_len=4096"]}',
        '{image: x, command: [bash, -lc, "vllm serve a/b --max-model-len 4096 | tee log"]}',
        '{image: x, command: [sh, -ec], args: ["vllm serve a/b --max-model-len 4k"]}',
        '{image: x, command: ["/bin/sh"], args: [-c, "exec vllm serve a/b --max-model-len 4096"]}',
        '{image: vllm/vllm-openai, args: ["--model=a/b --max-model-len=4096"]}',
        '{image: vllm/vllm-openai, args: ["--model=a/b", "--max-model-len=4096"]}',
        '{image: x/vllm:1, args: [serve, a/b, --max-model-len, "4096"]}',
        "{image: x, command: [python3, -m, vllm.entrypoints.openai.api_server, --model, a/b, "
        '--max-model-len, "4096"]}',
        '{image: x, env: [{name: L, value: "4096"}, {name: M, value: "$(L)"}], '
        "command: [vllm, serve, a/b, --max-model-len, $(M)]}",
        '{image: x, command: [bash, -c, \'vllm serve "$@"\', --, a/b, --max-model-len, "4096"]}',
        '{image: x, env: [{name: A, value: "--max-model-len 4096"}], '
        'command: [sh, -c, "vllm serve a/b $A"]}',
        '{image: x, command: [sh, -c, "eval \\"vllm serve a/b --max-model-len 4096\\""]}',
    ],
)
def test_words_are_joined_as_kubernetes_and_a_shell_join_them(container: str) -> None:
    args = _args(_one(_pod(container)))
    length = args.pop("max_model_len")
    assert args == {"model": "a/b"} and length in (4000, 4096)


@pytest.mark.parametrize(
    "container",
    [
        "{image: nginx, args: [--port, '80']}",
        "{image: vllm/vllm-openai, command: [sleep, infinity]}",
        "{image: vllm/vllm-openai, command: [vllm, bench, serve, --model, a/b]}",
        "{image: x/vllm-router, args: [--model, a/b]}",
        "{image: vllm/vllm-openai, command: [sh, -c, 'echo vllm serve a/b']}",
        "{image: x, command: [vllm, serve, a/b, --headless, --data-parallel-start-rank, '8']}",
        "{image: vllm/vllm-openai}",
    ],
)
def test_what_starts_no_server_is_none(container: str) -> None:
    assert read_manifest(_pod(container), "a.yaml") == []


def test_init_containers_are_none() -> None:
    text = _pod("{image: x, command: [vllm, serve, a/b]}", "initContainers: [{image: x, "
                "command: [vllm, serve, c/d]}]")  # fmt: skip
    assert _args(_one(text)) == {"model": "a/b"}


def test_secrets_are_never_values() -> None:
    text = _pod(
        "{image: x, command: [sh, -c, 'vllm serve a/b --api-key $KEY --hf-token $(TOKEN)'], "
        "env: [{name: KEY, valueFrom: {secretKeyRef: {name: s, key: k}}}, "
        "{name: TOKEN, valueFrom: {secretKeyRef: {name: s, key: t}}}]}\n---\n"
        "kind: Secret\nmetadata: {name: s}\nstringData: {k: topsecret, t: topsecret}"
    )
    server = _one(text)
    assert "topsecret" not in repr(server)
    assert _args(server) == {"model": "a/b"}


@pytest.mark.parametrize(
    ("resources", "placement", "names", "count"),
    [
        ("limits: {nvidia.com/gpu: 2}", "", (), 2),
        ("requests: {nvidia.com/gpu: '2'}", "", (), 2),
        ("limits: {nvidia.com/mig-3g.40gb: 1}", "", ("MIG 3g.40gb",), 1),
        (
            "limits: {nvidia.com/gpu: 8}",
            "nodeSelector: {node.kubernetes.io/instance-type: p5.48xlarge}",
            ("H100 SXM5 80GB",),
            8,
        ),
        (
            "limits: {nvidia.com/gpu: 1}",
            "nodeSelector: {karpenter.k8s.aws/instance-gpu-name: l40s, zone: a}",
            ("L40S",),
            1,
        ),
        (
            "limits: {nvidia.com/gpu: 1}",
            "nodeSelector: {gpu.nvidia.com/class: H100_NVLINK_80GB}",
            ("H100 SXM5 80GB",),
            1,
        ),
        (
            "limits: {nvidia.com/gpu: 1}",
            "nodeSelector: {cloud.google.com/gke-accelerator: nvidia-tesla-a100, "
            "cloud.google.com/gke-gpu-partition-size: 1g.5gb}",
            ("A100 SXM4 40GB MIG 1g.5gb",),
            1,
        ),
        (
            "limits: {nvidia.com/gpu: 1}",
            "nodeSelector: {node.kubernetes.io/instance-type: g6e.xlarge, "
            "nvidia.com/gpu.product: NVIDIA-L4}",
            ("L4",),
            1,
        ),
    ],
)
def test_the_gpu_and_its_count(
    resources: str, placement: str, names: tuple[str, ...], count: int
) -> None:
    container = f"{{image: x, command: [vllm, serve, a/b], resources: {{{resources}}}}}"
    server = _one(_pod(container, placement))
    assert (server.gpus.names, server.gpus.count) == (names, count)


@pytest.mark.parametrize("resource", ["google.com/tpu", "habana.ai/gaudi", "aws.amazon.com/neuron"])
def test_other_accelerators_are_named(resource: str) -> None:
    container = (
        f"{{image: x, command: [vllm, serve, a/b], resources: {{limits: {{{resource}: 4}}}}}}"
    )
    assert _one(_pod(container)).gpus.other is not None


def test_a_leader_without_gpus_is_no_node_of_the_server() -> None:
    text = """
kind: LeaderWorkerSet
metadata: {name: l}
spec:
  leaderWorkerTemplate:
    size: 3
    leaderTemplate: {spec: {containers: [{image: x, command: [vllm, serve, a/b, -tp, '16']}]}}
    workerTemplate:
      spec:
        containers:
        - {image: x, command: [ray, start], resources: {limits: {nvidia.com/gpu: 8}}}
"""
    server = _one(text)
    assert (server.nodes, server.gpus.count) == (2, 8)


def test_a_list_of_objects_and_json_are_the_same() -> None:
    pod = {"kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [
        {"image": "x", "command": ["vllm", "serve", "a/b"]}]}}  # fmt: skip
    whole = {"kind": "List", "items": [pod, {**pod, "metadata": {"name": "q"}}]}
    servers = read_manifest(json.dumps(whole), "a.json")
    assert [server.name.partition("/")[0] for server in servers] == ["p", "q"]


@pytest.mark.parametrize(
    "text",
    [
        "kind: Deployment\nmetadata:\n  name: {{ .Release.Name }}\nspec: {{- toYaml .Values | x }}",
        "{{- if .Values.on }}\nkind: Pod\n{{- end }}",
        'kind: Pod\nmetadata: {name: "{{ .Values.name }}"}\nspec: {containers: []}',
    ],
)
def test_templates_are_said_to_be_rendered_first(text: str) -> None:
    with pytest.raises(InvalidRequest, match="helm template"):
        read_manifest(text, "a.yaml")


def test_a_template_in_a_flag_without_effect_does_not_matter() -> None:
    container = '{image: x, command: [vllm, serve, a/b, --served-model-name, "{{.Name}}"]}'
    assert _args(_one(_pod(container))) == {"model": "a/b"}


def test_compose_strings_lists_and_variables() -> None:
    text = """
x-base: &base {image: "vllm/vllm-openai:v0.19.0", gpus: all}
services:
  a: {<<: *base, command: "--model a/b --max-model-len ${LEN:-${OTHER:-4096}} --port $PORT"}
  b: {<<: *base, entrypoint: [vllm, serve], command: [c/d, "--max-model-len=${LEN:?needed}"]}
  c: {extends: a, command: "--model e/f --hf-overrides '{\\"a\\": \\"$$x\\"}'"}
"""
    a, b, c = read_manifest(text, "compose.yaml", {"LEN": "512"})
    assert _args(a) == {"model": "a/b", "max_model_len": 512}
    assert _args(b) == {"model": "c/d", "max_model_len": 512}
    assert c.command is not None and '{"a": "$x"}' in [word.text for word in c.command.words]
    assert a.gpus.every and c.gpus.every


def test_runtimes_and_services_of_kserve() -> None:
    service = """
kind: InferenceService
metadata: {name: s}
spec:
  predictor:
    model:
      modelFormat: {name: huggingface}
      args: [--model_name=m, --model_id=a/b, --max_model_len=4096, --backend=vllm]
      resources: {limits: {nvidia.com/gpu: 1}}
"""
    assert _args(_one(service)) == {"model": "a/b", "max_model_len": 4096}
    runtime = """
kind: ClusterServingRuntime
metadata: {name: r}
spec: {containers: [{name: kserve-container, image: x, command: [vllm, serve, /mnt/models]}]}
"""
    (alone,) = read_manifest(runtime, "a.yaml")
    assert alone.command is None and "InferenceService" in alone.hint


def test_kaito_partitions_and_several_gpus() -> None:
    text = """
apiVersion: kaito.sh/v1beta1
kind: InferenceSet
metadata: {name: s}
spec:
  replicas: 3
  template:
    resource: {instanceType: Standard_NC24ads_A100_v4, partition: {mode: mig, profile: 2g.20gb}}
    inference: {preset: {name: Qwen/Qwen3-8B}}
"""
    server = _one(text)
    assert server.replicas == 3 and server.gpus.names == ("A100 PCIe 80GB MIG 2g.20gb",)
    text = (
        "apiVersion: kaito.sh/v1beta1\nkind: Workspace\nresource: {instanceType: "
        "Standard_ND96isr_H100_v5, count: 2}\ninference: {preset: {name: deepseek-r1-0528}}"
    )
    sizes = {"tensor_parallel_size": 8, "pipeline_parallel_size": 2}
    assert _args(_one(text)) == {"model": "deepseek-ai/DeepSeek-R1-0528", **sizes}


def test_systemd_is_no_shell() -> None:
    unit = (
        "[Service]\nEnvironment=M=a/b 'ARGS=--max-model-len 4096' X=1\n"
        "# a comment\nExecStart=-/opt/vllm serve ${M} $ARGS --served-model-name '%%x $X' ${NO}\n"
    )
    server = _one(unit, "a.service")
    assert server.command is not None
    words = [word.text for word in server.command.words]
    assert words[:5] == ["a/b", "--max-model-len", "4096", "--served-model-name", "%x $X"]
    assert server.command.words[5].missing == ("${NO}",)


def test_dockerfiles_of_several_stages() -> None:
    text = (
        "FROM vllm/vllm-openai:v0.10.0 AS base\nCMD [\"--model\", \"old/one\"]\n"
        "FROM python:3.12\nARG MODEL=a/b\nENV MODEL=${MODEL} \\\n  LEN=4096\n"
        "RUN pip install 'vllm==0.20.1'\nENTRYPOINT vllm serve $MODEL --max-model-len $LEN\n"
    )  # fmt: skip
    server = _one(text, "Dockerfile")
    assert server.release == "0.20.1"
    assert _args(server) == {"model": "a/b", "max_model_len": 4096}


def test_own_ray_applications_are_said_to_be_own() -> None:
    text = "applications:\n- {name: a, import_path: 'mine:app', args: {}}\n"
    (server,) = read_manifest(text, "a.yaml")
    assert "own code" in server.problem


def test_dynamo_of_several_nodes() -> None:
    text = """
apiVersion: nvidia.com/v1alpha1
kind: DynamoGraphDeployment
metadata: {name: g}
spec:
  envs: [{name: X, value: y}]
  services:
    W:
      multinode: {nodeCount: 2}
      envs: [{name: MODEL, value: a/b}]
      resources: {limits: {gpu: "8"}}
      extraPodSpec:
        mainContainer:
          image: nvcr.io/nvidia/ai-dynamo/vllm-runtime:1.0
          command: [python3, -m, dynamo.vllm]
          args: [--model, $(MODEL), -tp, "16", --connector, nixl, kvbm, --no-enable-rl]
"""
    server = _one(text)
    assert (server.name, server.nodes, server.gpus.count) == ("g/W", 2, 8)
    assert _args(server) == {"model": "a/b", "tensor_parallel_size": 16}


CONFIG_MAP = """
kind: ConfigMap
metadata: {name: c}
data:
  start.sh: |
    #!/bin/bash
    N=$(nvidia-smi -L | wc -l)
    ARGS=(--model "${MODEL:-a/b}" --tensor-parallel-size "$N")
    exec python3 -m vllm.entrypoints.openai.api_server "${ARGS[@]}"
  vllm.yaml: |
    model: c/d
    max-model-len: 16384
    enforce-eager: true
---
"""


def test_scripts_and_config_files_of_config_maps_are_read() -> None:
    pod = _pod("{image: x, command: [/bin/bash, /scripts/start.sh]}")
    server = _one(CONFIG_MAP + pod)
    assert server.command is not None and server.command.words[1].text == "a/b"
    pod = _pod('{image: x, command: [vllm, serve, --config, /etc/vllm.yaml, --max-model-len, "8"]}')
    assert _args(_one(CONFIG_MAP + pod)) == {
        "model": "c/d",
        "max_model_len": 8,
        "enforce_eager": True,
    }


def test_a_list_of_patches_starts_nothing() -> None:
    assert read_manifest("- op: add\n  path: /a\n  value: vllm serve it's\n", "p.yaml") == []


def test_images_without_a_telling_name_are_known_by_vllm_s_flags() -> None:
    args = "--model, a/b, --gpu-memory-utilization, '0.9'"
    assert _args(_one(_pod(f"{{image: own/infer, args: [{args}]}}")))["model"] == "a/b"
    assert read_manifest(_pod(f"{{image: own/sglang, args: [{args}]}}"), "a.yaml") == []


def test_a_flag_and_its_value_in_one_word_start_nothing() -> None:
    container = '{image: vllm/vllm-openai, args: ["--model=a/b", "--max-model-len 4096"]}'
    (row,) = check_manifests([Manifest("a.yaml", _pod(container))], Beside()).servers
    assert row.verdict is not None and row.verdict.outcome == "refused"
    assert "'--max-model-len 4096' is one word" in row.verdict.sentence
    container = '{image: vllm/vllm-openai, args: ["--model a/b", "--max-model-len", "4096"]}'
    (row,) = check_manifests([Manifest("a.yaml", _pod(container))], Beside()).servers
    assert row.error is not None or row.verdict is not None


def test_containers_of_one_pod_have_gpus_of_their_own() -> None:
    server = "{image: x, command: [vllm, serve, a/b], resources: {limits: {nvidia.com/gpu: %d}}}"
    text = _pod(f"{server % 2}\n  - {server % 1}")
    assert [found.gpus.count for found in read_manifest(text, "a.yaml")] == [2, 1]


def test_parameters_of_an_openshift_template_are_filled_in() -> None:
    text = (
        "kind: Template\nparameters: [{name: M, value: a/b}, {name: L}]\nobjects:\n- kind: Pod\n"
        "  metadata: {name: p}\n  spec: {containers: [{image: x, command: [vllm, serve, "
        '"${M}", --max-model-len, "${{L}}"]}]}\n'
    )
    assert _args(_one(text, L="4096")) == {"model": "a/b", "max_model_len": 4096}
    (row,) = check_manifests([Manifest("a.yaml", text)], Beside()).servers
    assert row.error is not None and "--set L=" in row.error.hint


def test_a_ray_cluster_of_fixed_size_has_to_hold_the_sizes() -> None:
    def cluster(more: str) -> str:
        pod = "{template: {spec: {containers: [{image: x, command: [%s], resources: %s}]}}%s}"
        limits = "{limits: {nvidia.com/gpu: 8}}"
        command = (
            "vllm, serve, Qwen/Qwen3-8B, -tp, '8', -pp, '3', --distributed-executor-backend, ray"
        )
        head, worker = pod % (command, limits, ""), pod % ("sleep", limits, ", replicas: 1")
        return (
            f"kind: RayCluster\nmetadata: {{name: r}}\nspec:\n  {more}\n"
            f"  headGroupSpec: {head}\n  workerGroupSpecs: [{worker}]\n"
        )

    def row(more: str) -> ServerReport:
        beside = Beside(fields={"gpu": "H100"})
        (found,) = check_manifests([Manifest("a.yaml", cluster(more))], beside).servers
        return found

    verdict = row("rayVersion: '2'").verdict
    assert verdict is not None and "needs 24 GPUs" in verdict.sentence
    assert row("enableInTreeAutoscaling: true").nodes == 3


@pytest.mark.parametrize("kind", ["Kustomization", "Component"])
def test_a_kustomization_is_to_be_rendered_first(kind: str) -> None:
    text = f"kind: {kind}\nresources: [../base]\npatches:\n- patch: |\n    args: [vllm, serve]\n"
    with pytest.raises(InvalidRequest, match="kustomize") as refused:
        read_manifest(text, "kustomization.yaml")
    assert "kustomize build" in refused.value.hint


def test_a_template_s_gap_names_the_renderer_once() -> None:
    container = '{image: vllm/vllm-openai, args: ["--model", "{{ .Values.model }}"]}'
    (row,) = check_manifests([Manifest("a.yaml", _pod(container))], Beside()).servers
    assert row.error is not None and row.error.message.count(".Values.model") == 1
    assert "helm template" in row.error.hint


def test_a_ray_config_s_bucket_is_the_model_and_not_its_served_name() -> None:
    text = (
        "applications:\n- import_path: ray.serve.llm:build_openai_app\n  args: {llm_configs: "
        "[{model_loading_config: {model_id: m, model_source: {bucket_uri: 's3://b/m'}}}]}\n"
    )
    assert _args(_one(text))["model"] == "s3://b/m"


def test_a_script_of_a_configmap_gets_its_arguments() -> None:
    text = """
kind: ConfigMap
metadata: {name: s}
data:
  run.sh: |
    #!/bin/bash
    exec vllm serve "$@"
---
kind: Pod
metadata: {name: p}
spec:
  containers:
  - name: c
    image: x
    env: [{name: L, value: "4096"}]
    command: [bash, /s/run.sh]
    args: [a/b, --max-model-len, $(L), --enforce-eager]
"""
    wanted = {"model": "a/b", "max_model_len": 4096, "enforce_eager": True}
    assert _args(_one(text)) == wanted


def test_files_of_variables_beside_a_unit_are_said_where_they_may_count() -> None:
    unit = "[Service]\nEnvironment=M=a/b\nEnvironmentFile=-/etc/v.env\nExecStart=vllm serve {}\n"
    assert any("/etc/v.env" in note for note in _one(unit.format("${M}"), "v.service").notes)
    assert _one(unit.format("a/b"), "v.service").notes == ()
