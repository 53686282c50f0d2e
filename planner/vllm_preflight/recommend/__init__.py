"""Choices: parallel layout, settings with their reasons, and remedies that were tried."""
