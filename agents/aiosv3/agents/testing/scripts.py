"""What a test says that models, other agents and people answer."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from enum import Enum
from typing import Any, Final, Generic, NamedTuple, TypeVar

from pydantic_core import to_json

from aiosv3.agents.errors import StepError
from aiosv3.agents.testing.errors import NotScripted
from aiosv3.agents.testing.prompt import Prompt
from aiosv3.agents.turn import ModelTurn
from aiosv3.schemas.people import Question, QuestionKind
from aiosv3.schemas.records import StepFailure, Usage

Asked = TypeVar("Asked")


class Never(Enum):
    """``mesh.model(NEVER)``: no answer comes, so that time-outs and deadlines can be tested."""

    NEVER = "never"


NEVER: Final = Never.NEVER


class Said(NamedTuple):
    """An answer on its way. ``after``: virtual seconds until it lands; None: never."""

    content: str | None
    failure: StepFailure | None = None
    usage: Usage | None = None
    after: float | None = 0.0


@dataclass(slots=True, eq=False)
class Script(Generic[Asked]):
    """One rule of a test. ``asked`` holds what it answered, oldest first: a request counts once, whatever crashes."""

    answer: Any
    fits: Callable[[Asked], bool]
    who: str
    takes: float = 0.0
    usd_micros: int = 0
    by_keyword: bool = False
    asked: list[Asked] = field(default_factory=list)

    @property
    def calls(self) -> int:
        """How many requests it answered."""
        return len(self.asked)

    def used_up(self) -> bool:
        """True for a list of answers that have all been given."""
        return isinstance(self.answer, list) and len(self.asked) >= len(self.answer)

    def take(self, asked: Asked) -> Any:
        """The answer to one request: a value, NEVER, or the StepError that it fails with."""
        answer = self.answer[len(self.asked)] if isinstance(self.answer, list) else self.answer
        self.asked.append(asked)
        if isinstance(answer, type) and issubclass(answer, StepError):
            return answer("as the test says")
        if callable(answer) and not isinstance(answer, StepError):
            try:
                return answer(**asked) if self.by_keyword and isinstance(asked, dict) else answer(asked)
            except StepError as error:
                return error
        return answer


class Call(NamedTuple):
    """A task for a scripted agent, or a call of a tool (``zone/server/tool``). ``value``: its input as plain data."""

    id: str
    hash: str
    name: str
    value: Any


class PersonSaid(NamedTuple):
    """A person's answer. ``after`` as for :class:`Said`."""

    who: str
    approved: bool | None
    comment: str | None
    content: str | None
    after: float | None


class Scripts:
    """The rules of a test. The first one that fits answers; what was asked once is answered alike ever after.

    So a test that is repeated with crashes sees the same answers, and its functions are not called again for them.
    """

    def __init__(self) -> None:
        self.models: list[Script[Prompt]] = []
        self.agents: dict[str, Script[Any]] = {}
        self.tools: dict[str, Script[dict[str, Any]]] = {}
        self.people: dict[str | None, Script[Question]] = {}
        self._said: dict[tuple[str, str], Said] = {}
        self._people_said: dict[tuple[str, str], PersonSaid] = {}

    def add_model(
        self, answer: Any, agent: str | None, output_type: Any, matching: str | None, pace: tuple[timedelta, int]
    ) -> Script[Prompt]:
        """A rule for model requests; ``pace``: how long an answer takes, and what it costs in micro-dollars."""
        pattern = None if matching is None else re.compile(matching)

        def fits(prompt: Prompt) -> bool:
            return (
                (agent is None or prompt.agent == agent)
                and (output_type is None or prompt.wants(output_type))
                and (pattern is None or pattern.search(str(prompt)) is not None)
            )

        takes, usd_micros = pace
        script = Script(answer, fits, "model", takes.total_seconds(), usd_micros)
        self.models.append(script)
        return script

    def add_agent(self, name: str, answer: Any, takes: timedelta) -> Script[Any]:
        """The rule for an agent that is not in this process; its function gets the value of the task."""
        script: Script[Any] = Script(answer, _anything, name, takes.total_seconds())
        self.agents[name] = script
        return script

    def add_tool(self, name: str, answer: Any, takes: timedelta) -> Script[dict[str, Any]]:
        """The rule for a tool; its function gets the arguments by keyword."""
        script: Script[dict[str, Any]] = Script(answer, _anything, name, takes.total_seconds(), by_keyword=True)
        self.tools[name] = script
        return script

    def add_person(self, role: str | None, answer: Any, takes: timedelta) -> Script[Question]:
        """The rule for who has the role; None: for everything that no other rule answers."""
        script: Script[Question] = Script(answer, _anything, role or "somebody", takes.total_seconds())
        self.people[role] = script
        return script

    def model_says(self, prompt: Prompt) -> Said:
        """Raises :class:`NotScripted`, and whatever a script's function raises that is no StepError."""
        known = self._said.get((prompt.id, prompt.route.hash))
        if known is None:
            script = self._model(prompt)
            known = self._said[prompt.id, prompt.route.hash] = _model_said(script, script.take(prompt), prompt)
        return known

    def agent_says(self, call: Call) -> Said:
        """As :meth:`model_says`."""
        return self._says(self.agents[call.name], call, f"agent {call.name}")

    def tool_says(self, call: Call) -> Said:
        """As :meth:`model_says`."""
        return self._says(self.tools[call.name], call, f"tool {call.name}")

    def _says(self, script: Script[Any], call: Call, who: str) -> Said:
        known = self._said.get((call.id, call.hash))
        if known is None:
            if script.used_up():
                raise NotScripted(f"{who} has no answer left for {call.value!r}")
            known = self._said[call.id, call.hash] = _said(script, script.take(call.value), _json)
        return known

    def person_says(self, question: Question) -> PersonSaid:
        """As :meth:`model_says`; whoever has the role, else who answers what nobody else does."""
        where = question.request_id, question.request_hash
        known = self._people_said.get(where)
        if known is None:
            script = self.people.get(question.role) or self.people.get(None)
            if script is None or script.used_up():
                raise NotScripted(
                    f"task {question.task_id} asks {question.role or 'anybody'} (step {question.step_id}) and nobody "
                    f"answers: {question.content!r}\n"
                    f"say what they answer: mesh.people({question.role or ''}…)"
                )
            known = self._people_said[where] = _person_said(script, script.take(question), question)
        return known

    def _model(self, prompt: Prompt) -> Script[Prompt]:
        fitting = [script for script in self.models if script.fits(prompt)]
        found = next((script for script in fitting if not script.used_up()), None)
        if found is not None:
            return found
        why = "all the answers given for it are used up" if fitting else "no script fits"
        raise NotScripted(
            f"agent {prompt.agent} asked a model (step {prompt.step}) and {why}: {str(prompt)[:300]!r}\n"
            "say what it answers: mesh.model('…'), or mesh.model(lambda prompt: …)"
        )


def _anything(_asked: object) -> bool:
    return True


def _said(script: Script[Any], answer: Any, content: Callable[[Any], str], usage: Usage | None = None) -> Said:
    if answer is NEVER:
        return Said(None, after=None)
    if isinstance(answer, StepError):
        return Said(None, answer.failure(), after=script.takes)
    return Said(content(answer), usage=usage, after=script.takes)


def _model_said(script: Script[Prompt], answer: Any, prompt: Prompt) -> Said:
    text, tool_calls = _text(answer)
    usage = Usage(1, prompt.route.tokens, max(1, len(text) // 4), 0, script.usd_micros)
    said = json.dumps({"text": text, "tool_calls": tool_calls}, ensure_ascii=False)
    return _said(script, answer, lambda _answer: said, usage)


def _text(answer: Any) -> tuple[str, str | None]:
    if isinstance(answer, ModelTurn):
        return answer.text, answer.message().tool_calls
    if answer is NEVER or isinstance(answer, StepError):
        return "", None
    return answer if isinstance(answer, str) else _json(answer), None


def _json(value: Any) -> str:
    return to_json(value).decode()


def _person_said(script: Script[Question], answer: Any, question: Question) -> PersonSaid:
    if answer is NEVER:
        return PersonSaid(script.who, None, None, None, after=None)
    if question.kind is QuestionKind.ASK:
        return PersonSaid(script.who, None, None, _json(answer), script.takes)
    verdict, _, comment = answer.partition(":") if isinstance(answer, str) else ("", "", "")
    if verdict not in {"approve", "deny"}:
        raise NotScripted(
            f"{script.who} answers {answer!r} to {question.content!r}: an approval is 'approve', 'deny', "
            "'deny: and why', or NEVER"
        )
    return PersonSaid(script.who, verdict == "approve", comment.strip() or None, None, script.takes)
