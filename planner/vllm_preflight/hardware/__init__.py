"""Which GPUs there are: by the catalogue of facts, NVML or a cluster."""
