"""Resources, prompts, completions, instructions and refusals, in both eras."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import anyio
import pytest
from mcp import Client
from mcp.shared.exceptions import MCPError
from mcp.types import (
    PromptReference,
    ResourceTemplateReference,
    TextContent,
    TextResourceContents,
)

from vllm_preflight.hardware.catalog import gpu_names
from vllm_preflight.models.catalog.entries import catalog_ids
from vllm_preflight_server.mcp.app import INSTRUCTIONS, build_server
from vllm_preflight_server.mcp.prompts import MOST_COMPLETIONS

T = TypeVar("T")
SERVER = build_server()
SCHEME = "vllm-preflight://"
HOUR_MS = 3_600_000


def with_client(use: Callable[[Client], Awaitable[T]], mode: Any = "auto") -> T:
    async def session() -> T:
        async with Client(SERVER, mode=mode) as client:
            return await use(client)

    return anyio.run(session)


def read(uri: str, mode: Any = "auto") -> str:
    (content,) = with_client(lambda client: client.read_resource(uri), mode).contents
    assert isinstance(content, TextResourceContents)
    return content.text


def refused(use: Callable[[Client], Awaitable[object]], mode: Any = "auto") -> MCPError:
    # Caught inside the session, which would wrap it.
    async def catch(client: Client) -> MCPError:
        with pytest.raises(MCPError) as caught:
            await use(client)
        return caught.value

    return with_client(catch, mode)


def test_instructions_are_short() -> None:
    assert len(INSTRUCTIONS.split()) <= 120


def test_resources_are_listed(era: Any) -> None:
    listed = with_client(lambda client: client.list_resources(), era).resources
    assert [resource.uri for resource in listed if resource.uri.startswith(SCHEME)] == [
        f"{SCHEME}{name}" for name in ("gpus", "models", "method")
    ]
    templates = with_client(lambda client: client.list_resource_templates(), era)
    assert [template.uri_template for template in templates.resource_templates] == [
        f"{SCHEME}gpus/{{name}}",
        f"{SCHEME}models/{{+id}}",
    ]
    assert all(resource.description and resource.title for resource in listed)


def test_the_gpu_catalogue_is_whole(era: Any) -> None:
    index = json.loads(read(f"{SCHEME}gpus", era))
    assert [gpu["name"] for gpu in index["gpus"]] == list(gpu_names())
    assert index["count"] == len(gpu_names())


@pytest.mark.parametrize("name", ["H100%20SXM5%2080GB", "H100", "h100-sxm"])
def test_a_gpu_is_found_by_the_names_tools_take(name: str) -> None:
    facts = json.loads(read(f"{SCHEME}gpus/{name}"))
    assert facts["name"] == "H100 SXM5 80GB"
    assert facts["compute_capability"] == "9.0"
    assert set(facts["sources"]) >= {"memory_bandwidth_gb_s"} or facts["sources"]


def test_every_gpu_has_a_page() -> None:
    async def read_all(client: Client) -> None:
        for name in gpu_names():
            uri = f"{SCHEME}gpus/{name.replace(' ', '%20')}"
            (content,) = (await client.read_resource(uri)).contents
            assert isinstance(content, TextResourceContents)
            assert json.loads(content.text)["name"] == name

    with_client(read_all)


@pytest.mark.parametrize("written", ["Qwen/Qwen3-32B", "Qwen%2FQwen3-32B", "qwen3-32b"])
def test_a_model_is_found_however_its_slash_is_written(written: str, era: Any) -> None:
    facts = json.loads(read(f"{SCHEME}models/{written}", era))
    assert facts["model"]["model"] == "Qwen/Qwen3-32B"
    assert facts["model"]["origin"] == "catalog"
    assert facts["terms"]


def test_the_model_catalogue_is_whole() -> None:
    assert json.loads(read(f"{SCHEME}models"))["models"] == list(catalog_ids())


def test_a_model_page_never_looks_at_folders(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "Qwen" / "Qwen3-32B"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    facts = json.loads(read(f"{SCHEME}models/Qwen/Qwen3-32B"))
    assert facts["model"]["origin"] == "catalog"


def test_the_method_page_has_formulas_with_their_sources() -> None:
    page = read(f"{SCHEME}method")
    for term in ("weights", "kv_cache", "overhead", "available_kv_cache", "non_torch"):
        assert f"| {term} |" in page, term
    assert "## Measured accuracy" in page


@pytest.mark.parametrize(
    ("uri", "sentence"),
    [
        ("gpus/H900", "Nearest names: H100"),
        ("models/Qwen/Qwen3-32C", "Nearest: Qwen/Qwen3-32B"),
        ("models/..%2F..%2Fetc%2Fpasswd", "Unknown resource"),
        ("models//etc/passwd", "Unknown resource"),
        ("models/nobody/nothing-like-it", "inspect_model reads other models"),
        ("nothing", "Unknown resource"),
    ],
)
def test_an_unknown_resource_is_refused_with_what_is_near(
    uri: str, sentence: str, era: Any
) -> None:
    error = refused(lambda client: client.read_resource(SCHEME + uri), era).error
    assert error.code == -32602
    assert sentence in error.message
    assert error.data == {"uri": SCHEME + uri}


def test_lists_and_pages_may_be_kept() -> None:
    async def hints(client: Client) -> list[Any]:
        return [
            await client.list_tools(),
            await client.list_prompts(),
            await client.list_resources(),
            await client.list_resource_templates(),
            await client.read_resource(f"{SCHEME}gpus"),
        ]

    for result in with_client(hints):
        assert (result.ttl_ms, result.cache_scope) == (HOUR_MS, "public"), result


PROMPTS = {
    "size_a_model": {"model": "Qwen/Qwen3-32B", "gpu": "H100"},
    "debug_a_crash": {"command": "vllm serve Qwen/Qwen3-32B -tp 2", "log": "CUDA out of memory"},
    "choose_hardware": {"model": "Qwen/Qwen3-32B"},
    "upgrade_vllm": {
        "command": "vllm serve Qwen/Qwen3-32B -tp 2",
        "now": "0.18.0",
        "then": "0.33.0",
    },
}


@pytest.mark.parametrize("name", PROMPTS)
def test_prompts_name_tools_there_are(name: str, era: Any) -> None:
    async def get(client: Client) -> tuple[str, set[str]]:
        result = await client.get_prompt(name, PROMPTS[name])
        (message,) = result.messages
        assert isinstance(message.content, TextContent)
        return message.content.text, {tool.name for tool in (await client.list_tools()).tools}

    text, tools = with_client(get, era)
    for value in PROMPTS[name].values():
        assert value in text
    named = {word.strip(".,") for word in text.split() if "_" in word} & {
        "plan_deployment",
        "predict_startup",
        "detect_gpus",
        "inspect_model",
    }
    assert named and named <= tools


def test_a_crash_with_a_log_is_explained_from_it() -> None:
    async def get(client: Client) -> str:
        result = await client.get_prompt("debug_a_crash", PROMPTS["debug_a_crash"])
        assert isinstance(result.messages[0].content, TextContent)
        return result.messages[0].content.text

    assert "1. Call explain_startup_log" in with_client(get)


def test_prompt_arguments_are_described() -> None:
    listed = with_client(lambda client: client.list_prompts()).prompts
    assert [prompt.name for prompt in listed] == list(PROMPTS)
    for prompt in listed:
        assert prompt.title and prompt.description
        assert all(argument.description for argument in prompt.arguments or [])


@pytest.mark.parametrize(
    ("prompt", "sentence"),
    [("size_model", "Did you mean size_a_model?"), ("size_a_model", "needs the argument model")],
)
def test_prompts_that_cannot_be_made_are_invalid_parameters(
    prompt: str, sentence: str, era: Any
) -> None:
    error = refused(lambda client: client.get_prompt(prompt), era).error
    assert error.code == -32602
    assert sentence in error.message


@pytest.mark.parametrize(
    ("tool", "sentence"),
    [
        ("plan_deploymnt", "Did you mean plan_deployment?"),
        ("\x00" * 500, "There is no tool"),
        ("", "There is no tool"),
    ],
)
def test_unknown_tools_are_invalid_parameters(tool: str, sentence: str, era: Any) -> None:
    error = refused(lambda client: client.call_tool(tool, {}), era).error
    assert error.code == -32602
    assert sentence in error.message
    assert len(error.message) < 900


def completed(ref: Any, name: str, value: str) -> Any:
    argument = {"name": name, "value": value}
    return with_client(lambda client: client.complete(ref, argument)).completion


GPU_PAGE = ResourceTemplateReference(uri=f"{SCHEME}gpus/{{name}}")
MODEL_PAGE = ResourceTemplateReference(uri=f"{SCHEME}models/{{+id}}")
SIZING = PromptReference(name="size_a_model")


@pytest.mark.parametrize(
    ("ref", "name", "typed", "first"),
    [
        (GPU_PAGE, "name", "h100 s", "H100 SXM5 80GB"),
        (GPU_PAGE, "name", "RTX 409", "GeForce RTX 4090"),
        (MODEL_PAGE, "id", "qwen/qwen3-32b", "Qwen/Qwen3-32B"),
        (SIZING, "model", "Qwen3-32B", "Qwen/Qwen3-32B"),
        (SIZING, "model", "qwen/qwen3-32c", "Qwen/Qwen3-32B"),
        (SIZING, "gpu", "au", "auto"),
        (PromptReference(name="choose_hardware"), "candidates", "L40S, h200 s", "L40S, H200 SXM"),
    ],
)
def test_completions_put_what_was_meant_first(ref: Any, name: str, typed: str, first: str) -> None:
    assert completed(ref, name, typed).values[0].startswith(first)


def test_completions_are_bounded() -> None:
    completion = completed(SIZING, "model", "")
    assert len(completion.values) == MOST_COMPLETIONS
    assert completion.has_more is True
    assert completion.total == len(catalog_ids())


def test_nothing_is_offered_for_free_text() -> None:
    assert completed(SIZING, "workload", "10").values == []
    assert completed(PromptReference(name="nothing"), "other", "x").values == []
