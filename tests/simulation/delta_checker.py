"""What is shown under faults: to whom it was promised, and never half of one answer and half of another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from simulated_mesh import PARTITIONS, POOLS, SimulatedMesh

from aiosv3.agents.client.folding import Folding
from aiosv3.schemas.deltas import Delta, DeltaKind
from aiosv3.schemas.records import Answer, Completion, Outcome, attempt_request_id


@dataclass(slots=True)
class Screen:
    """What stands of one step; ``whole``: its end has come and nothing was lost on the way."""

    attempt: int = 0
    epoch: int = -1
    text: str = ""
    lost: bool = False
    whole: bool = False


class DeltaChecker:
    """Reads the deltas of all trees as one reader of everything, in the order of each partition."""

    def __init__(self, mesh: SimulatedMesh) -> None:
        self.mesh = mesh
        self._followed = {planned.id: planned.stream for planned in mesh.plan}
        self._screens: dict[tuple[str, str], Screen] = {}
        self._misplaced: list[str] = []
        for partition in range(PARTITIONS):
            folding = Folding()
            for record in mesh.sim.broker.records(mesh.topics.deltas(), partition):
                delta = mesh.codec.decode_as(Delta, record.value or b"")
                if self._followed.get(delta.root_id) != partition:
                    self._misplaced.append(f"{delta.task_id} step {delta.step_id} in partition {partition}")
                elif delta.kind is not DeltaKind.PROGRESS:
                    self._show(folding, delta)

    def _show(self, folding: Folding, delta: Delta) -> None:
        shown = folding.take(delta)
        if shown is None:
            return
        name = delta.task_id, delta.step_id
        if shown.erases or delta.sequence == 0 or name not in self._screens:
            self._screens[name] = Screen()
        screen = self._screens[name]
        screen.attempt, screen.epoch = delta.attempt, delta.epoch
        screen.lost = screen.lost or shown.missing > 0
        screen.text += str(delta.content or "")
        screen.whole = delta.kind is DeltaKind.END and not screen.lost

    def violations(self) -> Iterator[tuple[str, str]]:
        """What contradicts the promise, as ``(invariant, words)``."""
        for place in self._misplaced:
            yield "deltas", f"{place}: nobody reads it there"
        answers = dict(self._answers())
        for (task_id, step_id), screen in self._screens.items():
            request = attempt_request_id(f"{task_id}/{step_id}", screen.attempt)
            said = answers.get((request, screen.epoch))
            if screen.whole and said is not None and said != screen.text:
                yield "deltas", f"{request} was shown as {screen.text!r}, its worker answered {said!r}"
        if self.mesh.quiet:
            yield from self._unseen(answers)

    def _unseen(self, answers: dict[tuple[str, int], str]) -> Iterator[tuple[str, str]]:
        """Without a fault every answer in a tree that somebody follows is shown whole."""
        whole = {
            (attempt_request_id(f"{task_id}/{step_id}", screen.attempt), screen.epoch)
            for (task_id, step_id), screen in self._screens.items()
            if screen.whole
        }
        for request, _epoch in answers.keys() - whole:
            if self._follows(request):
                yield "deltas", f"{request} was answered and not shown"

    def _follows(self, request: str) -> bool:
        """Not what was given away one way: ``send`` is the second step of its program."""
        planned = next((one for one in self.mesh.plan if one.id == request.partition("/")[0]), None)
        return planned is not None and planned.stream is not None and planned.program != "send"

    def _answers(self) -> Iterator[tuple[tuple[str, int], str]]:
        """(request id, epoch) -> what its worker has on its own log."""
        for pool in POOLS:
            for partition in range(PARTITIONS):
                for record in self.mesh.sim.broker.records(self.mesh.topics.completions(pool), partition):
                    if record.value is None:
                        continue
                    said = self.mesh.codec.decode_as(Completion, record.value)
                    if said.outcome is Outcome.OK and isinstance(said.content, Answer):
                        yield (said.request_id, said.epoch), said.content.text
