"""What to run: layouts, settings with their reasons, and remedies that were tried."""
