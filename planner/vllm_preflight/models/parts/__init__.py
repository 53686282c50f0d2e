"""Which building blocks the families of models are made of."""
