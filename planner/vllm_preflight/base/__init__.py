"""What everything stands on: units, errors, terms, and a way to stop."""
