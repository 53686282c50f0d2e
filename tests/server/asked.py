"""Fifty-seven questions, refusals among them, in the words of the library and the tools."""

from __future__ import annotations

from typing import Any

QWEN, LLAMA = "Qwen/Qwen3-8B", "meta-llama/Llama-3.1-8B-Instruct"
GPT, DEEPSEEK = "openai/gpt-oss-120b", "deepseek-ai/DeepSeek-R1"
PRICES = {"currency": "USD", "date": "2026-11-01", "gpu_hour": {"H100": 4.0, "L40S": 1.0}}
FOUND = """\
INFO 11-20 10:00:00 [gpu_model_runner.py:3000] Model loading took 15.27 GiB and 3.2 seconds
INFO 11-20 10:00:09 [gpu_worker.py:298] Available KV cache memory: 54.26 GiB
INFO 11-20 10:00:09 [kv_cache_utils.py:1087] GPU KV cache size: 395,120 tokens
"""
FAILED = """\
INFO 11-20 10:00:00 [api_server.py:1] vLLM API server version 0.11.0
INFO 11-20 10:00:00 [utils.py:1] non-default args: {'model': 'Qwen/Qwen3-32B'}
ValueError: To serve at least one request with the models's max seq len (40960), 10.00 GiB KV \
cache is needed, which is larger than the available KV cache memory (2.15 GiB). Based on the \
available memory, the estimated maximum model length is 8800.
"""
Question = tuple[str, dict[str, Any]]

ANSWERED: dict[str, Question] = {
    "plan that carries": ("plan", {"model": QWEN, "gpu": "H100", "concurrency": 16}),
    "plan that does not": ("plan", {"model": "Qwen/Qwen3-32B", "gpu": "RTX 4090", "gpus": 1}),
    "plan that queues": ("plan", {"model": QWEN, "gpu": "L4", "gpus": 1, "concurrency": 400}),
    "plan of experts": ("plan", {"model": GPT, "gpu": "H100", "concurrency": 32}),
    "plan of two machines": ("plan", {"model": DEEPSEEK, "gpu": "H100:16", "nodes": 2}),
    "plan of a rate": (
        "plan",
        {"model": LLAMA, "gpu": "L40S", "request_rate": 4, "target_ttft_ms": 500},
    ),
    "plan in time": ("plan", {"model": LLAMA, "gpu": "A100-80GB", "target_latency_ms": 4000}),
    "plan that embeds": ("plan", {"model": "BAAI/bge-m3", "gpu": "L4", "concurrency": 32}),
    "plan of an old release": (
        "plan",
        {"model": LLAMA, "gpu": "A100-80GB", "vllm_version": "0.8.5", "concurrency": 2},
    ),
    "plan with flags": (
        "plan",
        {"model": QWEN, "gpu": "H100", "vllm_args": "--kv-cache-dtype fp8 --max-num-seqs 64"},
    ),
    "plan of a shared card": ("plan", {"model": QWEN, "gpu": "RTX 4090", "free_vram_gb": 19.5}),
    "plan with prices": (
        "plan",
        {
            "model": QWEN,
            "gpu": "L40S",
            "prices": PRICES,
            "daily_load": "9h@2,15h@0.2",
            "api_price": "0.2/0.6",
        },
    ),
    "plan by the list": ("plan", {"model": QWEN, "gpu": "p5.48xlarge", "prices": "list"}),
    "plan by the formula": (
        "plan",
        {"model": QWEN, "gpu": "H100", "overhead_method": "formula", "enforce_eager": True},
    ),
    "plan of a TPU": ("plan", {"model": QWEN, "gpu": "TPU v6e"}),
    "plan of AMD": ("plan", {"model": QWEN, "gpu": "MI300X", "concurrency": 8}),
    "launch": ("check", {"model": QWEN, "gpu": "H100"}),
    "launch that is short": (
        "check",
        {"model": "Qwen/Qwen3-32B", "gpu": "L40S", "max_model_len": 32_768},
    ),
    "launch of heads": (
        "check",
        {"model": "Qwen/Qwen3-32B", "gpu": "L40S", "gpus": 3, "tensor_parallel_size": 3},
    ),
    "launch of an old release": (
        "check",
        {"model": LLAMA, "gpu": "A100-80GB", "vllm_version": "0.11.0", "max_num_seqs": 64},
    ),
    "launch of a quarter of a card": (
        "check",
        {"model": LLAMA, "gpu": "H100", "gpu_memory_utilization": 0.3, "max_model_len": "8k"},
    ),
    "launch in fp8": ("check", {"model": QWEN, "gpu": "RTX 5090", "kv_cache_dtype": "fp8"}),
    "launch varied": (
        "check",
        {"model": QWEN, "gpu": "L4", "vary": {"max_num_seqs": [64, 256]}},
    ),
    "line": ("check", {"command": f"vllm serve {QWEN} -tp 2 --max-model-len 32k", "gpu": "H100"}),
    "line with an ended flag": (
        "check",
        {"command": f"vllm serve {QWEN} --swap-space 4", "gpu": "H100"},
    ),
    "line that vLLM refuses": (
        "check",
        {"command": "vllm serve Qwen/Qwen3-14B --quantization awq", "gpu": "RTX 4090"},
    ),
    "line of a shell": (
        "check",
        {"command": f"CUDA_VISIBLE_DEVICES=0 vllm serve {QWEN} | tee log", "gpu": "H100"},
    ),
    "launch of AMD": ("check", {"model": QWEN, "gpu": "MI300X"}),
    "cards": ("compare", {"model": QWEN, "gpus": "L40S,H100,L4", "concurrency": 4}),
    "cards and money": (
        "compare",
        {
            "model": QWEN,
            "gpus": "L40S,H100",
            "prices": PRICES,
            "optimise": "cheapest",
            "daily_load": "1",
            "api_price": "0.6",
        },
    ),
    "no card": ("compare", {"model": DEEPSEEK, "gpus": "L4,T4", "max_gpus": 2}),
    "models": ("find", {"gpu": "L4", "family": "qwen3", "limit": 3}),
    "models of two cards": ("find", {"gpu": "2x RTX 3090", "family": "gemma", "concurrency": 4}),
    "log of a start": ("explain", {"log": FOUND, "model": QWEN, "gpu": "H100"}),
    "log of a failure": ("explain", {"log": FAILED, "gpu": "H100"}),
    "log of memory": ("explain", {"log": "torch.OutOfMemoryError: CUDA out of memory."}),
    "log of nothing": ("explain", {"log": "hello\n"}),
    "make-up": ("inspect", {"model": "Qwen/Qwen3-Next-80B-A3B-Instruct"}),
    "make-up by nickname": ("inspect", {"model": "llama 3.1 8b"}),
    "files": ("generate", {"model": QWEN, "gpu": "H100", "kinds": ["serve", "profile"]}),
    "overhead": ("overhead", {"vram_total_gib": 80, "tensor_parallel_size": 4}),
    "overhead of a model": ("overhead", {"model": QWEN, "gpu": "H100"}),
}
REFUSED: dict[str, Question] = {
    "a GPU of no catalogue": ("plan", {"model": QWEN, "gpu": "H1000"}),
    "a model of nobody": ("plan", {"model": "nobody/nothing", "gpu": "H100"}),
    "no request at all": ("plan", {"model": QWEN, "gpu": "H100", "concurrency": 0}),
    "a price without prices": ("plan", {"model": QWEN, "gpu": "H100", "api_price": "0.6"}),
    "half a GPU": ("plan", {"model": QWEN, "gpu": "H100", "gpus": 1.5}),
    "a list of nothing": ("plan", {"model": QWEN, "gpu": "H100", "prices": "{}"}),
    "a release with another engine": (
        "plan",
        {"model": LLAMA, "gpu": "T4", "vllm_version": "0.8.5", "concurrency": 2},
    ),
    "a length of words": ("check", {"model": QWEN, "gpu": "H100", "max_num_seqs": "many"}),
    "a line of another program": ("check", {"command": "sglang serve x", "gpu": "H100"}),
    "a card of no catalogue": ("compare", {"model": QWEN, "gpus": "H100,H1000"}),
    "the cheapest of nothing": ("compare", {"model": QWEN, "optimise": "cheapest"}),
    "no model at all": ("find", {"gpu": "L4", "limit": 0}),
    "files of what fails": (
        "generate",
        {"model": "Qwen/Qwen3-32B", "gpu": "T4", "gpus": 1, "kinds": ["serve"]},
    ),
    "a make-up of nobody": ("inspect", {"model": "nobody/nothing"}),
    "an overhead of nothing": ("overhead", {"tensor_parallel_size": 2}),
}
