"""Why single start-ups are missed, as far as it is understood. Words only, no numbers."""

from __future__ import annotations

from collections.abc import Mapping

CAUSES: Mapping[str, str] = {
    "dennislee22-1": "before 0.17 the sampler sorts the vocabulary unless FlashInfer is "
    "installed, which the log does not say; here it was, and about 0.9 GiB stay free.",
    "dennislee22-3": "two nodes over Ray with FlashInfer's sampler: less activation, more for "
    "communicators, of which only the sum is known.",
    "eval_dataset-1": "eight GPUs before 0.11: communicators are created inside the profiled "
    "window and grow with the group; only two such sources exist.",
    "storedfile-7292846353-1": "the other of the two sources with NVLink and tensor parallelism "
    "before 0.11, predicted from the first.",
    "stored-index-54765285989-1": "Qwen3-VL in 0.11.0: its encoder's profile pass took about "
    "2.7 GiB more than the tensors counted here.",
    "file-69641025864-1": "Gemma 4 quantised while loading: weights are 0.5 GiB above the "
    "arithmetic, and its encoder takes items one after another where a batch is assumed.",
    "file-71589812318-1": "Qwen2.5-VL on two L4: encoder and sampler peak within 0.2 GiB of each "
    "other, and neither weights nor GPU total are printed.",
    "vllm-project/vllm-44376-1": "DeepSeek-V4 in 0.22: 6 GiB between its weights as laid out "
    "here and the printed available memory; no figure in between is shown.",
    "EXACT-2": "two T4 without NVLink: the only source of its kind from 0.17 on, so its "
    "non-torch memory falls back on the prior; 0.2 GiB are 5 % of a small cache.",
    "myoceane.fr-a100-gptoss20b-1": "0.1 GiB, about what GPU totals of that card differ by.",
}
