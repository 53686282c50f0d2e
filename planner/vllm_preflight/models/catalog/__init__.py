"""Which models are known without network, from published configs."""
