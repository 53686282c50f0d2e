"""speculative_config: which method drafts, with what, and whether the release takes it."""
