"""How the config of each family of architectures is read."""
