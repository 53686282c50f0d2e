"""Tables and buffers that stay allocated: the model runner's, cuBLAS's, the sampler's.

Source: vLLM v1/worker/gpu_model_runner.py and v1/worker/block_table.py (first runner),
v1/worker/gpu/sample/{penalties,logit_bias,bad_words}.py and structured_outputs.py (second),
v1/sample/ops/topk_topp_triton.py.
"""

from __future__ import annotations

from vllm_preflight.base.units import BYTES_TO_MIB, ceil_div
from vllm_preflight.hardware.gpu import Gpu
from vllm_preflight.launch.launch import Launch
from vllm_preflight.memory.runtime.chips import chip_of
from vllm_preflight.memory.runtime.contributions import Phase, tensor
from vllm_preflight.memory.runtime.releases import ProfileRules, keeps_top_k_buffer
from vllm_preflight.models.model import Model

_ELEMENT = {"float32": 4, "bfloat16": 2, "float16": 2}
_INT32 = 4
# PyTorch's default cuBLAS workspaces (aten/src/ATen/cuda/CUDABlas.cpp): Hopper and
# datacentre Blackwell, and everything else.
_CUBLAS_LARGE = 32 * BYTES_TO_MIB
_CUBLAS_SMALL = 8_519_680
# Allowed tokens, biases (two tables) and bad words of a request, 1,024 entries each; what
# else the second runner keeps for a request, and both keep for a token.
_REQUEST_TABLES = 4 * 1024
_REQUEST_BYTES = 3272
_TOKEN_BYTES = 45
_TABLE_BLOCK = 16


def runner_buffers(model: Model, launch: Launch, *, pooling: bool) -> Phase:
    """What the model runner allocates for itself, on the last pipeline stage."""
    architecture = model.architecture
    size = _ELEMENT[launch.dtype]
    tokens, rows = launch.max_num_batched_tokens, launch.max_num_seqs
    embeddings = tensor(
        "input_embeddings", size, (tokens, "tokens"), (architecture.hidden_size, "elements")
    )
    small = tensor("token_tables", 1, (tokens, "tokens"), (_TOKEN_BYTES, "bytes"))
    if launch.model_runner == "v1":
        blocks = ceil_div(launch.max_model_len, _TABLE_BLOCK)
        table = tensor("block_tables", _INT32, (rows, "sequences"), (blocks, "blocks"))
        return (embeddings, table, small)
    parts = (small, embeddings) if architecture.encoders else (small,)
    if pooling:
        return parts
    vocabulary = architecture.vocab_size
    return (
        *parts,
        tensor("output_counts", _INT32, (rows, "sequences"), (vocabulary, "tokens")),
        tensor("token_masks", _INT32, (rows, "sequences"), (2 * ceil_div(vocabulary, 32), "words")),
        tensor(
            "request_tables",
            1,
            (rows, "sequences"),
            (_REQUEST_TABLES * 4 + _REQUEST_BYTES, "bytes"),
        ),
    )


def cublas_workspace(gpu: Gpu) -> Phase:
    """CuBLAS's workspace, taken at the first matrix product; none outside NVIDIA."""
    if gpu.compute_capability is None:
        return ()
    large = gpu.compute_capability[0] in {9, 10}
    size = _CUBLAS_LARGE if large else _CUBLAS_SMALL
    return (tensor("cublas_workspace", 1, (size, "bytes")),)


def top_k_buffer(model: Model, launch: Launch, gpu: Gpu, rules: ProfileRules) -> Phase:
    """A row of float32 logits for each multiprocessor, kept by the top-k kernel."""
    if not keeps_top_k_buffer(launch, gpu, rules):
        return ()
    count = chip_of(gpu).multiprocessors
    vocabulary = model.architecture.vocab_size
    return (tensor("top_k_buffer", 4, (count, "multiprocessors"), (vocabulary, "logits")),)
