"""An outsider's headers, one by one, and what is said of each that cannot be used."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from aiosv3.agents.agent import Agent, Limits, agent
from aiosv3.agents.context import Context
from aiosv3.agents.facts import Wishes
from aiosv3.agents.worker.admission import Defaults, Identity, admitted, grant_of, identify, text_header, wishes_of
from aiosv3.schemas.errors import MalformedHeader
from aiosv3.schemas.headers import GRANT, REPLY, ROUTE, Clearance, Grant, Reply, Route
from aiosv3.streams.log import Headers, Record

NOW_MS = 1_750_000_000_000
HOUR_MS = 3_600_000


@agent(budget="0.5", deadline=timedelta(hours=2))
async def worker(_ctx: Context, value: str) -> str:
    return value


def record(headers: dict[str, bytes] | None = None, key: bytes | None = b"customer") -> Record:
    fields: Headers = list((headers or {}).items())
    return Record("aios.tasks.worker", 3, 17, NOW_MS, key, b'"x"', fields)


def grant(headers: dict[str, bytes] | None = None, defaults: Defaults | None = None) -> Grant:
    task = record({"ce_id": b"t1", **(headers or {})})
    made: Agent[Any, Any] = worker
    return grant_of(task, identify(task, "worker"), made, defaults or Defaults())


def when(milliseconds: int) -> bytes:
    return datetime.fromtimestamp((NOW_MS + milliseconds) / 1000, UTC).isoformat().encode()


# -- identity ---------------------------------------------------------------------------------------------------------


def test_a_task_is_named_by_its_id() -> None:
    assert identify(record({"ce_id": b"order-9"}), "worker") == Identity("order-9", "customer", NOW_MS, None)


@pytest.mark.parametrize("headers", [None, {"ce_id": b""}])
def test_a_task_without_an_id_is_named_by_its_place_and_without_a_key_it_has_none(
    headers: dict[str, bytes] | None,
) -> None:
    assert identify(record(headers, key=None), "worker") == Identity("worker-3-17", None, NOW_MS, None)


def test_a_key_that_is_no_text_is_taken_all_the_same() -> None:
    assert identify(record(key=b"\xff"), "worker").key == "\ufffd"


def test_the_last_header_of_a_name_counts() -> None:
    twice = record()._replace(headers=[("ce_id", b"first"), ("ce_id", b"last")])
    assert identify(twice, "worker").id == "last"


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (-HOUR_MS, -HOUR_MS),
        (-24 * HOUR_MS, -24 * HOUR_MS),
        (-25 * HOUR_MS, -24 * HOUR_MS),
        (HOUR_MS, 0),
    ],
)
def test_rule_13_ce_time_counts_at_most_a_day_back_and_never_ahead(sent: int, expected: int) -> None:
    assert identify(record({"ce_time": when(sent)}), "worker").first_sent == NOW_MS + expected


def test_rule_13_inside_the_mesh_first_sent_is_what_the_sender_says() -> None:
    route = Route("parent", "auto", 0, 0, first_sent=5)
    sent = identify(record({ROUTE: route.encode(), "ce_time": when(-HOUR_MS)}), "worker").first_sent
    assert sent == 5


def test_where_the_answer_goes() -> None:
    reply = Reply("aios.journal.parent", 1, 2, "p", "3", "token")
    assert identify(record({REPLY: reply.encode()}), "worker").reply == reply


# -- the grant --------------------------------------------------------------------------------------------------------


def test_a_task_that_says_nothing_has_the_defaults() -> None:
    expected = Grant("default", "t1", Clearance.INTERNAL, 500_000, NOW_MS + 2 * HOUR_MS, 1, workflow="worker")
    assert replace(grant(), cap=None) == expected
    other = grant(defaults=Defaults("acme", Clearance.RESTRICTED))
    assert (other.tenant, other.clearance) == ("acme", Clearance.RESTRICTED)


def test_the_class_of_a_task_that_names_none_is_its_tenants() -> None:
    defaults = Defaults(clearance=Clearance.INTERNAL, tenants={"acme": Clearance.RESTRICTED})
    assert grant({"ce_tenant": b"acme"}, defaults).clearance is Clearance.RESTRICTED
    assert grant({"ce_tenant": b"other"}, defaults).clearance is Clearance.INTERNAL
    named = grant({"ce_tenant": b"acme", "ce_dataclassification": b"public"}, defaults)
    assert named.clearance is Clearance.PUBLIC, "who names one has it"


@pytest.mark.parametrize("text", [b"", b"eu,", b"EU", b"eu us", b"\xff"])
def test_what_is_asked_for_the_data_is_not_lost_in_a_slip(text: bytes) -> None:
    with pytest.raises(MalformedHeader, match="ce_dataregions"):
        grant({"ce_dataregions": text})


@pytest.mark.parametrize(
    ("header", "value", "field", "expected"),
    [
        ("ce_dataregions", b"eu, ch", "regions", ("eu", "ch")),
        ("ce_dataterms", b"no_training", "terms", ("no_training",)),
        ("ce_routing", b"batch", "label", "batch"),
        ("ce_type", b"shop.ticket", "type", "shop.ticket"),
        ("ce_tenant", b"acme", "tenant", "acme"),
        ("ce_tenant", b"", "tenant", "default"),
        ("ce_dataclassification", b"restricted", "clearance", Clearance.RESTRICTED),
        ("ce_dataclassification", b"public", "clearance", Clearance.PUBLIC),
        ("ce_costlimitusd", b"0.25", "usd_micros", 250_000),
        ("ce_costlimitusd", b"0", "usd_micros", 0),
        ("ce_expirytime", when(HOUR_MS), "exp", NOW_MS + HOUR_MS),
        ("ce_expirytime", when(3 * HOUR_MS), "exp", NOW_MS + 2 * HOUR_MS),
        ("ce_expirytime", b"2025-06-15T17:06:40+02:00", "exp", NOW_MS),
        ("ce_expirytime", b"2025-06-15T15:06:40Z", "exp", NOW_MS),
        ("ce_expirytime", b"", "exp", NOW_MS + 2 * HOUR_MS),
        ("ce_authid", "zoë".encode(), "by", "zoë"),
        ("ce_authid", b"", "by", None),
    ],
)
def test_each_header_of_an_outsider(header: str, value: bytes, field: str, expected: Any) -> None:
    assert getattr(grant({header: value}), field) == expected


@pytest.mark.parametrize(
    ("header", "value", "words"),
    [
        ("ce_costlimitusd", b"-1", "'-1' is not an amount of money that can be spent: it must be 0 or more"),
        ("ce_costlimitusd", b"NaN", "'NaN' is not an amount of money that can be spent"),
        ("ce_costlimitusd", b"cheap", "'cheap' is not an amount of money: write dollars, such as 0.05"),
        ("ce_costlimitusd", b"", "'' is not an amount of money"),
        ("ce_costlimitusd", b"\xff", r"header ce_costlimitusd is not UTF-8: b'\\xff'"),
        ("ce_dataclassification", b"secret", "'secret' is no clearance: use one of public, internal"),
        ("ce_dataclassification", b"", "'' is no clearance"),
        ("ce_dataclassification", b"\xfe", "header ce_dataclassification is not UTF-8"),
        ("ce_tenant", b"\xff", "header ce_tenant is not UTF-8"),
        ("ce_expirytime", b"soon", "header ce_expirytime is not an RFC 3339 time: 'soon'"),
        (
            "ce_expirytime",
            b"2025-06-15T15:06:40",
            "header ce_expirytime has no time zone: '2025-06-15T15:06:40'; write",
        ),
        ("ce_time", b"2025-06-15T15:06:40", "write it as 2025-06-15T15:06:40Z"),
        ("ce_time", b"\xff", "header ce_time is not UTF-8"),
        ("ce_id", b"\xff", "header ce_id is not UTF-8"),
        (ROUTE, b"{}", "aios-route: v must be 1"),
        (REPLY, b"[]", "aios-reply is not a JSON object"),
        (GRANT, b'{"v":2}', "aios-grant: v is newer than the version 1"),
    ],
)
def test_a_header_that_cannot_be_used_says_why(header: str, value: bytes, words: str) -> None:
    with pytest.raises(MalformedHeader, match=words):
        grant({header: value})


@pytest.mark.parametrize("value", [b"1e999999", b"1e5000"])
def test_a_cost_limit_of_astronomical_size_is_malformed(value: bytes) -> None:
    with pytest.raises(MalformedHeader, match="is not an amount of money"):
        grant({"ce_costlimitusd": value})


def test_long_rubbish_is_cut_in_the_message() -> None:
    with pytest.raises(MalformedHeader) as caught:
        text_header(record({"ce_tenant": b"\xff" * 1000}), "ce_tenant")
    assert len(str(caught.value)) < 250


def test_inside_the_mesh_the_grant_is_taken_as_it_is() -> None:
    sent = Grant("acme", "root", Clearance.CONFIDENTIAL, 7, None, 4, "signature")
    ignored = {"ce_tenant": b"evil", "ce_costlimitusd": b"1000", "ce_dataclassification": b"public"}
    assert grant({GRANT: sent.encode(), **ignored}) == sent


def test_the_task_that_the_coroutine_gets() -> None:
    given = record({"ce_id": b"t1", "traceparent": b"00-trace"})
    identity, allowed = identify(given, "worker"), grant()
    task = admitted(given, identity, allowed, "value")
    assert (task.id, task.key, task.offset, task.timestamp) == ("t1", "customer", 17, NOW_MS)
    assert (task.grant, task.reply, task.traceparent, task.value) == (allowed, None, b"00-trace", "value")
    assert admitted(record(), identity, allowed, None).traceparent == b""
    assert Limits() == Limits(1_000_000, 50, 8, timedelta(hours=1))


# -- how model calls are to be routed --------------------------------------------------------------------------------


def _wishing(*headers: tuple[str, bytes]) -> Record:
    return Record("aios.tasks.a", 0, 0, 1, None, b"{}", list(headers))


def test_an_outsiders_routing_headers_are_wishes() -> None:
    record = _wishing(("ce_complexity", b"0.8"), ("ce_latencyms", b"250"), ("ce_priority", b"-3"), ("ce_stream", b"5"))
    assert wishes_of(record) == Wishes(0.8, 250, -3, 5)
    assert wishes_of(_wishing(("ce_complexity", b"auto"))) == wishes_of(_wishing()) == Wishes()


def test_inside_the_mesh_wishes_come_with_the_route() -> None:
    route = Route("a", 0.4, 0, 0, latency_ms=90, priority=2, stream=3)
    assert wishes_of(_wishing(("aios-route", route.encode()), ("ce_complexity", b"1"))) == Wishes(0.4, 90, 2, 3)


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("ce_complexity", b"hard", "ce_complexity is not a number"),
        ("ce_complexity", b"1.5", "ce_complexity must be from"),
        ("ce_complexity", b"nan", "ce_complexity must be from"),
        ("ce_latencyms", b"-1", "ce_latencyms must be from"),
        ("ce_latencyms", b"soon", "ce_latencyms is not a number"),
        ("ce_priority", b"99999999999", "ce_priority must be from"),
        ("ce_stream", b"mine", "ce_stream is not a number"),
        ("ce_stream", b"-1", "ce_stream must be from"),
    ],
)
def test_routing_headers_that_are_none(name: str, value: bytes, words: str) -> None:
    with pytest.raises(MalformedHeader, match=words):
        wishes_of(_wishing((name, value)))
