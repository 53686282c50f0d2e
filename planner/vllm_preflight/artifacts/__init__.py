"""Which files run a checked plan: shell, container, Kubernetes, benchmark, profile."""
