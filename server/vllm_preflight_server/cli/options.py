"""Command-line options made from request models, so that flags and tools never differ."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NoReturn, cast, get_args, get_origin

from pydantic.fields import FieldInfo

from vllm_preflight.base.text import presentable
from vllm_preflight.contract.request import RequestModel, ordered_fields

# vLLM's short forms, and names people type for a field.
_ALIASES: Mapping[str, tuple[str, ...]] = {
    "tensor_parallel_size": ("-tp",),
    "pipeline_parallel_size": ("-pp",),
    "data_parallel_size": ("-dp",),
    "decode_context_parallel_size": ("-dcp",),
    "quantization": ("-q",),
    "vram_total_gib": ("--vram-gb",),
    "from_version": ("--from",),
    "to_version": ("--to",),
}

# More words than these make no line of help.
_MOST_CHOICES = 8
# Numbers of which only some are allowed; pydantic takes no text for such.
_CHOSEN_NUMBERS = frozenset({"max_lora_rank"})


class Parser(argparse.ArgumentParser):
    """A parser whose errors end with exit code 2 and one sentence, without a usage dump."""

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Parse; an unknown option is answered with the nearest known one."""
        parsed, unknown = self.parse_known_args(arguments)
        if unknown:
            flags = [flag for action in self._actions for flag in action.option_strings]
            near = difflib.get_close_matches(unknown[0].partition("=")[0], flags, n=1)
            guess = f"; did you mean {near[0]}?" if near else ""
            self.error(f"there is no option or argument {unknown[0]!r}{guess}")
        return parsed

    def error(self, message: str) -> NoReturn:
        """Print the sentence and leave."""
        end = "" if message.endswith("?") else "."
        print(f"error: {presentable(message)}{end} See {self.prog} --help.", file=sys.stderr)
        raise SystemExit(2)


def command_parser(
    command: str, request: type[RequestModel], *, positional: str | None = None, epilog: str = ""
) -> Parser:
    """A parser with one option per field of `request`, `positional` without its dashes."""
    parser = Parser(
        prog=f"vllm-preflight {command}",
        description=(request.__doc__ or "").strip(),
        epilog=epilog,
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
    )
    for name in ordered_fields(request):
        field = request.model_fields[name]
        if name == "detail":
            continue
        help_text = _help(field.description, field.default, field.is_required())
        flag = f"--{name.replace('_', '-')}"
        if name == positional:
            parser.add_argument(name, nargs="?", help=help_text)
            # Written both ways: plan MODEL and plan --model MODEL.
            parser.add_argument(flag, dest=f"{name}_option", help=argparse.SUPPRESS)
        elif str(field.annotation) in ("<class 'bool'>", "bool | None"):
            parser.add_argument(flag, action=argparse.BooleanOptionalAction, help=help_text)
        else:
            metavar = _choices(field) or name.rpartition("_")[2].upper()
            names = (flag, *_ALIASES.get(name, ()))
            parser.add_argument(*names, dest=name, metavar=metavar, help=help_text)
    return parser


def _choices(field: FieldInfo) -> str:
    """The words a field takes, where it takes few: those that are published."""
    extra = cast(object, field.json_schema_extra)
    published = cast(Mapping[str, Any], extra).get("enum") if isinstance(extra, dict) else None
    words: Sequence[object] = published or _literals(field.annotation)
    if not 0 < len(words) <= _MOST_CHOICES:
        return ""
    return "{" + ",".join(map(str, words)) + "}"


def _literals(annotation: Any) -> Sequence[object]:
    """The values of a Literal, itself or in a union or an annotation."""
    if get_origin(annotation) is Literal:
        return get_args(annotation)
    inner = (_literals(part) for part in get_args(annotation) if part is not type(None))
    return next((found for found in inner if found), ())


def add_output_options(parser: argparse.ArgumentParser, *, explain: bool = False) -> None:
    """`--json`, and `--explain` where an answer has more to say."""
    parser.add_argument(
        "--json", action="store_true", default=False, help="print the answer as JSON"
    )
    if explain:
        parser.add_argument(
            "--explain",
            action="store_true",
            default=False,
            help="also print every number with its formula, basis and source",
        )


def add_profile_option(parser: argparse.ArgumentParser) -> None:
    """`--profile FILE`; further options of the command go over it."""
    parser.add_argument(
        "--profile",
        default=None,
        metavar="FILE",
        help="a profile written by generate, or the options of a plan as YAML or JSON; "
        "other options change it",
    )


def add_report_options(parser: argparse.ArgumentParser) -> None:
    """`--report FILE.html`, and `--force` to replace a file."""
    parser.add_argument(
        "--report",
        metavar="FILE",
        help="also write the answer as one HTML page with pictures, to open and to pass on",
    )
    parser.add_argument(
        "--force", action="store_true", default=False, help="let --report replace a file"
    )


def request_fields(
    parsed: argparse.Namespace, request: type[RequestModel], positional: str | None = None
) -> dict[str, Any]:
    """The fields that were given on the command line, as text for the model to check."""
    given: dict[str, Any] = {
        name: value for name, value in vars(parsed).items() if name in request.model_fields
    }
    option = getattr(parsed, f"{positional}_option", None)
    if positional and option is not None:
        if given.get(positional) not in (None, option):
            raise SystemExit(_two_values(positional, given[positional], option))
        given[positional] = option
    return {name: _chosen(name, value) for name, value in given.items() if value is not None}


def _chosen(name: str, value: Any) -> Any:
    """A number of which only some are allowed as a number; anything else for the model."""
    return int(value) if name in _CHOSEN_NUMBERS and str(value).isdigit() else value


def split_command(arguments: Sequence[str]) -> tuple[list[str], list[str] | None]:
    """Own options and the words after `--`, None when there is no `--`."""
    if "--" not in arguments:
        return list(arguments), None
    place = list(arguments).index("--")
    return list(arguments[:place]), list(arguments[place + 1 :])


def _two_values(name: str, first: str, second: str) -> int:
    print(f"error: {name} is given twice, as {first!r} and {second!r}.", file=sys.stderr)
    return 2


def _help(description: str | None, default: object, required: bool) -> str:
    text = (description or "").replace("%", "%%").rstrip(".")
    if required or default in (None, "", False):
        return text
    return f"{text} (default: {default})"
