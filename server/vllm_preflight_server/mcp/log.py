"""The server's own log, on stderr: one configuration, and no line that a stranger wrote raw."""

from __future__ import annotations

import logging

from vllm_preflight.base.text import presentable

# A traceback with its causes; what is longer was made so.
_LONGEST_RECORD = 20_000


class CleanFormatter(logging.Formatter):
    """Records without secrets and without characters that a terminal obeys."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as text."""
        return presentable(super().format(record), _LONGEST_RECORD)


def log_to_stderr() -> None:
    """Log warnings and errors, unless logging is set up already."""
    # The SDK would install a handler of its own, with boxes drawn by rich.
    handler = logging.StreamHandler()
    handler.setFormatter(CleanFormatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
