from __future__ import annotations

from dataclasses import replace

import pytest

from aiosv3.router.pools import Pool, PoolTable, Price
from aiosv3.router.router import Router
from aiosv3.router.routing.book import PolicyBook
from aiosv3.router.routing.file import parse_routing
from aiosv3.router.routing.versions import routing_version
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.errors import AiosError, MalformedHeader
from aiosv3.schemas.headers import GRANT, REPLY, ROUTE, Clearance, Grant, Reply, Route
from aiosv3.schemas.records import Decision, DecisionOutcome, JournalRecord, Outcome, PoolState, PoolStatus
from aiosv3.schemas.store import SchemaStore
from aiosv3.schemas.topics import Topics
from aiosv3.streams.effector import Request
from aiosv3.streams.log import Outgoing, Record

NOW = 1_750_000_000_000
PUBLIC = Pool("cloud", "openai", "m", Clearance.PUBLIC, Price(1_000_000, 1_000_000))
PRIVATE = Pool("own", "vllm", "l", Clearance.RESTRICTED)
GRANT_ = Grant("t", "root-1", Clearance.PUBLIC, 1_000_000, NOW + 1_000, 1)
ROUTE_ = Route("a", 0.2, 10, 10, first_sent=NOW, hash="h1")
REPLY_ = Reply("aios.journal.a", 1, 7, "task-1", "2", "tok")


@pytest.fixture
def codec() -> Codec:
    return Codec(SchemaStore())


@pytest.fixture
def router(codec: Codec) -> Router:
    return Router(Topics(), codec, [PUBLIC, PRIVATE], PoolTable(), lambda: NOW)


def record(
    grant: Grant = GRANT_, route: Route = ROUTE_, request_id: bytes = b"task-1/2", without: str | None = None
) -> Record:
    headers = [("ce_id", request_id), (GRANT, grant.encode()), (ROUTE, route.encode()), (REPLY, REPLY_.encode())]
    kept = [(name, value) for name, value in headers if name != without]
    return Record("aios.prompts", 3, 42, NOW, b"root-1", b"opaque bytes", kept)


def read(router: Router, of: Record) -> Request:
    request = router.read(of)
    assert isinstance(request, Request)
    return request


def worked(router: Router, request: Request, epoch: int) -> Outgoing:
    """A decision that waits for nothing."""
    made = router.work(request, epoch)
    assert isinstance(made, Outgoing)
    return made


def decision_of(codec: Codec, answer: Outgoing) -> Decision:
    return codec.decode_as(Decision, answer.value or b"")


def test_a_request_is_decided_and_forwarded_untouched(router: Router, codec: Codec) -> None:
    request = read(router, record())
    answer = worked(router, request, epoch=5)
    decision = decision_of(codec, answer)
    assert decision.outcome is DecisionOutcome.ROUTED
    assert (decision.input_offset, decision.epoch, decision.request_hash) == (42, 5, "h1")
    assert decision.candidates
    onward = router.forward(request, answer)
    assert onward is not None
    assert onward.topic == f"aios.prompts.{decision.pool}"
    assert (onward.value, onward.headers) == (b"opaque bytes", record().headers)


def test_the_own_log_record_names_its_input(router: Router) -> None:
    request = read(router, record())
    answer = worked(router, request, epoch=5)
    learned = router.learn(Record("aios.decisions", 3, 9, NOW, answer.key, answer.value, answer.headers))
    assert learned == ("task-1/2", 42)


def test_rule_15_a_duplicate_goes_to_the_pool_of_the_first_decision(router: Router, codec: Codec) -> None:
    request = read(router, record())
    first = worked(router, request, epoch=5)
    pool = decision_of(codec, first).pool
    later = read(router, record(replace(GRANT_, exp=None), replace(ROUTE_, complexity=1.0)))
    stored = Record("aios.decisions", 3, 9, NOW, first.key, first.value, first.headers)
    onward = router.forward(later, stored)
    assert onward is not None
    assert onward.topic == f"aios.prompts.{pool}"


def test_a_copy_of_a_higher_class_does_not_ride_on_an_earlier_decision(router: Router, codec: Codec) -> None:
    first = worked(router, read(router, record(route=replace(ROUTE_, pool="cloud"))), epoch=5)
    assert decision_of(codec, first).pool == "cloud"
    secret = read(router, record(replace(GRANT_, clearance=Clearance.RESTRICTED)))
    onward = router.forward(secret, first)
    assert onward is not None
    assert onward.topic == REPLY_.topic
    answer = codec.decode_as(JournalRecord, onward.value or b"")
    assert answer.error is not None
    assert answer.error.type == "ClearanceDenied"


def test_a_refusal_goes_back_to_the_asker_with_its_token(router: Router, codec: Codec) -> None:
    request = read(router, record(replace(GRANT_, clearance=Clearance.CONFIDENTIAL), replace(ROUTE_, pool="cloud")))
    onward = router.forward(request, worked(router, request, epoch=5))
    assert onward is not None
    assert (onward.topic, onward.partition) == ("aios.journal.a", 1)
    answer = codec.decode_as(JournalRecord, onward.value or b"")
    assert (answer.outcome, answer.token, answer.step_id, answer.task_offset) == (Outcome.FAILED, "tok", "2", 7)


def test_past_its_deadline_nothing_is_routed(router: Router, codec: Codec) -> None:
    decision = decision_of(codec, worked(router, read(router, record(replace(GRANT_, exp=NOW))), epoch=5))
    assert decision.outcome is DecisionOutcome.REFUSED
    assert decision.error is not None
    assert decision.error.type == "StepTimeout"


def test_nobody_to_tell_is_no_error(router: Router) -> None:
    request = read(router, record(replace(GRANT_, exp=NOW), without=REPLY))
    assert router.forward(request, worked(router, request, epoch=5)) is None


@pytest.mark.parametrize("missing", ["ce_id", GRANT, ROUTE])
def test_a_request_without_its_headers_is_poison(router: Router, missing: str) -> None:
    with pytest.raises(MalformedHeader, match=missing):
        router.read(record(without=missing))


def test_an_id_that_is_not_text_is_poison(router: Router) -> None:
    with pytest.raises(MalformedHeader, match="not UTF-8"):
        router.read(record(request_id=b"\xff"))


def test_what_cannot_be_decided_is_refused_in_words(router: Router, codec: Codec) -> None:
    answer = router.refuse(read(router, record()), AiosError("too old"), epoch=5)
    assert answer is not None
    assert decision_of(codec, answer).reason == "too old"


EU_ONLY = routing_version(parse_routing("classes: {public: {regions: [eu]}}\npools: {own: {region: eu}}")[0], NOW)


def test_a_new_policy_counts_from_the_next_decision_on_and_is_named_by_it(codec: Codec) -> None:
    book = PolicyBook()
    router = Router(Topics(), codec, [PUBLIC, PRIVATE], PoolTable(), lambda: NOW, policies=book)
    before = decided(codec, router, record(route=replace(ROUTE_, pool="cloud")))
    book.apply(EU_ONLY)
    after = decided(codec, router, record(route=replace(ROUTE_, pool="cloud")))
    assert (before.outcome, before.policy_version) == (DecisionOutcome.ROUTED, "1")
    assert (after.outcome, after.policy_version) == (DecisionOutcome.REFUSED, EU_ONLY.version)
    assert after.error is not None
    assert "region" in after.error.message
    assert after.pools_version == before.pools_version == router.outlook.record(0).version


def test_an_earlier_decision_is_not_carried_out_against_the_policy_in_force(codec: Codec) -> None:
    book = PolicyBook()
    router = Router(Topics(), codec, [PUBLIC, PRIVATE], PoolTable(), lambda: NOW, policies=book)
    request = read(router, record(route=replace(ROUTE_, pool="cloud")))
    first = worked(router, request, epoch=5)
    assert isinstance(first, Outgoing)
    book.apply(EU_ONLY)
    onward = router.forward(request, first)
    assert onward is not None
    assert onward.topic == REPLY_.topic


def test_the_pool_of_a_conversation_is_remembered_and_recorded(router: Router, codec: Codec) -> None:
    talk = replace(ROUTE_, prefix="talk", pool="cloud")
    assert decided(codec, router, record(route=talk)).sticky is None
    assert decided(codec, router, record(route=talk, request_id=b"task-1/3")).sticky == "cloud"


def decided(codec: Codec, router: Router, of: Record) -> Decision:
    answer = worked(router, read(router, of), epoch=5)
    assert isinstance(answer, Outgoing)
    return decision_of(codec, answer)


def test_prefix_groups_stay_together(router: Router) -> None:
    request = read(router, record(route=replace(ROUTE_, prefix="conversation-9")))
    onward = router.forward(request, worked(router, request, epoch=5))
    assert onward is not None
    assert onward.key == b"conversation-9"


# -- a tree that was cancelled ----------------------------------------------------------------------------------------


def news() -> Record:
    headers = [("ce_id", b"root-1!cancel"), ("ce_type", b"aiosv3.cancel"), (GRANT, GRANT_.encode())]
    return Record("aios.prompts", 3, 41, NOW, b"root-1", b"opaque bytes", [*headers, (ROUTE, ROUTE_.encode())])


def test_rule_25_requests_of_a_cancelled_root_are_refused_with_a_typed_error(router: Router, codec: Codec) -> None:
    told = read(router, news())
    answer = worked(router, told, epoch=5)
    decision = decision_of(codec, answer)
    assert (decision.request_id, decision.outcome, decision.error) == (
        "root-1!cancel",
        DecisionOutcome.REFUSED,
        None,
    )
    assert router.forward(told, answer) is None

    request = read(router, record())
    answer = worked(router, request, epoch=5)
    error = decision_of(codec, answer).error
    assert error is not None
    assert (error.type, error.retryable) == ("TreeCancelled", False)
    back = router.forward(request, answer)
    assert back is not None
    assert codec.decode_as(JournalRecord, back.value or b"").outcome is Outcome.FAILED


def test_a_router_learns_of_cancelled_roots_from_its_own_log(router: Router, codec: Codec) -> None:
    answer = worked(router, read(router, news()), epoch=5)
    other = Router(Topics(), codec, [PUBLIC, PRIVATE], PoolTable(), lambda: NOW)
    other.learn(Record("aios.decisions", 3, 9, NOW, answer.key, answer.value, answer.headers))
    assert decision_of(codec, worked(other, read(other, record()), epoch=6)).outcome is DecisionOutcome.REFUSED


def test_other_roots_and_duplicates_of_what_was_decided_are_not_touched(router: Router, codec: Codec) -> None:
    request = read(router, record())
    first = worked(router, request, epoch=5)
    worked(router, read(router, news()), epoch=5)
    elsewhere = read(router, record(grant=replace(GRANT_, root="root-2")))
    assert decision_of(codec, worked(router, elsewhere, epoch=5)).outcome is DecisionOutcome.ROUTED
    onward = router.forward(request, first)
    assert onward is not None
    assert onward.topic.startswith("aios.prompts.")


def test_the_memory_of_cancelled_roots_is_bounded(router: Router, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aiosv3.router.router._CANCELS_KEPT", 2)
    for root in "abc":
        router.learn(Record("d", 0, 1, NOW, None, b"", [("ce_id", f"{root}!cancel".encode()), ("ce_source", b"x/0/1")]))
    assert list(router._cancelled) == ["b!cancel", "c!cancel"]


def test_a_pool_that_says_that_it_is_up_and_sends_everything_back_is_asked_last(codec: Codec) -> None:
    table = PoolTable()
    for pool in ("liar", "honest"):
        table.apply(PoolStatus(pool, "r", PoolState.UP, "openai", "m", "public", 0, 10, None, 0, None, NOW))
    pools = [replace(PUBLIC, name="liar", quality=0.9), replace(PUBLIC, name="honest", quality=0.6)]
    now = [NOW]
    made = Router(Topics(), codec, pools, table, lambda: now[0])
    grant = replace(GRANT_, exp=None)
    hard = replace(ROUTE_, complexity=0.9)
    for number in range(12):
        request = read(made, record(grant, hard, f"task-1/{number}".encode()))
        assert decision_of(codec, worked(made, request, 5)).pool == "liar"
    for number in range(12):
        back = replace(hard, attempt=2, tried=("liar",))
        request = read(made, record(grant, back, f"task-1/{number}~2".encode()))
        assert decision_of(codec, worked(made, request, 5)).pool == "honest"
    now[0] += 1_000
    decision = decision_of(codec, worked(made, read(made, record(grant, hard, b"task-1/99")), 5))
    assert decision.pool == "honest"
    assert [candidate.degraded for candidate in decision.candidates] == [True, False]
