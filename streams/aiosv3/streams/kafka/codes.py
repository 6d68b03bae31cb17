# ruff: noqa: SLF001
"""Kafka's error codes by what they mean here. Those of librdkafka itself begin with an underscore."""

from __future__ import annotations

from typing import Final

from confluent_kafka import KafkaError

FAILED: Final = KafkaError._FAIL
FATAL: Final = KafkaError._FATAL
TIMED_OUT: Final = KafkaError._TIMED_OUT
NOT_DELIVERED: Final = KafkaError._MSG_TIMED_OUT
PARTITION_END: Final = KafkaError._PARTITION_EOF
TOO_LARGE: Final = KafkaError.MSG_SIZE_TOO_LARGE
STATE: Final = KafkaError._STATE
ALREADY_EXISTS: Final = KafkaError.TOPIC_ALREADY_EXISTS
BEYOND: Final = KafkaError.OFFSET_OUT_OF_RANGE
NO_SUCH_GROUP: Final = KafkaError.GROUP_ID_NOT_FOUND
NO_SUCH_TOPIC: Final = KafkaError.UNKNOWN_TOPIC_OR_PART

NOT_LET_IN: Final = frozenset({KafkaError._AUTHENTICATION, KafkaError._SSL})
OUT_OF_RANGE: Final = frozenset({KafkaError._AUTO_OFFSET_RESET, KafkaError.OFFSET_OUT_OF_RANGE})
MISSING: Final = frozenset(
    {
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._UNKNOWN_PARTITION,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.UNKNOWN_TOPIC_ID,
    }
)
FORBIDDEN: Final = frozenset(
    {
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.GROUP_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
    }
)
# A leader that moves, or is not chosen yet: the client asks who it is now, and the next try gets there.
LEADERLESS: Final = frozenset(
    {
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.REPLICA_NOT_AVAILABLE,
        KafkaError.FENCED_LEADER_EPOCH,
        KafkaError.UNKNOWN_LEADER_EPOCH,
        KafkaError.OFFSET_NOT_AVAILABLE,
        KafkaError.KAFKA_STORAGE_ERROR,
    }
)
NO_ANSWER: Final = (
    NOT_LET_IN
    | LEADERLESS
    | {
        KafkaError._TIMED_OUT,
        KafkaError._TIMED_OUT_QUEUE,
        KafkaError._TRANSPORT,
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._RESOLVE,
        KafkaError._WAIT_COORD,
        KafkaError._DESTROY_BROKER,  # the one that was asked is gone from the client's list while it was asked
        KafkaError.NOT_CONTROLLER,
        KafkaError.NOT_COORDINATOR,
        KafkaError.REQUEST_TIMED_OUT,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.BROKER_NOT_AVAILABLE,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    }
)

# Answers to a commit that come and go: a coordinator that moves, or the client's own connection to it.
PASSING: Final = frozenset(
    {
        KafkaError._DESTROY,
        KafkaError._WAIT_COORD,
        KafkaError.NOT_COORDINATOR,
        KafkaError.COORDINATOR_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
    }
)

# Only these say that a record is certainly not on the log. All others may follow an attempt that got there.
NOT_APPENDED: Final = frozenset(
    {
        KafkaError._UNKNOWN_TOPIC,
        KafkaError._UNKNOWN_PARTITION,
        KafkaError._INVALID_ARG,
        KafkaError.UNKNOWN_TOPIC_OR_PART,
        KafkaError.TOPIC_EXCEPTION,
        KafkaError.TOPIC_AUTHORIZATION_FAILED,
        KafkaError.CLUSTER_AUTHORIZATION_FAILED,
        KafkaError.INVALID_RECORD,
        KafkaError.INVALID_TIMESTAMP,
        KafkaError.POLICY_VIOLATION,
        KafkaError.UNSUPPORTED_FOR_MESSAGE_FORMAT,
    }
)

# Another producer has taken a transactional id.
FENCED: Final = frozenset({KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.PRODUCER_FENCED})

# Answers to a commit which say that this member, or its generation, is not the owner now: no reason to worry.
NOT_OWNER: Final = frozenset(
    {
        KafkaError.ILLEGAL_GENERATION,
        KafkaError.UNKNOWN_MEMBER_ID,
        KafkaError.FENCED_INSTANCE_ID,
        KafkaError.FENCED_MEMBER_EPOCH,
        KafkaError.STALE_MEMBER_EPOCH,
        KafkaError.REBALANCE_IN_PROGRESS,
        KafkaError._ASSIGNMENT_LOST,
    }
)
