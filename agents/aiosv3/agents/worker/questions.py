"""Questions to people as ``approvals`` holds them: which are open, where they lie, and who may answer what."""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

from aiosv3.schemas.codec import Codec
from aiosv3.schemas.errors import MalformedValue
from aiosv3.schemas.people import AnswerVerdict, PersonAnswer, Question, QuestionKind
from aiosv3.schemas.topics import Topics
from aiosv3.streams.answers import AVRO, event
from aiosv3.streams.log import Outgoing
from aiosv3.streams.partitioner import murmur2_partition

ANSWER_TYPE: Final = b"aiosv3.person-answer"
VERDICT_TYPE: Final = b"aiosv3.answer-verdict"
Roles: TypeAlias = Mapping[str, Sequence[str]]
"""Who there is, and the roles that each has. Nobody at all: whoever says a name may answer."""
Entry: TypeAlias = Question | PersonAnswer | AnswerVerdict
_CLASSES: Final[dict[str, type[Entry]]] = {
    f"aiosv3.{cls.__name__}": cls for cls in (Question, PersonAnswer, AnswerVerdict)
}


def entry_in(codec: Codec, value: bytes) -> Entry:
    """A record of ``approvals``. Raises WireError, UnresolvedSchema."""
    name = codec.decode(value).name
    cls = _CLASSES.get(name)
    if cls is None:
        raise MalformedValue(f"{name} is no record of approvals")
    return codec.decode_as(cls, value)


def place_of(request_id: str, partitions: int) -> int:
    """The partition of a question and of all that is said to it."""
    return murmur2_partition(request_id.encode(), partitions)


def answer_outgoing(codec: Codec, topics: Topics, partition: int, answer: PersonAnswer, source: bytes) -> Outgoing:
    """A person's answer on ``approvals``, under a key of its own: a question sent again cannot reopen it."""
    key = f"{answer.request_id}/answer/{answer.answer_id}"
    headers = event(ANSWER_TYPE, key, source, AVRO, b"")
    return Outgoing(topics.approvals(), partition, key.encode(), codec.encode(answer), headers)


def verdict_outgoing(codec: Codec, topics: Topics, partition: int, verdict: AnswerVerdict, source: bytes) -> Outgoing:
    """What became of an answer: the question is closed, or this answer was refused."""
    refused = f"{verdict.request_id}/answer/{verdict.answer_id}/refused"
    key = f"{verdict.request_id}/closed" if verdict.accepted else refused
    headers = event(VERDICT_TYPE, key, source, AVRO, b"")
    return Outgoing(topics.approvals(), partition, key.encode(), codec.encode(verdict), headers)


class QuestionTable:
    """Open questions by request id, and which answer closed the others."""

    def __init__(self) -> None:
        self.open: dict[str, Question] = {}
        self.closed: dict[str, str] = {}

    def learn(self, entry: Entry) -> None:
        """Any record of the partition, in whatever order: what is closed stays closed."""
        if isinstance(entry, Question):
            if entry.request_id not in self.closed:
                self.open[entry.request_id] = entry
        elif isinstance(entry, AnswerVerdict) and entry.accepted:
            self.close(entry.request_id, entry.answer_id)

    def close(self, request_id: str, answer_id: str) -> None:
        """The question is answered."""
        self.open.pop(request_id, None)
        self.closed.setdefault(request_id, answer_id)

    def reopen(self, question: Question) -> None:
        """Its answer could not be given to the asker."""
        self.closed.pop(question.request_id, None)
        self.open[question.request_id] = question


def refusal(question: Question, answer: PersonAnswer, at: int, roles: Roles) -> str | None:
    """Why ``answer``, which came at broker time ``at`` (ms), is not accepted, in words; None when it is."""
    if not hmac.compare_digest(answer.token.encode(), question.reply.token.encode()):
        return "its token is not that of the question"
    if question.expires_at is not None and at >= question.expires_at:
        return f"the question expired at {datetime.fromtimestamp(question.expires_at / 1000, UTC).isoformat()}"
    return _not_entitled(question, answer.who, roles) or _not_of_the_kind(question, answer)


def _not_entitled(question: Question, who: str, roles: Roles) -> str | None:
    if not who.strip():
        return "it does not say who answers"
    if roles and who not in roles:
        return f"there is no person {who!r}; [people] has {', '.join(sorted(roles))}"
    if roles and question.role is not None and question.role not in roles[who]:
        return f"{who} does not have the role {question.role!r} that may answer"
    if question.kind is QuestionKind.APPROVE and who == question.asker:
        return f"{who} started this task, and who asks cannot approve"
    return None


def _not_of_the_kind(question: Question, answer: PersonAnswer) -> str | None:
    if isinstance(answer.content, bytes):
        return "it is sealed, and the desk has no key to open it"
    if question.kind is QuestionKind.APPROVE:
        return None if answer.approved is not None else "the question wants a yes or a no"
    if not isinstance(answer.content, str):
        return "the question wants a value, as JSON"
    try:
        value = json.loads(answer.content)
        schema = json.loads(question.output_schema or "{}")
    except ValueError as error:
        return f"the value is not JSON: {error}"
    return _not_of_the_schema(value, schema)


def _not_of_the_schema(value: Any, schema: Any) -> str | None:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import SchemaError, best_match
    from referencing import Registry
    from referencing.exceptions import Unresolvable

    try:
        Draft202012Validator.check_schema(schema)
        validator = Draft202012Validator(schema, registry=Registry())  # looks nothing up anywhere
        error = best_match(validator.iter_errors(value))
    except (SchemaError, Unresolvable, RecursionError, re.error) as unusable:
        return f"the schema of the question cannot be used: {type(unusable).__name__}"
    if error is None:
        return None
    return f"the value does not fit at {error.json_path}: {error.message[:300]}"
