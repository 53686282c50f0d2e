"""Files that run a checked plan: shell, containers, Kubernetes, a benchmark, a profile."""
