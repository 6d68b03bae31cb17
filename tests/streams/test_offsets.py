"""What is finished and what a commit may say, against a model that knows nothing but sets."""

from __future__ import annotations

from dataclasses import dataclass, field

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from aiosv3.streams.commit import METADATA_LIMIT, Commit, encode_set
from aiosv3.streams.offsets import SET_ROOM, Offsets


@dataclass
class Model:
    """Rule 9 word by word: sets of offsets, and lists of what holds the own log back."""

    origin: int
    done: set[int]
    known: int
    next: int = 0
    admitted: dict[int, int] = field(default_factory=dict)
    read: list[tuple[int, int]] = field(default_factory=list)  # (input, own-log offset)

    restored: int = -1

    def __post_init__(self) -> None:
        self.next = self.origin
        self.restored = max(self.done, default=-1)

    @property
    def base(self) -> int:
        base = self.origin
        while base in self.done:
            base += 1
        return base

    def completed(self) -> list[int]:
        return sorted(offset for offset in self.done if offset > self.base)

    def floor(self, stored: tuple[int, ...]) -> int:
        def gone(offset: int) -> bool:
            return offset < self.base or offset in stored

        held = [position for offset, position in self.admitted.items() if not gone(offset)]
        held += [position for offset, position in self.read if not gone(offset)]
        return min([self.known, *held])


steps = st.lists(
    st.tuples(
        st.sampled_from(["admit", "admit", "complete", "complete", "read", "hole", "known"]), st.integers(0, 10**6)
    ),
    max_size=80,
)


def drive(offsets: Offsets, model: Model, actions: list[tuple[str, int]]) -> None:
    """The same operations on both, as a tenure makes them: inputs in order, completions in any order."""
    for what, number in actions:
        if what == "known":
            model.known += number % 5
        elif what == "hole":
            if model.next <= model.restored:
                continue  # a hole below a finished input was finished with it
            skipped = range(model.next, model.next + 1 + number % 3)
            model.next = skipped.stop
            fresh = [hole for hole in skipped if hole not in model.done]
            admit(offsets, model)
            model.done.update(fresh)
        elif what == "admit":
            admit(offsets, model)
        elif what == "complete":
            waiting = [offset for offset in model.admitted if offset not in model.done]
            if waiting:
                offset = waiting[number % len(waiting)]
                offsets.complete(offset)
                model.done.add(offset)
        else:
            offset, position = model.origin + number % 40, number // 40 % (model.known + 1)
            offsets.pin(offset, position)
            model.read.append((offset, position))
        assert offsets.base == model.base
        assert offsets.next == model.next


def admit(offsets: Offsets, model: Model) -> None:
    """The next input, as a tenure takes it: past the ones that an earlier owner finished."""
    while model.next in model.done and model.next not in model.admitted:
        assert offsets.finished(model.next)
        offsets.skip(model.next)
        model.next += 1
    offsets.admit(model.next, model.known)
    model.admitted[model.next] = model.known
    model.next += 1


commits = st.builds(
    lambda base, gaps: Commit(base, completed=tuple(base + 1 + gap for gap in sorted(gaps))),
    st.integers(0, 1000),
    st.sets(st.integers(0, 30), max_size=12),
)


@settings(deadline=None)
@given(commits, steps)
def test_base_and_set_are_those_of_a_plain_set(commit: Commit, actions: list[tuple[str, int]]) -> None:
    offsets, model = Offsets(commit), Model(commit.base, set(commit.completed), known=3)
    drive(offsets, model, actions)
    assert list(offsets.stored()) == model.completed()
    assert offsets.open == sum(1 for offset in model.admitted if offset not in model.done)
    for offset in range(commit.base - 2 if commit.base > 2 else 0, model.next + 3):
        assert offsets.finished(offset) == (offset < model.base or offset in model.done)


@settings(deadline=None)
@given(commits, steps)
def test_rule_09_the_own_log_is_kept_from_the_lowest_position_that_somebody_needs(
    commit: Commit, actions: list[tuple[str, int]]
) -> None:
    offsets, model = Offsets(commit), Model(commit.base, set(commit.completed), known=3)
    drive(offsets, model, actions)
    stored = offsets.stored()
    assert offsets.own_floor(model.known, stored) == model.floor(stored)


@settings(deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(commits, steps, st.integers(0, 8))
def test_rule_09_counts_against_the_set_that_is_stored(
    commit: Commit, actions: list[tuple[str, int]], room: int
) -> None:
    """The set overflows: what is cut from it is not finished as far as the next owner knows."""
    offsets, model = Offsets(commit, room), Model(commit.base, set(commit.completed), known=3)
    drive(offsets, model, actions)
    stored = offsets.stored()
    assert offsets.own_floor(model.known, stored) == model.floor(stored)


def test_rule_09_a_restored_input_that_no_longer_fits_needs_its_record() -> None:
    """Inputs 0 to 4 were open and 5 finished when I took over; 1 and 3 finish, and 5 falls off the set."""
    offsets = Offsets(Commit(0, own=2, completed=(5,)), room=4)
    offsets.pin(5, own_offset=8)
    for offset in range(5):
        offsets.admit(offset, 20)
    offsets.complete(1)
    offsets.complete(3)
    assert offsets.stored() == (1, 3)
    assert offsets.own_floor(20, offsets.stored()) == 8


@settings(deadline=None)
@given(steps, st.integers(0, 8))
def test_rule_08_an_overflowing_set_holds_back_what_was_cut_from_it(actions: list[tuple[str, int]], room: int) -> None:
    """As above, without inputs that an earlier owner finished."""
    offsets, model = Offsets(Commit(0), room), Model(0, set(), known=3)
    drive(offsets, model, [action for action in actions if action[0] != "read"])
    stored = offsets.stored()
    assert list(stored) == model.completed()[: len(stored)]
    assert len(encode_set(offsets.base, stored)) <= room
    assert offsets.own_floor(model.known, stored) == model.floor(stored)


def test_rule_09_a_record_read_at_restore_holds_before_its_input_is_admitted() -> None:
    offsets = Offsets(Commit(5, completed=(7,)))
    offsets.pin(6, own_offset=12)
    assert offsets.own_floor(40, offsets.stored()) == 12
    offsets.admit(5, 40)
    offsets.complete(5)
    assert offsets.own_floor(40, offsets.stored()) == 12, "input 6 was not offered yet"
    offsets.admit(6, 40)
    assert offsets.own_floor(41, offsets.stored()) == 12
    offsets.complete(6)
    assert (offsets.base, offsets.own_floor(41, offsets.stored())) == (8, 41)


def test_rule_09_the_earliest_of_several_records_of_an_input_holds() -> None:
    offsets = Offsets(Commit(0))
    for own_offset in (9, 4, 6):
        offsets.pin(0, own_offset)
    assert offsets.own_floor(20, ()) == 4


def test_holes_left_by_transactions_hold_nothing_back() -> None:
    offsets = Offsets(Commit(0))
    offsets.admit(2, 0)
    assert offsets.base == 2
    offsets.admit(6, 0)
    assert offsets.stored() == (3, 4, 5)
    offsets.complete(2)
    assert offsets.base == 6
    offsets.complete(6)
    assert (offsets.base, offsets.open, offsets.stored()) == (7, 0, ())


def test_completing_what_lies_below_the_base_changes_nothing() -> None:
    offsets = Offsets(Commit(10))
    offsets.complete(3)
    offsets.pin(3, 0)
    assert (offsets.base, offsets.stored(), offsets.own_floor(50, ())) == (10, (), 50)


def alternating(count: int) -> Offsets:
    """Of ``count`` inputs every second one is finished."""
    offsets = Offsets(Commit(0))
    for offset in range(count):
        offsets.admit(offset, offset)
    for offset in range(1, count, 2):
        offsets.complete(offset)
    return offsets


def test_rule_08_a_set_over_three_quarters_of_its_room_is_crowded() -> None:
    crowded = SET_ROOM * 3 // 4
    fits = crowded // 2  # two characters a run of one
    assert not alternating(2 * fits).crowded()
    full = alternating(2 * fits + 2)
    assert len(encode_set(0, full.stored())) > crowded == 3011
    assert full.crowded()
    full.complete(0)
    full.complete(2)
    assert not full.crowded()


@settings(deadline=None)
@given(commits, steps, st.integers(1, 30))
def test_rule_08_crowded_is_what_the_written_set_says(
    commit: Commit, actions: list[tuple[str, int]], room: int
) -> None:
    """Mostly it is told without writing the set out: never otherwise than by writing it out."""
    offsets, model = Offsets(commit, room), Model(commit.base, set(commit.completed), known=3)
    for number in range(len(actions)):
        drive(offsets, model, actions[number : number + 1])
        assert offsets.crowded() == (len(encode_set(model.base, model.completed())) > room * 3 // 4)


def test_rule_08_numbers_of_several_digits_count_as_what_they_take() -> None:
    far = Offsets(Commit(0, completed=(1_000, 5_000, 9_000)), room=12)
    assert len(encode_set(0, far.stored())) == 11
    assert far.crowded()


def test_rule_08_a_crowded_set_keeps_out_only_what_would_make_it_longer() -> None:
    """The inputs below a finished one were open when their owner went: they alone make the set shorter."""
    offsets = Offsets(Commit(0, completed=(1, 3, 5)), room=6)
    for offset in (0, 2, 4):
        assert offsets.crowded()
        assert not offsets.full()
        offsets.admit(offset, 0)
        offsets.skip(offset + 1)
    assert offsets.full()
    offsets.complete(0)
    assert not offsets.full()


def test_holes_below_the_base_stay_out_of_the_set() -> None:
    """The base passed them in one stride with what an earlier owner finished."""
    offsets = Offsets(Commit(0, completed=(1, 2)))
    offsets.admit(0, 0)
    offsets.complete(0)
    assert offsets.base == 3
    offsets.admit(5, 0)
    assert (offsets.base, offsets.stored()) == (5, ())
    offsets.admit(8, 0)
    assert offsets.stored() == (6, 7)


def test_rule_08_the_lowest_are_stored_and_the_rest_is_done_again() -> None:
    offsets = alternating(6_000)
    stored = offsets.stored()
    assert stored == tuple(range(1, 2 * len(stored), 2))
    assert len(stored) == SET_ROOM // 2
    commit = Commit(offsets.base, 2**62, 2**62, 2**62, stored).encode()
    assert len(commit.metadata) <= METADATA_LIMIT
    offsets.complete(0)
    first_lost = offsets.stored()[-1] + 2
    for offset in range(2, first_lost, 2):
        offsets.complete(offset)
    assert offsets.finished(first_lost)
