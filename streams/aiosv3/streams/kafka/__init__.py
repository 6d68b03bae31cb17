"""The log port on Apache Kafka: confluent-kafka's synchronous clients on threads of their own."""

from aiosv3.streams.kafka.admin import (
    TopicDescription,
    TopicSpec,
    committed_offsets,
    describe,
    ensure_topics,
    topic_counts,
)
from aiosv3.streams.kafka.appender import AppendSettings
from aiosv3.streams.kafka.connection import AuthenticationFailed, Connection, KafkaRefused
from aiosv3.streams.kafka.log import KafkaLog, LogSettings
from aiosv3.streams.kafka.member import KafkaMember, MemberSettings
from aiosv3.streams.kafka.overview import BrokerFacts, Group, GroupMember, Overview
from aiosv3.streams.kafka.protocol import GroupProtocol, choose_group_protocol

__all__ = [
    "AppendSettings",
    "AuthenticationFailed",
    "BrokerFacts",
    "Connection",
    "Group",
    "GroupMember",
    "GroupProtocol",
    "KafkaLog",
    "KafkaMember",
    "KafkaRefused",
    "LogSettings",
    "MemberSettings",
    "Overview",
    "TopicDescription",
    "TopicSpec",
    "choose_group_protocol",
    "committed_offsets",
    "describe",
    "ensure_topics",
    "topic_counts",
]
