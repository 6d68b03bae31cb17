"""The mutants: which sentence of the protocol or of the guarantees each breaks, and how.

``rules`` are the numbers of the log protocol; ``promise`` is the beginning of a sentence of docs/guarantees.md.
"""

# ruff: noqa: E501 -- text as it stands in the source

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutant:
    """``old`` occurs exactly once in ``file`` and becomes ``new``. ``run``: which simulation looks for it.

    ``seed`` and ``by``: where it was found last, and by which invariant.
    """

    name: str
    file: str
    old: str
    new: str
    rules: tuple[int, ...] = ()
    promise: str = ""
    run: str = "mesh"
    seed: int = -1
    by: str = ""


_TENURE = "streams/aiosv3/streams/tenure.py"
_OWNLOG = "streams/aiosv3/streams/ownlog.py"
_EFFECTOR = "streams/aiosv3/streams/effector.py"
_BESIDE = "streams/aiosv3/streams/beside.py"
_OFFSETS = "streams/aiosv3/streams/offsets.py"
_PROCESSOR = "streams/aiosv3/streams/processor.py"
_WORKER = "agents/aiosv3/agents/worker"
_TASK = "agents/aiosv3/agents/task.py"
_ROUTER = "router/aiosv3/router"

MUTANTS: tuple[Mutant, ...] = (
    Mutant(
        "scan_to_the_watermark",
        _TENURE,
        """                self.epoch = await self._take()
                own = await wiring.log.bounds(wiring.own_topic, self.partition)
                end = self.epoch + 1 if wiring.marker_topic == wiring.own_topic else own.end
""",
        """                own = await wiring.log.bounds(wiring.own_topic, self.partition)
                self.epoch = await self._take()
                end = own.end
""",
        rules=(1,),
        promise="A model call is not made if its answer was on the log",
        seed=83,
        by="order",
    ),
    Mutant(
        "deaf_to_other_owners",
        _TENURE,
        "        elif 0 <= self.epoch < record.offset:\n            self.contested()\n",
        "",
        rules=(2,),
        seed=13,
        by="deaf",
    ),
    Mutant(
        "no_look_between_own_records",
        _OWNLOG,
        "isinstance(ack, Appended) and ack.offset == self.known:\n            self.known += 1\n",
        "isinstance(ack, Appended):\n            self.known = ack.offset + 1\n",
        rules=(3,),
        promise="A reader that keeps the first record of an id sees one result.",
        seed=157,
        by="two_answers",
    ),
    Mutant(
        "the_last_answer_counts",
        _OWNLOG,
        "                self.memory.setdefault(answer_id, Entry(ack.offset, input_offset, ack.timestamp))\n                self.known",
        "                self.memory[answer_id] = Entry(ack.offset, input_offset, ack.timestamp)\n                self.known",
        rules=(4,),
        seed=161,
        by="two_answers",
    ),
    Mutant(
        "unknown_counts_as_landed",
        _OWNLOG,
        "            elif isinstance(ack, AppendUnknown):\n                self.append(answer_id, record, input_offset, settled)\n",
        "            elif isinstance(ack, AppendUnknown):\n                pass\n",
        rules=(5,),
        seed=101,
        by="lost",
    ),
    Mutant(
        "calls_without_a_heartbeat",
        _EFFECTOR,
        "        if not self.wiring.member.alive():\n            self._hold(request)\n            return\n",
        "",
        rules=(6,),
        seed=1,
        by="zombie_call",
    ),
    Mutant(
        "calls_after_a_long_pause",
        "router/aiosv3/router/worker.py",
        "                await self._heard()\n",
        "",
        rules=(6,),
        seed=771,
        by="zombie_call",
    ),
    Mutant(
        "complete_before_it_is_forwarded",
        _EFFECTOR,
        "        self._send_on(request, onward, sending, last=False)\n        for record in beside:",
        "        self._send_on(request, onward, Sending(1, lambda: None), last=False)\n        sending.sent()\n        for record in beside:",
        rules=(7,),
        promise="Every task that the broker acknowledged gets a result",
        seed=191,
        by="lost",
    ),
    Mutant(
        "journal_base_forgets_the_live",
        f"{_WORKER}/tenure.py",
        "                floor = live.first_journal\n",
        "                pass\n",
        rules=(10,),
        promise="Every task that the broker acknowledged gets a result",
        seed=6,
        by="lost",
    ),
    Mutant(
        "journal_base_forgets_the_early",
        f"{_WORKER}/tenure.py",
        "self._table.journal_floor(self._early.floor(self._journal.next))",
        "self._table.journal_floor(self._journal.next)",
        rules=(10, 25),
        seed=3,
        by="replay",
    ),
    Mutant(
        "journal_base_forgets_the_parked",
        f"{_WORKER}/tenure.py",
        "self._table.journal_floor(self._early.floor(self._journal.next))",
        "self._early.floor(self._journal.next)",
        rules=(10, 23),
        promise="A task may stay open for as long as it likes",
        seed=4,
        by="lost",
    ),
    Mutant(
        "commit_before_the_marker_is_read",
        f"{_WORKER}/tenure.py",
        "return self._opening.done and super().may_commit()",
        "return super().may_commit()",
        rules=(10,),
        seed=17,
        by="lost",
    ),
    Mutant(
        "memory_is_asked_as_it_is",
        _EFFECTOR,
        "        if self.reached != record.offset and not self.own.covers(request.first_sent):\n            return self._reach(request)\n",
        "",
        rules=(13,),
        seed=1,
        by="two_answers",
    ),
    Mutant(
        "a_duplicate_is_dropped",
        _EFFECTOR,
        "            self.act(request, entry, None, mine=False)\n        else:\n            self._start(request)",
        "            self._finish(request)\n        else:\n            self._start(request)",
        rules=(14,),
        seed=12,
        by="lost",
    ),
    Mutant(
        "a_done_task_is_not_answered_again",
        f"{_WORKER}/ending.py",
        "        tenure.offsets.pin(record.offset, entry.offset)\n        self._spawn(self._answer_again(record, entry))",
        "        tenure.complete(record.offset)",
        rules=(14,),
        seed=4,
        by="lost",
    ),
    Mutant(
        "each_router_follows_its_own_decision",
        f"{_ROUTER}/ledger/tenure.py",
        "            super().act(request, entry, answer, mine=mine)\n        else:",
        "            super().act(request, entry, answer, mine=answer is not None)\n        else:",
        rules=(15,),
        run="money",
        seed=0,
        by="money",
    ),
    Mutant(
        "steps_before_the_journal_is_read",
        f"{_WORKER}/tenure.py",
        "return self._opening.done and super().ready()",
        "return super().ready()",
        rules=(16, 22),
        seed=9,
        by="asked_again",
    ),
    Mutant(
        "answers_in_the_order_of_steps",
        f"{_WORKER}/running.py",
        "        entries, live.entries = live.entries, []\n        kinds",
        '        entries, live.entries = sorted(live.entries, key=lambda entry: entry.record.step_id or ""), []\n        kinds',
        rules=(17,),
        promise="Replay sees the same values in the same order",
        seed=24,
        by="lost",
    ),
    Mutant(
        "the_last_value_counts",
        f"{_WORKER}/running.py",
        "        for entry in entries:\n            live.announced = live.announced or",
        "        newest = {(entry.record.kind, entry.record.step_id): entry for entry in entries}\n"
        "        for entry in entries:\n"
        "            if entry.record.kind in {JournalKind.VALUE, JournalKind.ANSWER}:\n"
        "                entry = newest[entry.record.kind, entry.record.step_id]\n"
        "            live.announced = live.announced or",
        rules=(18,),
        seed=177,
        by="replay",
    ),
    Mutant(
        "steps_are_named_by_address",
        "agents/aiosv3/agents/stepids.py",
        "            self._count += 1\n",
        "            self._count += 1 + id(self) // 16 % 2\n",
        rules=(19,),
        seed=0,
        by="divergence",
    ),
    Mutant(
        "the_first_step_ahead_of_started",
        f"{_WORKER}/sending.py",
        "        live.announcing = True\n        live.sending += 1\n",
        "        live.announcing = True\n        self._send(live)\n        live.sending += 1\n",
        rules=(20,),
        seed=18,
        by="started_late",
    ),
    Mutant(
        "other_code_gets_the_old_answers",
        "agents/aiosv3/agents/sealed.py",
        "        if record.request_hash is not None and record.request_hash != step.hash:\n",
        "        if False:\n",
        rules=(20,),
        promise="Code that does not fit a task's journal sends nothing for it.",
        seed=57,
        by="misfit",
    ),
    Mutant(
        "a_send_is_not_journaled",
        f"{_WORKER}/sending.py",
        "            self._note(live, step, JournalKind.VALUE, sent_content(step, ack))\n",
        "            pass\n",
        rules=(21,),
        seed=2,
        by="unjournaled",
    ),
    Mutant(
        "an_open_task_is_started_again",
        f"{_WORKER}/tenure.py",
        "        return parked.offset if parked is not None and parked.asleep else None\n",
        "        return None\n",
        rules=(22, 8),
        seed=28,
        by="lost",
    ),
    Mutant(
        "parked_before_the_carry_is_acknowledged",
        f"{_WORKER}/parking.py",
        "        live.carrying = True\n        self._write(live.task.id, live.record.offset",
        "        live.carrying = True\n        self._tenure.offsets.complete(live.record.offset)\n        self._write(live.task.id, live.record.offset",
        rules=(23,),
        promise="Every task that the broker acknowledged gets a result",
        seed=29,
        by="lost",
    ),
    Mutant(
        "the_carry_hides_the_next_record",
        f"{_WORKER}/tenure.py",
        "if entry.offset >= carry.upto]",
        "if entry.offset > carry.upto]",
        rules=(23,),
        seed=17,
        by="lost",
    ),
    Mutant(
        "a_parked_task_loses_its_place",
        f"{_WORKER}/tenure.py",
        "        parked.begun = self._lanes.enter(parked.key, parked.task_id)\n",
        "        parked.begun = True\n",
        rules=(24,),
        promise="Tasks of one key start in order",
        seed=38,
        by="replay",
    ),
    Mutant(
        "carries_are_opened_as_found",
        f"{_WORKER}/opening.py",
        "self._pending.extend(sorted(pending, key=lambda one: one[0].offset))",
        "self._pending.extend(sorted(pending, key=lambda one: one[0].task_id, reverse=True))",
        rules=(24,),
        seed=107,
        by="replay",
    ),
    Mutant(
        "a_cancel_before_its_task_is_lost",
        f"{_WORKER}/tenure.py",
        "        elif not self._closed(record):\n            self._early.keep(entry)",
        "        elif not self._closed(record) and record.kind is not JournalKind.CANCEL:\n            self._early.keep(entry)",
        rules=(25,),
        promise="A cancel that is on the journal before the record that finishes the task wins",
        seed=3,
        by="replay",
    ),
    Mutant(
        "the_result_does_not_wait_for_cancels",
        f"{_WORKER}/running.py",
        "        if live.sending or live.ending or finish is None:",
        "        if live.ending or finish is None:",
        rules=(25,),
        promise="A cancelled task's children are cancelled with it",
        seed=155,
        by="orphan",
    ),
    Mutant(
        "children_are_not_told",
        _TASK,
        "            self._new.append(CancelStep(step.id, step.hash, self._now, step))\n",
        "            pass\n",
        rules=(25,),
        promise="A cancelled task's children are cancelled with it",
        seed=4,
        by="orphan",
    ),
    Mutant(
        "a_cancelled_root_is_routed",
        f"{_ROUTER}/router.py",
        "        if cancel_request_id(ask.grant.root) in self._cancelled:\n            return self._of_cancelled(request, epoch)\n        now",
        "        now",
        rules=(25,),
        promise="Requests of a cancelled root are not routed",
        seed=19,
        by="routed_cancelled",
    ),
    Mutant(
        "a_restarted_router_forgets_cancels",
        f"{_ROUTER}/router.py",
        "        if learned.id is not None and is_cancel_request(learned.id):\n",
        "        if False:\n",
        rules=(25,),
        promise="Requests of a cancelled root are not routed",
        seed=716,
        by="routed_cancelled",
    ),
    Mutant(
        "what_does_not_fit_is_forwarded",
        f"{_ROUTER}/ledger/tenure.py",
        "        elif short is None:\n            super()",
        "        elif True:\n            super()",
        rules=(26,),
        run="money",
        seed=0,
        by="money",
    ),
    Mutant(
        "settlements_are_folded_as_they_come",
        f"{_ROUTER}/ledger/books.py",
        "        while self._entries and self._entries[0][0] < upto:",
        "        while self._entries:",
        rules=(26,),
        run="money",
        seed=0,
        by="money",
    ),
    Mutant(
        "a_snapshot_without_reservations",
        f"{_ROUTER}/ledger/states.py",
        "        for hold in state.open\n    }",
        "        for hold in state.open[:0]\n    }",
        rules=(27,),
        run="money",
        seed=26,
        by="two_answers",
    ),
    Mutant(
        "the_second_copy_settles_again",
        f"{_ROUTER}/ledger/fold.py",
        "        if epoch in paid:\n            return ()\n",
        "",
        rules=(27,),
        run="money",
        seed=0,
        by="ledger",
    ),
    Mutant(
        "two_paid_calls_are_one_cost",
        f"{_ROUTER}/ledger/fold.py",
        "        if epoch in paid:\n",
        "        if paid:\n",
        rules=(28, 27),
        run="money",
        seed=18,
        by="ledger",
    ),
    Mutant(
        "the_second_call_is_not_settled",
        _EFFECTOR,
        "        beside = self._besides.of(answer, second)\n",
        "        beside = self._besides.of(answer)\n",
        rules=(28,),
        run="money",
        seed=6,
        by="ledger",
    ),
    Mutant(
        "a_message_counts_each_time",
        "agents/aiosv3/agents/mailbox.py",
        "        if record.message_id in self._seen:\n            return False\n",
        "",
        promise="A message counts once per id and task",
        seed=5,
        by="messages",
    ),
    Mutant(
        "anybody_may_answer_for_the_desk",
        _TASK,
        '        if record.kind is JournalKind.ANSWER and record.token != self._token(step_id, record.request_hash or ""):\n',
        "        if False:\n",
        promise="An agent gets a person's answer only through the desk",
        seed=17,
        by="people",
    ),
    Mutant(
        "no_role_is_asked_for",
        f"{_WORKER}/desk.py",
        "        elif (refused := self._refusal(question, answer, record.timestamp)) is not None:\n",
        "        elif (refused := self._refusal(question, answer, record.timestamp)) is not None and False:\n",
        promise="An agent gets a person's answer only through the desk",
        seed=6,
        by="people",
    ),
    Mutant(
        "a_result_without_its_state",
        f"{_WORKER}/state.py",
        "                if entry is not None and entry.offset == offset and input_offset > self.newest(key):\n",
        "                if False:\n",
        promise="A key's state and its results do not disagree",
        seed=8,
        by="replay",
    ),
    Mutant(
        "the_last_state_wins",
        f"{_WORKER}/state.py",
        "        if kept.input_offset > top:\n            self._ahead[key] = kept\n",
        "        self._ahead[key] = kept\n",
        promise="A key's state and its results do not disagree",
        seed=198,
        by="state_topic",
    ),
    Mutant(
        "a_failed_task_leaves_state",
        f"{_WORKER}/messages.py",
        " or finish.outcome is not Outcome.OK:\n            return None\n        return run.state",
        ":\n            return None\n        return run.state",
        promise="A key's state and its results do not disagree",
        seed=4,
        by="state",
    ),
    Mutant(
        "no_grace_after_a_cancel",
        _TASK,
        "        self._give_grace()\n        self._run()\n",
        "        self._run()\n",
        promise="A cancelled task's children are cancelled with it",
        seed=27,
        by="lost",
    ),
    Mutant(
        "a_timer_counts_after_the_answer",
        f"{_WORKER}/running.py",
        "        for entry in entries:\n            live.announced = live.announced or",
        "        entries = [*(e for e in entries if e.record.kind is not JournalKind.TIMER),\n"
        "                   *(e for e in entries if e.record.kind is JournalKind.TIMER)]\n"
        "        for entry in entries:\n            live.announced = live.announced or",
        promise="The first of a step's timer and its answer in the journal decides",
        seed=42,
        by="lost",
    ),
    Mutant(
        "poison_is_not_completed",
        f"{_WORKER}/tenure.py",
        "        self._graveyard.bury(record, error, lambda: None if live.ending else self._ending.conclude(live, finish))",
        "        self._graveyard.bury(record, error, lambda: None)",
        promise="An event that nobody can read stops nothing.",
        seed=5,
        by="dead_letter",
    ),
    Mutant(
        "a_step_id_that_chance_gives",
        "agents/aiosv3/agents/context.py",
        'return uuid_module.uuid5(uuid_module.NAMESPACE_OID, f"{self.task_id}/{self._run.next_id(None)}")',
        "return uuid_module.UUID(int=id(self._run.next_id(None)))",
        rules=(18,),
        promise="Replay sees the same values in the same order",
        seed=3,
        by="divergence",
    ),
    Mutant(
        "the_worker_s_clock",
        _TASK,
        "        self._now, self._at = max(self._now, entry.timestamp), entry.offset\n",
        "        import time\n        self._now, self._at = time.time_ns() // 1_000_000, entry.offset\n",
        rules=(18,),
        seed=0,
        by="lost",
    ),
    Mutant(
        "a_pool_below_the_class",
        f"{_ROUTER}/routing/privacy.py",
        "    if grant.clearance > pool.clearance:\n",
        "    if False:\n",
        promise="A prompt never goes to a pool below its class",
        seed=2,
        by="class",
    ),
    Mutant(
        "a_done_task_is_done_again",
        f"{_WORKER}/tenure.py",
        "        entry = self.own.memory.get(identity.id)\n        if entry is not None:\n            if self.states",
        "        entry = None\n        if entry is not None:\n            if self.states",
        rules=(22, 14),
        promise="The same id with the same key, sent again within 24 hours, is one task",
        seed=4,
        by="asked_again",
    ),
)

ELSEWHERE: dict[int, tuple[str, tuple[str, ...]]] = {
    9: (
        "a T that is too high costs nothing where rule 13 reads below it again, as it does for every input that comes back",
        ("tests/streams/test_offsets.py", "tests/streams/test_beside.py", "tests/agents/worker/test_parking.py"),
    ),
    11: (
        "journals are deleted an hour behind: no simulation lasts so long",
        ("tests/streams/test_truncation.py", "tests/streams/test_processor.py"),
    ),
    12: (
        "a group loses its offsets after seven days without members",
        ("tests/streams/test_processor.py",),
    ),
}
"""Rules that no mutant breaks: why not, and the tests that show them."""

PROMISED_ELSEWHERE: dict[str, tuple[str, ...]] = {
    "Records that were deleted before they were used stop the partition": ("tests/streams/test_processor.py",),
    "A time of a schedule is fired once": ("tests/app/test_schedules.py", "tests/process/test_schedules.py"),
    "A conversation is asked about whole or not at all": ("tests/agents/test_conversation.py",),
    "A decision can be made again": ("tests/router/routing/test_redeciding.py",),
    "A task whose `start` has returned": ("tests/agents/client/test_client.py",),
    "What a client's `result` gives is the first result of the id": ("tests/agents/client/test_results.py",),
    "A dead letter that is done again is one new task": ("tests/streams/test_redrive.py",),
    "Following a task changes nothing for it": ("tests/agents/client/test_events.py",),
}
"""Promises that no simulation sees, and the tests that show them."""
