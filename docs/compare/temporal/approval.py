"""A person's yes, within a time."""

from datetime import timedelta

from pydantic import BaseModel
from temporalio import workflow

with workflow.unsafe.imports_passed_through():
    from activities import TRY, ask


class Mail(BaseModel):
    topic: str
    seconds: float


@workflow.defn
class Program:
    def __init__(self) -> None:
        self.approver: str | None = None
        self.denier: str | None = None

    @workflow.run
    async def run(self, mail: Mail) -> str:
        await workflow.execute_activity(ask, f"Draft a mail about {mail.topic}", start_to_close_timeout=TRY)
        try:
            await workflow.wait_condition(
                lambda: self.approver is not None or self.denier is not None, timeout=timedelta(seconds=mail.seconds)
            )
        except TimeoutError:
            return "nobody answered"
        if self.denier is not None:
            return f"denied by {self.denier}"
        return f"sent, approved by {self.approver}"

    @workflow.signal
    def decide(self, who: str) -> None:
        self.approver = who

    @workflow.signal
    def deny(self, who: str) -> None:
        self.denier = who
