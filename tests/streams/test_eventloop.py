"""The deterministic loop runs ordinary asyncio code, also nested, and refuses the outside."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import inspect
import time
import tracemalloc
import weakref
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any

import pytest

from aiosv3.schemas.errors import AiosError
from aiosv3.streams.eventloop import DeterministicLoop, Livelock, OutsideLoop, _Task


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Bench:
    """A loop with its clock; ``finish`` runs a coroutine to its end by advancing to each timer."""

    def __init__(self, **settings: Any) -> None:
        self.clock = Clock()
        self.loop = DeterministicLoop(self.clock, **settings)

    def finish(self, coro: Coroutine[Any, Any, Any]) -> Any:
        task = self.loop.create_task(coro)
        self.loop.run_until_idle()
        while not task.done() and (when := self.loop.next_timer()) is not None:
            self.clock.now = when
            self.loop.run_due()
            self.loop.run_until_idle()
        return task.result()


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_callbacks_run_in_call_order(bench: Bench) -> None:
    seen: list[int] = []
    for i in range(50):
        bench.loop.call_soon(seen.append, i)
    bench.loop.call_soon(lambda: bench.loop.call_soon(seen.append, 99))
    assert bench.loop.run_until_idle() == 52
    assert seen == [*range(50), 99]
    assert bench.loop.idle()


def test_pick_chooses_the_next_callback() -> None:
    seen: list[str] = []
    loop = DeterministicLoop(Clock(), pick=lambda count: count - 1)
    for name in "abcd":
        loop.call_soon(seen.append, name)
    loop.run_until_idle()
    assert seen == ["d", "c", "b", "a"]


def test_run_one_runs_one_and_skips_the_cancelled(bench: Bench) -> None:
    seen: list[str] = []
    bench.loop.call_soon(seen.append, "a").cancel()
    bench.loop.call_soon(seen.append, "b")
    bench.loop.call_soon(seen.append, "c")
    assert bench.loop.run_one()
    assert seen == ["b"]
    assert bench.loop.run_one()
    assert not bench.loop.run_one()


def test_timers_fire_in_order_of_time_and_call_and_only_when_due(bench: Bench) -> None:
    seen: list[str] = []
    bench.loop.call_at(2.0, seen.append, "late")
    bench.loop.call_at(1.0, seen.append, "first")
    bench.loop.call_later(1.0, seen.append, "second")
    assert bench.loop.next_timer() == 1.0
    assert bench.loop.run_due() == 0
    bench.clock.now = 1.0
    assert bench.loop.run_due() == 2
    assert seen == []
    bench.loop.run_until_idle()
    assert seen == ["first", "second"]
    assert bench.loop.next_timer() == 2.0


def test_cancelled_timers_do_not_pile_up(bench: Bench) -> None:
    for _ in range(1000):
        bench.loop.call_later(3600, print).cancel()
    assert len(bench.loop._timers) < 20
    assert bench.loop.next_timer() is None


def test_livelock_is_found_and_the_rest_stays_ready(bench: Bench) -> None:
    def again() -> None:
        bench.loop.call_soon(again)

    again()
    with pytest.raises(Livelock, match="100 callbacks"):
        bench.loop.run_until_idle(max_steps=100)
    assert not bench.loop.idle()
    assert not bench.loop.is_running()


async def gather() -> object:
    async def double(value: int) -> int:
        await asyncio.sleep(value)
        return 2 * value

    return await asyncio.gather(double(3), double(1), double(2))


async def task_group() -> object:
    done: list[int] = []

    async def note(value: int) -> None:
        await asyncio.sleep(value)
        done.append(value)

    async with asyncio.TaskGroup() as group:
        for value in (3, 1, 2):
            group.create_task(note(value))
    return done


async def timeouts() -> object:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(5):
            await asyncio.Event().wait()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.sleep(100), 5)
    return asyncio.get_running_loop().time()


async def wait() -> object:
    tasks = [asyncio.create_task(asyncio.sleep(i, i)) for i in (2, 1, 3)]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    rest, none = await asyncio.wait(pending)
    return [task.result() for task in done], sorted(task.result() for task in rest), none


async def queue() -> object:
    queue: asyncio.Queue[int] = asyncio.Queue(maxsize=1)

    async def produce() -> None:
        for i in range(5):
            await queue.put(i)

    producer = asyncio.create_task(produce())
    got = [await queue.get() for _ in range(5)]
    await producer
    return got


async def locks() -> object:
    lock, seen = asyncio.Lock(), []

    async def enter(name: str) -> None:
        async with lock:
            seen.append(name)
            await asyncio.sleep(1)
            seen.append(name)

    await asyncio.gather(enter("a"), enter("b"))
    return seen


async def cancel() -> object:
    seen: list[str] = []

    async def work() -> None:
        try:
            await asyncio.sleep(1000)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    return seen


async def names() -> object:
    task = asyncio.create_task(asyncio.sleep(0), name="mine")
    await task
    current = asyncio.current_task()
    assert current is not None
    return task.get_name(), current.get_name()


CASES: list[tuple[Callable[[], Coroutine[Any, Any, object]], object]] = [
    (gather, [6, 2, 4]),
    (task_group, [1, 2, 3]),
    (timeouts, 10.0),
    (wait, ([1], [2, 3], set())),
    (queue, [0, 1, 2, 3, 4]),
    (locks, ["a", "a", "b", "b"]),
    (cancel, ["cancelled"]),
    (names, ("mine", "Task-1")),
]


@pytest.mark.parametrize(("program", "result"), CASES, ids=lambda case: getattr(case, "__name__", ""))
def test_asyncio_just_works(bench: Bench, program: Callable[[], Coroutine[Any, Any, Any]], result: object) -> None:
    assert bench.finish(program()) == result
    assert bench.loop.exceptions == []


@pytest.mark.parametrize(("program", "result"), CASES, ids=lambda case: getattr(case, "__name__", ""))
async def test_nested_in_a_task_of_another_loop(
    bench: Bench, program: Callable[[], Coroutine[Any, Any, Any]], result: object
) -> None:
    outer, task = asyncio.get_running_loop(), asyncio.current_task()
    assert bench.finish(program()) == result
    assert asyncio.get_running_loop() is outer
    assert asyncio.current_task() is task
    await asyncio.sleep(0)


async def test_nested_in_a_callback_of_another_loop() -> None:
    outer, answer = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()
    outer.call_soon(lambda: answer.set_result(Bench().finish(gather())))
    assert await answer == [6, 2, 4]


def test_nested_three_deep() -> None:
    async def middle() -> object:
        task = asyncio.current_task()
        result = Bench().finish(gather())
        assert asyncio.current_task() is task
        await asyncio.sleep(1)
        return result

    assert Bench().finish(middle()) == [6, 2, 4]


async def test_the_loop_around_is_restored_when_a_callback_leaves_by_force(bench: Bench) -> None:
    def stop() -> None:
        raise KeyboardInterrupt

    outer, task = asyncio.get_running_loop(), asyncio.current_task()
    bench.loop.call_soon(stop)
    with pytest.raises(KeyboardInterrupt):
        bench.loop.run_until_idle()
    assert (asyncio.get_running_loop(), asyncio.current_task()) == (outer, task)
    assert not bench.loop.is_running()


def test_a_running_loop_is_not_entered_again(bench: Bench) -> None:
    caught: list[BaseException] = []

    def reenter() -> None:
        with pytest.raises(RuntimeError) as info:
            bench.loop.run_until_idle()
        caught.append(info.value)

    bench.loop.call_soon(reenter)
    bench.loop.run_until_idle()
    assert len(caught) == 1


def test_context_variables_follow_tasks_and_callbacks(bench: Bench) -> None:
    import contextvars

    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="none")
    seen: list[str] = []
    context = contextvars.copy_context()
    context.run(variable.set, "mine")

    async def look() -> None:
        await asyncio.sleep(0)
        seen.append(variable.get())

    bench.loop.call_soon(lambda: seen.append(variable.get()), context=context)
    bench.loop.create_task(look(), context=context)
    bench.loop.create_task(look())
    bench.loop.run_until_idle()
    assert seen == ["mine", "mine", "none"]


def test_errors_of_callbacks_are_kept_or_handed_on(bench: Bench) -> None:
    error = ValueError("broken")

    def fail() -> None:
        raise error

    bench.loop.call_soon(fail)
    bench.loop.run_until_idle()
    assert [context["exception"] for context in bench.loop.exceptions] == [error]

    got: list[dict[str, Any]] = []
    other = Bench(handler=got.append)
    other.loop.call_soon(fail)
    other.loop.run_until_idle()
    assert [context["exception"] for context in got] == [error]
    assert other.loop.exceptions == []


def test_base_exceptions_stay_in_their_task(bench: Bench) -> None:
    class Parked(BaseException):
        pass

    async def park() -> None:
        await asyncio.sleep(0)
        raise Parked

    task = bench.loop.create_task(park())
    bench.loop.run_until_idle()
    assert isinstance(task.exception(), Parked)


OUTSIDE: list[Callable[[], Awaitable[object]]] = [
    lambda: asyncio.to_thread(print),
    lambda: asyncio.open_connection("localhost", 1),
    lambda: asyncio.create_subprocess_exec("true"),
    lambda: asyncio.get_running_loop().getaddrinfo("localhost", 1),
    lambda: asyncio.get_running_loop().sock_recv(None, 1),  # type: ignore[arg-type]
]


@pytest.mark.parametrize("reach", OUTSIDE)
def test_the_outside_is_an_error_in_the_task_that_reaches_for_it(
    bench: Bench, reach: Callable[[], Awaitable[object]]
) -> None:
    async def program() -> None:
        with pytest.raises(OutsideLoop):
            await reach()

    bench.finish(program())
    assert issubclass(OutsideLoop, AiosError)


def test_every_method_of_a_loop_works_or_is_refused_by_name() -> None:
    refused: list[str] = []

    class Noting(DeterministicLoop):
        def outside(self, name: str) -> Any:
            refused.append(name)

    loop = Noting(Clock())
    abstract = [name for name, _ in inspect.getmembers(asyncio.AbstractEventLoop) if not name.startswith("_")]
    inherited = [
        name for name in abstract if getattr(DeterministicLoop, name) is getattr(asyncio.AbstractEventLoop, name)
    ]
    assert inherited == []
    loop.call_soon_threadsafe(print)
    loop.run_in_executor(None, print)
    loop.stop()
    assert refused == ["call_soon_threadsafe", "run_in_executor", "stop"]


def test_what_waits_at_the_close_is_freed_at_once(bench: Bench) -> None:
    """A task and what it waits for hold each other: no collector has to find them."""
    loop = bench.loop
    freed: list[weakref.ref[Any]] = []

    async def waits() -> None:
        future = loop.create_future()
        freed.append(weakref.ref(future))
        await future

    async def waits_for_others() -> None:
        await asyncio.wait([loop.create_task(waits()), loop.create_task(waits())])

    freed.extend(weakref.ref(loop.create_task(each)) for each in (waits(), waits_for_others()))
    loop.run_until_idle()
    gc.disable()
    try:
        loop.close()
        assert [one() for one in freed] == [None] * 5
    finally:
        gc.enable()


def test_close_runs_finally_blocks_now_and_drops_the_rest_in_silence(bench: Bench) -> None:
    seen: list[str] = []

    async def stubborn() -> None:
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(asyncio.sleep(50))
                await asyncio.sleep(100)
        finally:
            seen.append("closed")
            await asyncio.sleep(1)
            raise ValueError("nobody hears this")

    task = bench.loop.create_task(stubborn())
    bench.loop.run_until_idle()
    bench.loop.close()
    assert seen == ["closed"]
    assert bench.loop.is_closed()
    assert bench.loop.next_timer() is None
    bench.loop.call_soon(seen.append, "never")
    bench.loop.call_later(0, seen.append, "never")
    bench.loop.run_until_idle()
    del task
    gc.collect()  # a complaint here would be an error (filterwarnings)
    assert seen == ["closed"]
    assert bench.loop.exceptions == []


def test_a_task_nobody_holds_is_not_collected(bench: Bench) -> None:
    seen: list[int] = []

    async def sleeper() -> None:
        await asyncio.Event().wait()
        seen.append(1)

    async def release() -> None:
        event = asyncio.Event()

        async def waiter() -> None:
            await event.wait()
            seen.append(1)

        asyncio.create_task(waiter())  # noqa: RUF006 -- that is the point
        await asyncio.sleep(1)
        gc.collect()
        event.set()

    bench.finish(release())
    bench.loop.run_until_idle()
    assert seen == [1]


def test_a_generator_left_half_way_is_finished_on_its_own_loop(bench: Bench) -> None:
    seen: list[object] = []

    async def numbers() -> AsyncIterator[int]:
        try:
            for i in range(10):
                yield i
        finally:
            await asyncio.sleep(0)
            seen.append(asyncio.get_running_loop())

    async def program() -> None:
        async for _ in numbers():
            break
        await asyncio.sleep(1)

    async def around() -> None:
        bench.finish(program())

    asyncio.run(around())
    gc.collect()
    bench.loop.run_until_idle()
    assert seen == [bench.loop]


def test_sets_of_tasks_iterate_by_creation() -> None:
    async def program() -> list[str]:
        seen: list[str] = []

        async def member(name: str) -> None:
            try:
                await asyncio.sleep(100)
            finally:
                seen.append(name)

        async def failing() -> None:
            await asyncio.sleep(1)
            raise ValueError

        with contextlib.suppress(ExceptionGroup):
            async with asyncio.TaskGroup() as group:
                for i in range(20):
                    group.create_task(member(f"{i:02}"))
                group.create_task(failing())
        return seen

    ballast: list[list[object]] = []
    runs = []
    for i in range(5):
        ballast.append([object() for _ in range(i * 997)])  # other addresses for the tasks of each run
        runs.append(Bench().finish(program()))
    assert all(run == runs[0] for run in runs)


def test_tasks_and_futures_hash_by_creation() -> None:
    def hashes() -> list[int]:
        loop = DeterministicLoop(Clock())
        made = [loop.create_future(), loop.create_task(asyncio.sleep(0)), loop.create_future()]
        loop.run_until_idle()
        return [hash(future) for future in made]

    assert hashes() == hashes()
    assert len(set(hashes())) == 3


def test_cost_of_a_task_and_of_a_waiting_one() -> None:
    """Bounds a few times above what is measured, to notice a mistake of an order of magnitude."""

    async def three() -> None:
        for _ in range(3):
            await asyncio.sleep(0)

    async def waiting(loop: DeterministicLoop) -> None:
        await loop.create_future()

    clock = Clock()

    def once() -> None:
        loop = DeterministicLoop(clock)
        loop.create_task(three())
        loop.run_until_idle()

    def hold() -> DeterministicLoop:
        loop = DeterministicLoop(clock)
        loop.create_task(waiting(loop))
        loop.run_until_idle()
        return loop

    once()
    started = time.perf_counter()
    for _ in range(2000):
        once()
    micros = (time.perf_counter() - started) / 2000 * 1e6
    hold().close()
    gc.collect()
    tracemalloc.start()
    held = [hold() for _ in range(1000)]
    size = tracemalloc.get_traced_memory()[0] / 1000
    tracemalloc.stop()
    for loop in held:
        loop.close()
    assert micros < 500
    assert size < 2500


def test_tasks_of_many_loops_do_not_collide_in_asyncios_set_of_all_tasks() -> None:
    """Alike within their loops, apart in the process: else a thousand waiting loops cost a million comparisons."""
    compared = 0

    class Counted(_Task[None]):
        def __eq__(self, other: object) -> bool:
            nonlocal compared
            compared += 1
            return self is other

        def __hash__(self) -> int:
            return super().__hash__()

    loops = [DeterministicLoop(lambda: 0.0) for _ in range(300)]
    tasks = [Counted(_nothing(), 1, loop=loop, name="t", context=None) for loop in loops]
    for loop in loops:
        loop.run_until_idle()
    assert all(hash(task) == 1 for task in tasks)
    assert compared < len(tasks)


async def _nothing() -> None:
    """A task needs a coroutine."""
