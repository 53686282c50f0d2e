"""The command line: one command per question, nothing heavy imported before it is asked."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from vllm_preflight import __version__
from vllm_preflight_server.cli.streams import discard_output, prepare_streams

USAGE = """\
usage: vllm-preflight COMMAND [OPTIONS]

Will this model start on these GPUs under vLLM, and with how much KV cache?

commands:
  plan MODEL        size a deployment for a workload and say what to run
  generate MODEL    write the files that run such a plan into a folder (-o DIR)
  check MODEL       predict what vllm serve does with exact arguments; also
                    check --gpu H100 -- vllm serve MODEL -tp 2 --max-model-len 32k
                    check -f FILE|DIR|-  (manifests, compose, Helm values, unit files)
  diff --from 0.18.0 --to 0.33.0 -- vllm serve …
                    what an upgrade of vLLM does to a launch, and what restores it
  pack --gpu H100 -- 'vllm serve A' 'vllm serve B'
                    do several servers share one GPU, and with which shares
  compare MODEL     which GPUs carry a workload, how many, and what each costs
  find              which models of the catalogue run on these GPUs
  explain LOG       what happened in a vLLM log (a file, or - for standard input), or
                    explain --url http://HOST:8000: what a running server holds
  inspect MODEL     what a model is made of, and where the facts come from
  detect            this machine's GPUs
  overhead          the runtime overhead formula
  call TOOL JSON    one MCP tool, called in this process, its structured answer printed
  serve             the MCP server, on stdin and stdout or over HTTP
  ui                a page in the browser that answers as you change the question

options:
  -h, --help        this text; COMMAND --help lists the command's options
  --version         the version

MODEL is a folder with a config.json, a Hugging Face id, or a name of the catalogue ("llama
3.1 8b"). The Hub is asked first; where it is off or away, the embedded catalogue answers.

exit codes:
  0  it starts (requests may wait), or the question was answered
  1  it does not start, is refused by vLLM, or may fail (borderline)
  2  bad usage: an option, value or file that cannot be what it says
  3  the model is unknown, unsupported, or the Hub cannot be reached
  4  the GPU is unknown, or none was detected
 70  a bug of vllm-preflight

environment:
  HF_TOKEN, HF_ENDPOINT, HF_HOME, HF_HUB_OFFLINE   as huggingface_hub reads them
  CUDA_VISIBLE_DEVICES                             which GPUs detect and gpu=auto see
"""

COMMANDS = (
    "plan",
    "generate",
    "check",
    "diff",
    "pack",
    "compare",
    "find",
    "explain",
    "inspect",
    "detect",
    "overhead",
    "call",
    "serve",
    "ui",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    prepare_streams()
    try:
        code = _run(argv)
        sys.stdout.flush()
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        # The reader (head, less) closed first, and has what it wants.
        discard_output()
        return 0
    except OSError as error:
        discard_output()
        print(f"error: the answer cannot be written: {error.strerror or error}.", file=sys.stderr)
        return 2
    return code


def _run(argv: Sequence[str] | None) -> int:
    arguments = list(sys.argv[1:] if argv is None else argv)
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(USAGE, end="")
        return 0 if arguments else 2
    if arguments[0] == "--version":
        print(f"vllm-preflight {__version__}")
        return 0
    if arguments[0] not in COMMANDS:
        return _unknown_command(arguments[0])
    from vllm_preflight_server.cli import commands

    return commands.run(arguments[0], arguments[1:])


def _unknown_command(name: str) -> int:
    import difflib

    near = difflib.get_close_matches(name, COMMANDS, n=1)
    guess = f" Did you mean {near[0]!r}?" if near else ""
    print(
        f"error: there is no command {name!r}.{guess} Commands: {', '.join(COMMANDS)}.",
        file=sys.stderr,
    )
    return 2
