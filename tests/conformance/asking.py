"""Fixtures of the conformance suite: tools and a prompt that ask the client back.

In the handshake era they send requests; since 2026-07-28 they return what they need.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcp.server.mcpserver import Context, MCPServer
from mcp.types import (
    CreateMessageRequest,
    CreateMessageRequestParams,
    CreateMessageResult,
    ElicitRequest,
    ElicitRequestFormParams,
    ElicitResult,
    InputRequest,
    InputRequiredResult,
    ListRootsRequest,
    ListRootsResult,
    SamplingMessage,
    TextContent,
)

_NAME = {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}


def _message(text: str) -> SamplingMessage:
    return SamplingMessage(role="user", content=TextContent(type="text", text=text))


def _elicit(message: str, schema: Mapping[str, Any]) -> ElicitRequest:
    return ElicitRequest(
        params=ElicitRequestFormParams(message=message, requested_schema=dict(schema))
    )


def _sample(text: str, most: int) -> CreateMessageRequest:
    return CreateMessageRequest(
        params=CreateMessageRequestParams(messages=[_message(text)], max_tokens=most)
    )


def _needs(state: str | None = None, /, **requests: InputRequest) -> InputRequiredResult:
    return InputRequiredResult(input_requests=requests, request_state=state)


def _said(ctx: Context, key: str, field: str, kind: type = str) -> Any:
    """The accepted value of one field of an elicitation, None when it is not usable."""
    answer = (ctx.input_responses or {}).get(key)
    if not isinstance(answer, ElicitResult) or answer.action != "accept":
        return None
    value = (answer.content or {}).get(field)
    return value if isinstance(value, kind) else None


def _sampled(ctx: Context, key: str) -> str | None:
    answer = (ctx.input_responses or {}).get(key)
    if isinstance(answer, CreateMessageResult) and isinstance(answer.content, TextContent):
        return answer.content.text
    return None


def add_requests(server: MCPServer) -> None:
    """Tools of the handshake era that send sampling and elicitation requests."""

    @server.tool(description="Asks the client's model.", structured_output=False)
    async def test_sampling(prompt: str, ctx: Context) -> str:
        # Sampling is deprecated since 2026-07-28 and required before.
        result = await ctx.session.create_message(  # pyright: ignore[reportDeprecated]
            messages=[_message(prompt)], max_tokens=100, related_request_id=ctx.request_id
        )
        text = result.content.text if isinstance(result.content, TextContent) else ""
        return f"LLM response: {text}"

    @server.tool(description="Asks the user two things.", structured_output=False)
    async def test_elicitation(message: str, ctx: Context) -> str:
        schema = {
            "type": "object",
            "properties": {
                "username": {"type": "string", "description": "User's response"},
                "email": {"type": "string", "description": "User's email address"},
            },
            "required": ["username", "email"],
        }
        return f"User response: {await _asked(ctx, message, schema)}"

    @server.tool(description="Asks with defaults.", structured_output=False)
    async def test_elicitation_sep1034_defaults(ctx: Context) -> str:
        properties = {
            "name": {"type": "string", "default": "John Doe"},
            "age": {"type": "integer", "default": 30},
            "score": {"type": "number", "default": 95.5},
            "status": {
                "type": "string",
                "enum": ["active", "inactive", "pending"],
                "default": "active",
            },
            "verified": {"type": "boolean", "default": True},
        }
        schema = {"type": "object", "properties": properties}
        return f"Elicitation completed: {await _asked(ctx, 'Check the defaults.', schema)}"

    @server.tool(description="Asks with each kind of choice.", structured_output=False)
    async def test_elicitation_sep1330_enums(ctx: Context) -> str:
        plain = ["option1", "option2", "option3"]
        titled = [
            {"const": f"value{number}", "title": f"{word} Option"}
            for number, word in enumerate(("First", "Second", "Third"), 1)
        ]
        properties = {
            "untitledSingle": {"type": "string", "enum": plain},
            "titledSingle": {"type": "string", "oneOf": titled},
            "legacyEnum": {
                "type": "string",
                "enum": ["opt1", "opt2", "opt3"],
                "enumNames": ["Option One", "Option Two", "Option Three"],
            },
            "untitledMulti": {"type": "array", "items": {"type": "string", "enum": plain}},
            "titledMulti": {"type": "array", "items": {"anyOf": titled}},
        }
        schema = {"type": "object", "properties": properties}
        return f"Elicitation completed: {await _asked(ctx, 'Choose.', schema)}"

    _ = (
        test_sampling,
        test_elicitation,
        test_elicitation_sep1034_defaults,
        test_elicitation_sep1330_enums,
    )


async def _asked(ctx: Context, message: str, schema: dict[str, Any]) -> str:
    result = await ctx.session.elicit_form(message, schema, related_request_id=ctx.request_id)
    return f"action={result.action}, content={result.content}"


def add_single_rounds(server: MCPServer) -> None:
    """Tools and a prompt that need one round of answers."""

    @server.tool(description="Needs a name.", structured_output=False)
    def test_input_required_result_elicitation(ctx: Context) -> Any:
        name = _said(ctx, "user_name", "name")
        if name is None:
            return _needs(user_name=_elicit("What is your name?", _NAME))
        return f"Hello, {name}!"

    @server.tool(description="Needs the client's model.", structured_output=False)
    def test_input_required_result_sampling(ctx: Context) -> Any:
        text = _sampled(ctx, "capital_question")
        if text is None:
            return _needs(capital_question=_sample("What is the capital of France?", 100))
        return text

    @server.tool(description="Needs the client's roots.", structured_output=False)
    def test_input_required_result_list_roots(ctx: Context) -> Any:
        answer = (ctx.input_responses or {}).get("client_roots")
        if not isinstance(answer, ListRootsResult):
            return _needs(client_roots=ListRootsRequest())
        return "Roots: " + ", ".join(str(root.uri) for root in answer.roots)

    @server.tool(description="Needs what the client can do.", structured_output=False)
    def test_input_required_result_capabilities(ctx: Context) -> Any:
        requests = _answerable(ctx)
        if not requests or ctx.input_responses:
            return "Nothing more is needed."
        return _needs(**requests)

    @server.prompt(description="Needs a context.")
    def test_input_required_result_prompt(ctx: Context) -> Any:
        context = _said(ctx, "user_context", "context")
        if context is not None:
            return f"Use this context: {context}"
        schema = {
            "type": "object",
            "properties": {"context": {"type": "string"}},
            "required": ["context"],
        }
        return _needs(user_context=_elicit("What context should the prompt use?", schema))

    _ = (
        test_input_required_result_elicitation,
        test_input_required_result_sampling,
        test_input_required_result_list_roots,
        test_input_required_result_capabilities,
        test_input_required_result_prompt,
    )


def _answerable(ctx: Context) -> dict[str, InputRequest]:
    can = ctx.client_capabilities
    requests: dict[str, InputRequest] = {}
    if can is not None and can.elicitation is not None:
        requests["user_name"] = _elicit("What is your name?", _NAME)
    if can is not None and can.sampling is not None:
        requests["greeting"] = _sample("Generate a greeting", 50)
    return requests


def add_rounds_with_state(server: MCPServer) -> None:
    """Tools that carry state from round to round; the SDK seals it."""
    confirm = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
    color = {"type": "object", "properties": {"color": {"type": "string"}}, "required": ["color"]}

    @server.tool(description="Needs a confirmation.", structured_output=False)
    def test_input_required_result_request_state(ctx: Context) -> Any:
        if ctx.request_state != "confirming" or _said(ctx, "confirm", "ok", bool) is None:
            return _needs("confirming", confirm=_elicit("Please confirm", confirm))
        return "state-ok"

    @server.tool(description="Refuses changed state.", structured_output=False)
    def test_input_required_result_tampered_state(ctx: Context) -> Any:
        if ctx.request_state != "sealed" or _said(ctx, "confirm", "ok", bool) is None:
            return _needs("sealed", confirm=_elicit("Please confirm", confirm))
        return "The state is as it was."

    @server.tool(description="Needs three things at once.", structured_output=False)
    def test_input_required_result_multiple_inputs(ctx: Context) -> Any:
        name, greeting = _said(ctx, "user_name", "name"), _sampled(ctx, "greeting")
        roots = (ctx.input_responses or {}).get("client_roots")
        if name is None or greeting is None or not isinstance(roots, ListRootsResult):
            return _needs(
                "asked",
                user_name=_elicit("What is your name?", _NAME),
                greeting=_sample("Generate a greeting", 50),
                client_roots=ListRootsRequest(),
            )
        return f"{greeting} {name}, with {len(roots.roots)} roots."

    @server.tool(description="Needs two rounds.", structured_output=False)
    def test_input_required_result_multi_round(ctx: Context) -> Any:
        state = ctx.request_state or ""
        if state.startswith("step2:") and (chosen := _said(ctx, "step2", "color")) is not None:
            return f"{state.removeprefix('step2:')} likes {chosen}."
        if state == "step1" and (name := _said(ctx, "step1", "name")) is not None:
            question = "Step 2: What is your favorite color?"
            return _needs(f"step2:{name}", step2=_elicit(question, color))
        return _needs("step1", step1=_elicit("Step 1: What is your name?", _NAME))

    _ = (
        test_input_required_result_request_state,
        test_input_required_result_tampered_state,
        test_input_required_result_multiple_inputs,
        test_input_required_result_multi_round,
    )
