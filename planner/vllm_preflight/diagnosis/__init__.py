"""What a log says beside its prediction: which launch it was, term by term, as a story."""
