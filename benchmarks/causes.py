"""Why single start-ups are missed, as far as it is understood. Words only, no numbers."""

from __future__ import annotations

from collections.abc import Mapping

CAUSES: Mapping[str, str] = {
    "dennislee22-1": "up to 0.11.0 the sampler sorts the vocabulary unless FlashInfer is "
    "installed, which the log does not say; here it was, and about 0.9 GiB stay free.",
    "gpustack/gpustack-gpt-oss-120b-h100-mem-1": "as above: in an image with FlashInfer the "
    "sampler needs 14 bytes a logit where 38 are predicted, and one card is enough.",
    "eval_dataset-1": "eight GPUs before 0.11: communicators are created inside the profiled "
    "window and grow with the group; only two such sources exist.",
    "storedfile-7292846353-1": "the other of the two sources with NVLink and tensor parallelism "
    "before 0.11, predicted from the first.",
    "stored-index-54765285989-1": "Qwen3-VL in 0.11.0: the padded outputs of its encoder are "
    "counted; 0.9 GiB more are taken, which sampling 1,024 sequences instead of 256 would explain.",
    "llm-d-planner-empirical-Mistral-Small-3.2-24B-Instruct-2506-tp1": "as dennislee22-1: with "
    "FlashInfer's sampler, as in vLLM's own image, the peak is the 2.12 GiB that it prints.",
    "file-58028398527-1": "0.1 GiB of a card of 40 GiB: the driver grew by more than elsewhere.",
    "file-71589812318-1": "Qwen2.5-VL on two L4: encoder and sampler peak within 0.2 GiB of each "
    "other, and neither weights nor GPU total are printed.",
    "vllm-project/vllm-44376-1": "DeepSeek-V4 in 0.22: 6 GiB between its weights as laid out "
    "here and the printed available memory; no figure in between is shown.",
    "TheBuccaneer-11": "0.05 GiB of a cache of half a gibibyte.",
    "file-61511710941": "NVFP4 weights are 0.5 GiB above the arithmetic, and no other source has "
    "graphs of sparse attention.",
    "file-67144197265": "the log does not say whether it compiled; a first start explains the "
    "difference.",
    "ecohash-dsv4-flash-tp2-0.80": "memory shared with the system, whose share is known to a "
    "gibibyte or two.",
    "ecohash-dsv4-flash-tp2-0.88": "the same machine as the other.",
    "file-56753445407": "the same command sixteen minutes later had 1.6 GiB more: memory shared "
    "with the system.",
}

SHADOW_CAUSES = (
    "dense latent attention on one rank (DeepSeek-R1 and V3.1): the runs keep four layers, so the "
    "one with experts allocates its workspace after the last prefill context; whole models hold "
    "both at once.",
    "Llama-3.1-8B in four stages: its run keeps one layer a stage, which has no layer before.",
    "gpt-oss compiled: the experts' routing tables, not counted.",
    "compiled runs of 0.31 and 0.32: cuBLAS's workspace takes a freed block of 50 MiB whole.",
    "compiled runs are compared without the copy of the embedding table that a first launch makes: "
    "a simulation launches nothing.",
)

UNSEEN = (
    "ROCm: the start-ups that are known name no model, no card or no release, so that runtime "
    "memory is said not to be modelled; weights and KV cache are the same arithmetic.",
    "WSL: three start-ups show that CUDA's total there is NVML's, about half a gibibyte more than "
    "under Linux on a card of 24 GiB; a card that is detected under WSL has that total. Whether "
    "anything else differs, no start-up shows.",
    "Memory that processor and GPU share: four start-ups on GB10, of which two of one command "
    "differ by 1.6 GiB. Jetson boards take the same assumed 3.5 GiB and the same spread; none of "
    "them was seen.",
    "Expert exchange: DeepEP's buffers are its own arithmetic (a gibibyte, two between machines, "
    "and for low latency a message of every token for each expert); other libraries' are named as "
    "not counted. NCCL's for a group of data-parallel ranks is made before vLLM counts.",
    "LoRA in the profile pass: on experts the inputs at the adapters' rank are counted, by vLLM's "
    "source; beside other matrices they are gone before the widest moment.",
    "CUDA graphs of sparse attention with expert parallelism: one start-up (GLM-5.2), whose "
    "estimate is 5 GiB. An estimate below zero, which vLLM prints where other processes free "
    "memory meanwhile, charges nothing and is not predicted.",
)
