"""Caps of a tree and of a tenant, many concurrent calls, routers and model workers killed: what is paid is booked."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import pytest
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]
from counting_endpoint import CountingEndpoint
from crash_run import Run
from topic_reader import header
from typer.testing import CliRunner
from worker_processes import WorkerProcesses

from aiosv3.app.cli import app
from aiosv3.schemas.codec import Codec
from aiosv3.schemas.headers import GRANT, REPLY, ROUTE, Clearance, Grant, Reply, Route
from aiosv3.schemas.records import Completion, JournalRecord, Message, ModelRequest, Outcome, Prompt, Role
from aiosv3.schemas.store import SchemaStore

pytestmark = [pytest.mark.kafka, pytest.mark.process, pytest.mark.timeout(240), pytest.mark.xdist_group("money")]
CALLS = 1_000
COST = 20
MOST = 50
RESERVED = 10 + 2 * MOST
CAP = 8_000
"""Room for 400 answers, or for 72 calls at a time."""
ROOT = "order-7"
TENANT_CAP = 6_000
TREES = tuple(f"order-{number}" for number in range(10, 20))
"""Of the tenant with a cap; in all partitions."""
BUDGETS = f"""
[budgets.tenant.acme]
usd = {TENANT_CAP / 1e6:.6f}
"""


class Stage(NamedTuple):
    """A router and a model worker twice each, and an asker's journal with one partition."""

    mesh: WorkerProcesses
    run: Run
    endpoint: CountingEndpoint

    def ask(self, *ids: str, root: str = ROOT, tenant: str = "t", cap: int | None = CAP) -> None:
        codec = Codec(SchemaStore())
        grant = Grant(tenant, root, Clearance.PUBLIC, cap=cap).encode()
        prompt = Prompt((Message(Role.USER, "hello"),), None, MOST)
        for name in ids:
            reply = Reply(self.run.topic("journal.asker"), 0, 0, root, name, "token")
            headers: list[tuple[str, str | bytes | None]] = [
                ("ce_id", name.encode()),
                (GRANT, grant),
                (ROUTE, Route(None, 0.5, 10, MOST, first_sent=0, hash="h").encode()),
                (REPLY, reply.encode()),
            ]
            value = codec.encode(ModelRequest(name, root, root, name, "asker", prompt))
            self.run.producer.produce(self.run.topic("prompts"), key=root.encode(), value=value, headers=headers)
        self.run.producer.flush(20)

    def ask_for_acme(self, names: Sequence[str]) -> None:
        for number, root in enumerate(TREES):
            self.ask(*names[number :: len(TREES)], root=root, tenant="acme", cap=None)

    def answers(self) -> dict[str, JournalRecord]:
        codec = self.run.reader.codec()
        messages = self.run.reader.partition(self.run.topic("journal.asker"), 0)
        records = [codec.decode_as(JournalRecord, one.value() or b"") for one in messages]
        return {record.step_id or "": record for record in reversed(records)}

    def bill(self, *roots: str) -> dict[tuple[str, int], int]:
        """What the raw completions of these trees cost (rule 28)."""
        codec = self.run.reader.codec()
        found = {}
        for one in self.run.reader.messages(self.run.topic("completions.counted")):
            if one.value() is not None and header(one, "ce_type") == "aiosv3.completion":
                said = codec.decode_as(Completion, one.value() or b"")
                if said.root_id in roots:
                    found[said.request_id, said.epoch] = said.usage.cost_usd_micros
        return found

    def budget(self, *arguments: str) -> str:
        done = CliRunner().invoke(app, ["budget", *arguments, "--project", str(self.mesh.project)])
        assert done.exit_code == 0, done.output
        return done.stdout

    def booked(self, budget: str = f"tree/{ROOT}") -> dict[str, Any]:
        line: dict[str, Any] = json.loads(self.budget("show", budget, "--json"))[0]
        return line


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory, kafka: str) -> Iterator[Stage]:
    endpoint = CountingEndpoint()
    endpoint.start()
    folder = tmp_path_factory.mktemp("money")
    mesh = WorkerProcesses(folder, kafka, f"money.{folder.name}.", endpoint, agents=())
    mesh.project.write_text(mesh.project.read_text(encoding="utf-8") + BUDGETS, encoding="utf-8")
    for number in "12":
        mesh.start(f"router-{number}", "router")
        mesh.start(f"pool-{number}", "pool", "counted")
    run = Run(mesh)
    try:
        run.wait(lambda: run.there("prompts", "completions.counted", "journal.router", "ledger"), "the topics")
        admin = AdminClient({"bootstrap.servers": kafka})
        made = admin.create_topics([NewTopic(run.topic("journal.asker"), 1)])
        made[run.topic("journal.asker")].result(30)
        run.wait(lambda: run.there("journal.asker"), "the asker's journal")
        yield Stage(mesh, run, endpoint)
    finally:
        mesh.close()


def test_the_cap_holds_and_the_ledger_is_the_bill(stage: Stage) -> None:
    """The end of every one: an answer, or a failure that names the budget."""
    names = [f"call-{number}" for number in range(CALLS)]
    stage.ask(*names[: CALLS // 2])
    stage.run.wait(lambda: len(stage.endpoint.calls) >= 40, "calls at work")
    stage.mesh.kill("router-1", "pool-1")
    stage.ask(*names[CALLS // 2 :])
    stage.mesh.kill("router-2", "pool-2")
    stage.mesh.restart("router-1", "router-2", "pool-1", "pool-2")
    stage.run.wait(lambda: len(stage.answers()) >= CALLS, "an answer to every request")
    answers = stage.answers()
    refused = [record for record in answers.values() if record.outcome is not Outcome.OK]
    assert refused
    for record in refused:
        assert record.error is not None
        assert record.error.type == "BudgetExceeded"
        assert f"tree/{ROOT}" in record.error.message
    stage.run.wait(lambda: stage.booked()["reserved_usd_micros"] == 0, "the settlement of every call", 30)
    booked = stage.booked()
    assert booked["spent_usd_micros"] == sum(stage.bill(ROOT).values()), "to the micro-dollar"
    assert COST <= booked["spent_usd_micros"] <= CAP + booked["overrun_usd_micros"]
    assert booked["overrun_usd_micros"] % COST == 0, "only calls that were paid twice"


def test_what_is_granted_is_spent_from(stage: Stage) -> None:
    before = stage.booked()
    more = before["spent_usd_micros"] - CAP + RESERVED
    if more > 0:
        for _ in range(2):
            assert "granted by ann" in stage.budget(
                "grant", f"tree/{ROOT}", f"{more / 1e6:.6f}", "--by", "ann", "--id", "g1"
            )
    stage.ask("one-more")
    stage.run.wait(lambda: "one-more" in stage.answers(), "the answer")
    assert stage.answers()["one-more"].outcome is Outcome.OK
    after = stage.booked()
    assert after["granted_usd_micros"] == max(0, more)
    assert after["spent_usd_micros"] == before["spent_usd_micros"] + COST


def test_the_cap_of_a_tenant_holds_across_partitions(stage: Stage) -> None:
    """Two routers share the partitions; each spends from what its partitions were lent."""
    names = [f"acme-{number}" for number in range(500)]
    before = len(stage.endpoint.calls)
    stage.ask_for_acme(names[:250])
    stage.run.wait(lambda: len(stage.endpoint.calls) >= before + 20, "calls at work")
    stage.mesh.kill("router-1", "pool-2")
    stage.ask_for_acme(names[250:])
    stage.mesh.kill("router-2", "pool-1")
    stage.mesh.restart("router-1", "router-2", "pool-1", "pool-2")
    stage.run.wait(lambda: stage.answers().keys() >= set(names), "an answer to every request")
    answers = stage.answers()
    refused = [answers[name] for name in names if answers[name].outcome is not Outcome.OK]
    assert refused
    for record in refused:
        assert record.error is not None
        assert record.error.type == "BudgetExceeded"
        assert "budget tenant/acme: " in record.error.message
        assert f"of {TENANT_CAP / 1e6:.6f} US dollars are spent" in record.error.message
    stage.run.wait(lambda: stage.booked("tenant/acme")["reserved_usd_micros"] == 0, "the settlement of every call", 30)
    booked = stage.booked("tenant/acme")
    assert booked["spent_usd_micros"] == sum(stage.bill(*TREES).values()), "to the micro-dollar"
    assert TENANT_CAP // 2 <= booked["spent_usd_micros"] <= TENANT_CAP + booked["overrun_usd_micros"]
    assert booked["lent_usd_micros"] <= booked["cap_usd_micros"] == TENANT_CAP
    assert booked["overrun_usd_micros"] % COST == 0, "only calls that were paid twice"


def test_what_is_granted_to_a_tenant_is_spent_from(stage: Stage) -> None:
    for _ in range(2):
        assert "granted by ann" in stage.budget("grant", "tenant/acme", "0.001", "--by", "ann", "--id", "g2")
    before = stage.booked("tenant/acme")
    assert (before["granted_usd_micros"], before["cap_usd_micros"]) == (1_000, TENANT_CAP + 1_000)
    names = [f"more-{root}" for root in TREES[:4]]
    stage.ask_for_acme(names)
    stage.run.wait(lambda: stage.answers().keys() >= set(names), "the answers")
    assert {stage.answers()[name].outcome for name in names} == {Outcome.OK}
    stage.run.wait(
        lambda: stage.booked("tenant/acme")["spent_usd_micros"] == before["spent_usd_micros"] + len(names) * COST,
        "what they have cost",
        30,
    )
