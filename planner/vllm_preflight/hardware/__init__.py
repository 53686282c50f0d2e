"""GPUs: the catalogue of facts and detection through NVML."""
