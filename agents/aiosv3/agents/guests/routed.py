"""A pydantic-ai model whose requests are ``generate`` steps: the router chooses who answers, no key is needed here."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from pydantic_ai.exceptions import UserError
from pydantic_ai.messages import (
    ModelMessage,
    ModelResponse,
    RetryFeedbackPart,
    SystemPromptPart,
    TextContent,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
    UserPromptPart,
)
from pydantic_ai.models import CompletedStreamedResponse, Model, ModelRequestParameters, StreamedResponse
from pydantic_ai.profiles import ModelProfile
from pydantic_ai.settings import ModelSettings
from pydantic_ai.tools import RunContext, ToolDefinition
from pydantic_ai.usage import RequestUsage

from aiosv3.agents.context import MAX_TOKENS, Context
from aiosv3.agents.decoding import adapter_of
from aiosv3.agents.turn import ModelTurn, ToolCall
from aiosv3.schemas.records import Message, Prompt, Role

_PROFILE: Final = ModelProfile(
    supports_tools=True,
    supports_json_schema_output=True,
    # Files that tools return are then named to the model in words.
    supports_image_input=False,
    supports_document_input=False,
    supports_audio_file_input=False,
    supports_video_input=False,
)


class RoutedModel(Model[None]):
    """Asks through ``ctx``, with its budget, clearance and limits. Takes text; streams are answered in one piece.

    ``model``, ``pool``, ``complexity``: as in ``ctx.generate``. Of the settings it takes ``max_tokens``,
    ``temperature`` and ``stop_sequences``; the others are a provider's own.
    """

    def __init__(
        self, ctx: Context, *, model: str | None = None, pool: str | None = None, complexity: float | None = None
    ) -> None:
        super().__init__(profile=_PROFILE)
        self._ctx = ctx
        self._model = model
        self._pool = pool
        self._complexity = complexity

    @property
    def model_name(self) -> str:
        return self._model or "routed"

    @property
    def system(self) -> str:
        return "aiosv3"

    @property
    def provider(self) -> None:
        return None

    async def request(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
    ) -> ModelResponse:
        settings, parameters = self.prepare_request(model_settings, model_request_parameters)
        said = list(_messages(messages))
        standing = self._get_instruction_parts(messages, parameters) or ()
        prompt = prompt_of([*(Message(Role.SYSTEM, part.content) for part in standing), *said], settings, parameters)
        turn = await self._ctx.generate(
            prompt, output_type=ModelTurn, model=self._model, pool=self._pool, complexity=self._complexity
        )
        return ModelResponse(
            parts=_parts(turn),
            usage=RequestUsage(
                input_tokens=turn.usage.input_tokens,
                output_tokens=turn.usage.output_tokens,
                cache_read_tokens=turn.usage.cached_tokens,
                cache_write_tokens=turn.usage.cache_write_tokens + turn.usage.cache_write_long_tokens,
            ),
            model_name=self.model_name,
            provider_name=self.system,
            timestamp=self._ctx.now(),
        )

    @asynccontextmanager
    async def request_stream(
        self,
        messages: list[ModelMessage],
        model_settings: ModelSettings | None,
        model_request_parameters: ModelRequestParameters,
        run_context: RunContext[Any] | None = None,
    ) -> AsyncGenerator[StreamedResponse]:
        response = await self.request(messages, model_settings, model_request_parameters)
        yield CompletedStreamedResponse(response, model_request_parameters=model_request_parameters, replay_events=True)


def prompt_of(
    messages: Sequence[Message], settings: ModelSettings | None, parameters: ModelRequestParameters
) -> Prompt:
    """The request as it travels. An answer in a schema of its own has one, and no tools that would contradict it."""
    tools = [*parameters.function_tools, *parameters.output_tools]
    settings = settings or {}
    schema = None
    if parameters.output_mode == "native" and parameters.output_object is not None:
        schema = adapter_of(Any).dump_json(parameters.output_object.json_schema).decode()
    return Prompt(
        messages=tuple(messages),
        output_schema=schema,
        max_tokens=settings.get("max_tokens", MAX_TOKENS),
        temperature=settings.get("temperature"),
        stop=tuple(settings.get("stop_sequences", ())),
        tools=adapter_of(Any).dump_json([_declared(tool) for tool in tools]).decode() if tools else None,
    )


def _declared(tool: ToolDefinition) -> dict[str, Any]:
    described = {"name": tool.name, "description": tool.description or "", "parameters": tool.parameters_json_schema}
    return {"type": "function", "function": described}


def _messages(messages: Sequence[ModelMessage]) -> Iterator[Message]:
    for message in messages:
        if isinstance(message, ModelResponse):
            yield _said(message)
        else:
            for part in message.parts:
                yield _request(part)


def _said(response: ModelResponse) -> Message:
    calls = [
        ToolCall(part.tool_call_id, part.tool_name, part.args_as_json_str())
        for part in response.parts
        if isinstance(part, ToolCallPart)
    ]
    text = "\n\n".join(part.content for part in response.parts if isinstance(part, TextPart))
    return ModelTurn(text, tuple(calls)).message()


def _request(part: Any) -> Message:
    if isinstance(part, SystemPromptPart):
        return Message(Role.SYSTEM, part.content)
    if isinstance(part, UserPromptPart):
        return Message(Role.USER, _text(part.content))
    if isinstance(part, ToolReturnPart):
        if part.files:
            raise UserError("a routed model takes text: this tool returned a file")
        return Message(Role.TOOL, part.model_response_str(), tool_call_id=part.tool_call_id)
    if isinstance(part, RetryFeedbackPart):
        return Message(Role.USER, part.model_response())
    raise UserError(f"a routed model does not know what a {type(part).__name__} is")


def _text(content: str | Sequence[Any]) -> str:
    if isinstance(content, str):
        return content
    pieces = [piece.content if isinstance(piece, TextContent) else piece for piece in content]
    if not all(isinstance(piece, str) for piece in pieces):
        raise UserError("a routed model takes text: this prompt has other content")
    return "\n\n".join(pieces)


def _parts(turn: ModelTurn) -> list[TextPart | ToolCallPart]:
    said = [TextPart(turn.text)] if turn.text else []
    return [*said, *(ToolCallPart(call.name, call.arguments, tool_call_id=call.id) for call in turn.tool_calls)]
