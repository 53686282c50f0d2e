"""Every error a user can meet.

PreflightError
├── InvalidRequest           a field, flag or file that cannot be what it says
├── UnknownModel             no such model here, in the catalogue or on the Hub
├── UnsupportedArchitecture  a config we read but do not understand; never guessed
├── HubUnavailable           the Hub cannot be reached, refuses, or is switched off
├── PlanRefused              files were asked for a plan that would fail
├── UnknownGpu               no such GPU in the catalogue
└── NoGpuDetected            a detection was asked for and found nothing

Each carries a machine-readable `code`, one sentence saying what is wrong with
which value, and a `hint` saying what to do. The CLI's exit codes follow
`exit_code`.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from typing import Any, ClassVar


class PreflightError(Exception):
    """Base of all errors meant for users: a sentence, a hint, a stable code."""

    code: ClassVar[str] = "preflight_error"
    exit_code: ClassVar[int] = 2

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


def error_of(code: str) -> type[PreflightError]:
    """The kind of error with that code; PreflightError itself for a code nobody has."""
    kinds = (kind for kind in PreflightError.__subclasses__() if kind.code == code)
    return next(kinds, PreflightError)


class InvalidRequest(PreflightError):
    """A field, flag or file has a value that cannot be used."""

    code = "invalid_request"


class UnknownModel(PreflightError):
    """The model is not a local folder, not in the catalogue and not on the Hub."""

    code = "unknown_model"
    exit_code = 3


class UnsupportedArchitecture(PreflightError):
    """The config was read, but its architecture or scheme is not understood.

    `keys` names the config keys that matter for the decision, `config` is what was read:
    a release's registry may know that vLLM refuses it too.
    """

    code = "unsupported_architecture"
    exit_code = 3

    def __init__(self, message: str, hint: str = "", keys: tuple[str, ...] = ()) -> None:
        super().__init__(message, hint)
        self.keys = keys
        self.config: Mapping[str, Any] = {}


@contextmanager
def naming_config(config: Mapping[str, Any]) -> Generator[None]:
    """Give an UnsupportedArchitecture raised inside the config that was read."""
    try:
        yield
    except UnsupportedArchitecture as error:
        error.config = error.config or config
        raise


class HubUnavailable(PreflightError):
    """The Hugging Face Hub refused, timed out, or is switched off."""

    code = "hub_unavailable"
    exit_code = 3


class PlanRefused(PreflightError):
    """Files were asked for, but the plan does not fit or vLLM would not start."""

    code = "plan_refused"
    exit_code = 1


class UnknownGpu(PreflightError):
    """No GPU of that name is in the catalogue."""

    code = "unknown_gpu"
    exit_code = 4


class NoGpuDetected(PreflightError):
    """`gpu="auto"` was asked for and no usable GPU was found."""

    code = "no_gpu_detected"
    exit_code = 4
