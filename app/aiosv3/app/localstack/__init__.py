"""The embedded local stack: real Apache Kafka, a schema registry and supervised processes on one machine."""

from aiosv3.app.localstack.distribution import KafkaDistribution
from aiosv3.app.localstack.errors import (
    ArtifactsUnavailable,
    LocalStackError,
    LockTimeout,
    NotReady,
    PortTaken,
)
from aiosv3.app.localstack.kafka import KafkaServer
from aiosv3.app.localstack.specs import ProcessSpec, RestartPolicy
from aiosv3.app.localstack.stack import Addresses, Stack
from aiosv3.app.localstack.status import Phase, ProcessState, ProcessStatus, StackStatus
from aiosv3.app.localstack.supervisor import Supervisor

__all__ = [
    "Addresses",
    "ArtifactsUnavailable",
    "KafkaDistribution",
    "KafkaServer",
    "LocalStackError",
    "LockTimeout",
    "NotReady",
    "Phase",
    "PortTaken",
    "ProcessSpec",
    "ProcessState",
    "ProcessStatus",
    "RestartPolicy",
    "Stack",
    "StackStatus",
    "Supervisor",
]
