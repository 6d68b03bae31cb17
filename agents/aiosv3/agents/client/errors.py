"""What a client raises beside the errors of tasks themselves.

AiosError
├── NoSuchAgent       no agent of this name ever worked at this broker
├── NoSuchPartition   the handle is not of this agent
├── InvalidInput      the value is no input of the agent, or no JSON: nothing was sent
├── NotFinished       the task had no result in time; it goes on. Also a TimeoutError
├── ResultUnreadable  there is a result, and this process cannot read it
└── ClientClosed      the client was closed, or is used where it cannot work
"""

from __future__ import annotations

from aiosv3.schemas.errors import AiosError


class NoSuchAgent(AiosError):
    """The broker has no topics of an agent of this name."""

    def __init__(self, agent: str, topic: str, where: str) -> None:
        super().__init__(
            f"there is no agent {agent!r} at {where} (no topic {topic}): start it with "
            f"'aiosv3 up' or 'aiosv3 worker agent {agent}', or correct its name"
        )
        self.agent = agent


class NoSuchPartition(AiosError):
    """A handle names a partition that the agent's topics do not have."""

    def __init__(self, topic: str, count: int, partition: int) -> None:
        super().__init__(
            f"{topic} has {count} partitions, so there is no {partition}: use the handle as it was printed"
        )


class InvalidInput(AiosError, ValueError):
    """A value cannot be sent to this agent."""


class NotFinished(AiosError, TimeoutError):
    """Nobody has a result of this task yet. It goes on: ask again, or cancel it."""


class ResultUnreadable(AiosError):
    """A result is there, but it is sealed, or of another type than the one that it is read as."""


class ClientClosed(AiosError):
    """Open a client before it is used, and use it in the process and on the loop that opened it."""
