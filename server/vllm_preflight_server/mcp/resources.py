"""Resources: the catalogues and the method, for clients that read instead of asking."""

from __future__ import annotations

import json
from typing import Any

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError

from vllm_preflight.base.errors import PreflightError, UnknownGpu, UnknownModel
from vllm_preflight.base.text import presentable
from vllm_preflight_server.mcp import catalogue
from vllm_preflight_server.mcp.method import method_page

SCHEME = "vllm-preflight://"
GPU_TEMPLATE = f"{SCHEME}gpus/{{name}}"
# An id holds a slash; the plus lets it stand as it is, and %2F means the same.
MODEL_TEMPLATE = f"{SCHEME}models/{{+id}}"
_JSON = "application/json"


def add_resources(server: MCPServer) -> None:
    """Register every resource and template on `server`."""

    @server.resource(
        f"{SCHEME}gpus",
        name="gpus",
        title="GPU catalogue",
        description="Every GPU that tools accept by name: memory as CUDA shows it, compute "
        "capability and memory bandwidth.",
        mime_type=_JSON,
    )
    def gpus() -> str:
        return _json(catalogue.gpu_index())

    @server.resource(
        GPU_TEMPLATE,
        name="gpu",
        title="One GPU of the catalogue",
        description="All facts of one GPU with their sources; name as tools accept it, such as "
        "H100 or RTX 4090.",
        mime_type=_JSON,
    )
    def gpu(name: str) -> str:
        return _read(catalogue.gpu_facts, name)

    @server.resource(
        f"{SCHEME}models",
        name="models",
        title="Model catalogue",
        description="The ids of the models whose configs are built in and need no network.",
        mime_type=_JSON,
    )
    def models() -> str:
        return _json(catalogue.model_index())

    @server.resource(
        MODEL_TEMPLATE,
        name="model",
        title="One model of the catalogue",
        description="What a catalogued model is made of: parameters, layers, caches and sources; "
        "id such as Qwen/Qwen3-32B.",
        mime_type=_JSON,
    )
    def model(id: str) -> str:
        return _read(catalogue.model_facts, id)

    @server.resource(
        f"{SCHEME}method",
        name="method",
        title="Formulas, sources and measured accuracy",
        description="How every figure is computed, from which source, and how far it was from "
        "real vLLM start-ups.",
        mime_type="text/markdown",
    )
    def method() -> str:
        return method_page()

    # The decorators keep them; naming them here says that they are used.
    _ = (gpus, gpu, models, model, method)


def _read(facts: Any, name: str) -> str:
    try:
        return _json(facts(name))
    except (UnknownGpu, UnknownModel) as error:
        raise ResourceNotFoundError(presentable(str(error))) from error
    except PreflightError as error:
        raise ResourceError(presentable(str(error))) from error


def _json(value: Any) -> str:
    return json.dumps(value, indent=1, ensure_ascii=False)
