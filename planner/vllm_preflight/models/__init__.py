"""Model facts: where configs come from and what they say."""
