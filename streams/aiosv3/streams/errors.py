"""Errors of the stream runtime; see ``aiosv3.schemas.errors`` for the root.

AiosError
├── AppendFailed           a record did not get onto the log
│   ├── AppendUnknown      ... or did it? The outcome is unknown (protocol rule 5)
│   │   └── Fenced         ... and somebody else writes the partition in transactions now
│   └── RecordTooLarge     it is over the broker's limit, and always will be
├── DataLost               the log starts above a position that is still needed (rule 11)
├── NewerCommit            a newer version wrote this group's commits: refuse to own the partition
├── PartitionMismatch      partition counts of one processor's topics differ
├── BrokerUnavailable      no broker answered in time
├── ClaimError             a claim (``streams.claims``) cannot be turned into its content, or content into a claim
│   ├── ClaimMissing       nothing is stored under it, or it is no claim
│   ├── ClaimCorrupt       what is stored under it is something else
│   └── ClaimsUnavailable  the store did not answer: try again
├── KeysUnavailable        the key store, or what wraps its keys, did not answer: try again
├── Retryable              raised by a handler: back off and try again
└── Rejected               raised by a handler: dead letter, never again
"""

from __future__ import annotations

from aiosv3.schemas.errors import AiosError


class AppendFailed(AiosError):
    """The log refused the record: it is certainly not there."""


class AppendUnknown(AppendFailed):
    """No acknowledgement in time. The record may be on the log, or may still land (protocol rule 5)."""


class Fenced(AppendUnknown):
    """Another writer has taken over the transactions of this partition: no later record of this one gets there."""


class RecordTooLarge(AppendFailed):
    """The record is over the limit of the broker or of its topic (``max.message.bytes``)."""


class DataLost(AiosError):
    """The log of ``topic`` starts above a position that is still needed: stop, never jump (rule 11)."""

    def __init__(self, topic: str, partition: int, needed: int, start: int) -> None:
        super().__init__(
            f"{topic}[{partition}] starts at offset {start}, but this group still needs {needed}: records were deleted "
            f"before they were used. Raise retention.ms of {topic}; to go on without them, set the group's offset to "
            f"{start} with kafka-consumer-groups --reset-offsets."
        )
        self.topic = topic
        self.partition = partition
        self.needed = needed
        self.start = start


class NewerCommit(AiosError):
    """The last commit of this partition was written by a newer version of the runtime than this one."""


class PartitionMismatch(AiosError):
    """Topics that must have the same partition count do not (protocol section 9)."""


class BrokerUnavailable(AiosError):
    """No Kafka broker answered in time."""


class KeysUnavailable(AiosError):
    """The key store cannot be reached, read or written now, or the service that wraps its keys does not answer."""


class Retryable(AiosError):
    """What failed may work later: the runtime backs off and tries again."""


class Rejected(AiosError):
    """What failed will never work for this record: it goes to the dead letters."""


class ClaimError(AiosError):
    """The claim store could not do what it was asked."""


class ClaimMissing(ClaimError):
    """Nothing is stored under this claim."""


class ClaimCorrupt(ClaimError):
    """What is stored under this claim has another hash: it was damaged or replaced."""


class ClaimsUnavailable(ClaimError):
    """The store cannot be reached, read or written now; or what it needs is not installed."""
