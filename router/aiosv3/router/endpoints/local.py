"""A model in this process: a GGUF file under OpenVINO GenAI, on the CPU. Honest about being small, never a stand-in.

Everything native happens in one thread of its own: loading, tokenizing and one generation at a time. The event loop
only waits.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from aiosv3.router.endpoints.conversation import turns
from aiosv3.router.endpoints.endpoint import Call, Completed, Probed
from aiosv3.router.endpoints.errors import (
    Advice,
    BadRequest,
    CallTimeout,
    ContextTooLong,
    ModelMissing,
    SchemaViolated,
    ServerFault,
    Spent,
    Unreachable,
)
from aiosv3.router.endpoints.outputschema import read_schema, violation
from aiosv3.router.endpoints.reading import well_formed
from aiosv3.router.endpoints.weights import SMOLLM2, Weights, WeightsUnavailable, find_weights
from aiosv3.schemas.records import Prompt, Role

_ROLES: Final = {Role.SYSTEM: "system", Role.USER: "user", Role.ASSISTANT: "assistant", Role.TOOL: "user"}
_ELSEWHERE: Final = Advice(reroute=True)
_T = TypeVar("_T")


@dataclass(slots=True)
class _Generation:
    """One call. The model's thread writes, the loop reads; ``cancelled`` is the only word in the other direction."""

    call: Call
    began: float
    cancelled: threading.Event = field(default_factory=threading.Event)
    first_at: float | None = None
    input_tokens: int = 0
    pieces: int = 0
    hear: Callable[[str], object] | None = None
    """Takes a piece of the text to the loop."""

    def spent(self) -> Spent:
        return Spent(self.input_tokens, self.pieces, estimated=True)


class LocalModel:
    """An :class:`~aiosv3.router.endpoints.endpoint.Endpoint` without a network.

    The file is looked for (and fetched, see ``weights``) and loaded at the first call or probe, about six seconds.
    Calls queue for the one thread; waiting counts against their time. A cancelled call stops at its next token;
    the reading of a long prompt before the first token cannot be interrupted.
    """

    def __init__(
        self,
        path: Path | None = None,
        *,
        weights: Weights = SMOLLM2,
        cache: Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.model = weights.model
        self._weights = weights
        self._path = path
        self._cache = cache
        self._clock = clock
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"model-{weights.model}")
        self._pipeline: Any = None
        self._open: dict[int, _Generation] = {}
        self._closed = False

    async def complete(self, call: Call) -> Completed:
        if call.model != self.model:
            raise ModelMissing(f"this is {self.model}, not {call.model!r}")
        generation = _Generation(call, self._clock())
        self._open[id(generation)] = generation
        if (heard := call.on_text) is not None:
            loop = asyncio.get_running_loop()
            generation.hear = lambda piece: loop.call_soon_threadsafe(heard, piece)
        try:
            async with asyncio.timeout(call.timeout_s):
                return await self._in_thread(self._generate, generation)
        except TimeoutError:
            words = f"no complete answer within {call.timeout_s:g} s"
            raise CallTimeout(words, spent=generation.spent()) from None
        finally:
            generation.cancelled.set()
            del self._open[id(generation)]

    async def probe(self) -> Probed:
        began = self._clock()
        await self._in_thread(self._load)
        return Probed((self.model,), round((self._clock() - began) * 1000))

    async def aclose(self) -> None:
        """Ends the thread after its current token and gives the memory back."""
        self._closed = True
        for generation in self._open.values():
            generation.cancelled.set()
        await asyncio.to_thread(self._thread.shutdown)
        self._pipeline = None

    async def _in_thread(self, work: Callable[..., _T], *arguments: Any) -> _T:
        if self._closed:
            raise Unreachable("the local model has been closed")
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *arguments)

    def _load(self) -> Any:
        if self._pipeline is None:
            try:
                import openvino_genai
            except ImportError as error:
                words = f"the local model needs the extra 'local': pip install 'aiosv3[local]' ({error})"
                raise ModelMissing(words) from None
            try:
                path = self._path or find_weights(self._weights, self._cache)
                self._pipeline = openvino_genai.LLMPipeline(str(path), "CPU")
            except WeightsUnavailable as error:
                raise ModelMissing(str(error)) from None
            except RuntimeError as error:
                raise ModelMissing(f"{self.model} could not be loaded: {_last_line(error)}") from None
        return self._pipeline

    def _generate(self, generation: _Generation) -> Completed:
        pipeline = self._load()
        prompt = generation.call.prompt
        tokenizer = pipeline.get_tokenizer()
        text = tokenizer.apply_chat_template(_messages(prompt), add_generation_prompt=True)
        inputs = tokenizer.encode(text, add_special_tokens=False)
        generation.input_tokens = inputs.input_ids.shape[1]
        window = self._weights.context_window
        if generation.input_tokens + prompt.max_tokens > window:
            words = f"{generation.input_tokens} tokens and max_tokens={prompt.max_tokens} exceed the window of {window}"
            raise ContextTooLong(words)
        result = self._run(pipeline, inputs, generation)
        tokens = result.tokens[0]
        finish = "length" if result.finish_reasons[0].name == "LENGTH" else "stop"
        answer = well_formed(tokenizer.decode(tokens))
        self._check(answer, finish, generation, len(tokens))
        first = generation.first_at
        return Completed(
            text=answer,
            tool_calls=None,
            finish_reason=finish,
            input_tokens=generation.input_tokens,
            output_tokens=len(tokens),
            first_token_ms=None if first is None else round((first - generation.began) * 1000),
        )

    def _run(self, pipeline: Any, inputs: Any, generation: _Generation) -> Any:
        import openvino_genai

        status = openvino_genai.StreamingStatus

        def streamed(piece: str) -> Any:
            generation.pieces += 1
            if generation.first_at is None:
                generation.first_at = self._clock()
            if generation.hear is not None and not generation.cancelled.is_set():
                with suppress(RuntimeError):  # the loop is closed: nobody reads any more
                    generation.hear(piece)
            return status.CANCEL if generation.cancelled.is_set() else status.RUNNING

        if not generation.cancelled.is_set():
            config = _config(openvino_genai, generation.call.prompt)
            try:
                result = pipeline.generate(inputs, config, streamed)
            except RuntimeError as error:
                raise _native_fault(error, generation) from None
            if not generation.cancelled.is_set():
                return result
        # A caller that gave up never sees this; one whose endpoint was closed does.
        raise Unreachable("the local model has been closed")

    def _check(self, answer: str, finish: str, generation: _Generation, output_tokens: int) -> None:
        schema = generation.call.prompt.output_schema
        if schema is None or (wrong := violation(answer, schema)) is None:
            return
        spent = Spent(generation.input_tokens, output_tokens)
        cut = "; the answer was cut at max_tokens" if finish == "length" else ""
        # Greedy decoding gives the same answer again.
        raise SchemaViolated(wrong + cut, spent=spent, advice=_ELSEWHERE)


def _messages(prompt: Prompt) -> list[dict[str, str]]:
    if prompt.tools is not None:
        raise BadRequest("the local model calls no tools", advice=_ELSEWHERE)
    return [{"role": _ROLES[turn.role], "content": _inert(turn.text)} for turn in turns(prompt)]


def _inert(text: str) -> str:
    """Text whose ``<|im_end|>`` and the like stay words.

    As tokens they would end a message and let its author speak as another role.
    """
    return well_formed(text).replace("<|", "< |")


def _config(genai: Any, prompt: Prompt) -> Any:
    config = genai.GenerationConfig()
    config.apply_chat_template = False
    config.max_new_tokens = prompt.max_tokens
    if prompt.temperature:
        config.do_sample = True
        config.temperature = prompt.temperature
    if prompt.stop:
        config.stop_strings = set(prompt.stop)
    if prompt.output_schema is not None:
        read_schema(prompt.output_schema)
        config.structured_output_config = genai.StructuredOutputConfig(json_schema=prompt.output_schema)
    return config


def _native_fault(error: RuntimeError, generation: _Generation) -> BadRequest | ServerFault:
    if generation.call.prompt.output_schema is not None and "xgrammar" in str(error):
        return BadRequest(f"the schema cannot guide this model: {_last_line(error)}", advice=_ELSEWHERE)
    return ServerFault(f"the local model failed: {_last_line(error)}", spent=generation.spent())


def _last_line(error: RuntimeError) -> str:
    """The message without the native library's source paths."""
    lines = str(error).strip().splitlines() or ["no reason given"]
    return lines[-1].rpartition(".cc:")[2].rpartition(".cpp:")[2][:300]
