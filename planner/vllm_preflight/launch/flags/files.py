"""The YAML file of --config, read where it is there.

Source: vLLM utils/argparse_utils.py:load_config_file.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from vllm_preflight.base.documents import parse_yaml
from vllm_preflight.base.errors import InvalidRequest
from vllm_preflight.base.strangers import before_strangers, folders_are_read

_LARGEST_FILE = 1_000_000


def read_config_file(name: str) -> Mapping[str, Any] | None:
    """The arguments of the file, None where there is no such file here.

    Raises InvalidRequest for a file that is no YAML mapping, or far too large for one.
    """
    if not folders_are_read():
        return None
    path = Path(name).expanduser()
    try:
        if not path.is_file():
            return None
        if path.stat().st_size > _LARGEST_FILE:
            raise InvalidRequest(f"The file {name!r} of --config is larger than 1 MB.")
        before_strangers()
        content = parse_yaml(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidRequest(
            f"The file {name!r} of --config is no YAML that can be read.",
            "Give its arguments in the command.",
        ) from error
    if not isinstance(content, dict):
        raise InvalidRequest(
            f"The file {name!r} of --config holds no mapping of arguments to values.",
            "Write lines such as: tensor-parallel-size: 4",
        )
    return {str(key): value for key, value in cast(dict[object, object], content).items()}
