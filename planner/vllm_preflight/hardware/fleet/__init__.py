"""Which GPUs a Ray or Kubernetes cluster offers."""
