"""Java's partitioner, against the vectors of Kafka's own tests and librdkafka's implementation."""

from __future__ import annotations

import pytest
from confluent_kafka.cimpl import murmur2 as librdkafka_partition
from hypothesis import given
from hypothesis import strategies as st

from aiosv3.streams.partitioner import murmur2, murmur2_partition


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"21", -973932308),
        (b"foobar", -790332482),
        (b"a-little-bit-long-string", -985981536),
        (b"a-little-bit-longer-string", -1486304829),
        (b"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971),
        (b"abc", 479470107),
    ],
)
def test_hash_equals_that_of_kafkas_own_tests(text: bytes, expected: int) -> None:
    assert murmur2(text) == expected


@given(st.binary(min_size=1, max_size=64), st.integers(1, 512))
def test_partition_equals_librdkafkas(key: bytes, count: int) -> None:
    assert murmur2_partition(key, count) == librdkafka_partition(key, count)


def test_no_partitions_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one partition"):
        murmur2_partition(b"key", 0)
