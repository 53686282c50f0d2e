"""What a log says beside its prediction: which launch, term by term, as a story."""
