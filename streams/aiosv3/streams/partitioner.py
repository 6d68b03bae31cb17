"""Java's default partitioner: murmur2 of the key, its sign bit dropped, modulo the partition count.

All producers that share keys must agree on it (protocol section 9). librdkafka calls it ``murmur2_random``,
and its own default is another one. Source: Apache Kafka, ``org.apache.kafka.common.utils.Utils.murmur2``.
"""

from __future__ import annotations

_SEED = 0x9747B28C
_FACTOR = 0x5BD1E995
_MASK = 0xFFFFFFFF


def murmur2(data: bytes) -> int:
    """The hash as Java shows it: a signed number of 32 bits."""
    length = len(data)
    whole = length & ~3
    state = _SEED ^ length
    for start in range(0, whole, 4):
        word = (int.from_bytes(data[start : start + 4], "little") * _FACTOR) & _MASK
        word = ((word ^ (word >> 24)) * _FACTOR) & _MASK
        state = ((state * _FACTOR) & _MASK) ^ word
    if whole != length:
        state = ((state ^ int.from_bytes(data[whole:], "little")) * _FACTOR) & _MASK
    state = ((state ^ (state >> 13)) * _FACTOR) & _MASK
    state ^= state >> 15
    return state - 0x1_0000_0000 if state & 0x8000_0000 else state


def murmur2_partition(key: bytes, count: int) -> int:
    """The partition that Java's producer picks for ``key`` on a topic with ``count`` partitions."""
    if count < 1:
        raise ValueError(f"a topic has at least one partition, not {count}")
    return (murmur2(key) & 0x7FFFFFFF) % count
