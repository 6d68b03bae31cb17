from __future__ import annotations

from types import ModuleType

from hypothesis import given
from hypothesis import strategies as st

from aiosv3.router.vllm.numbers import Numbers, read_numbers


def test_the_numbers_of_a_server_of_today(fake_vllm: ModuleType) -> None:
    with fake_vllm.FakeVllm() as server:
        server.running, server.waiting, server.usage, server.queries, server.hits = 7, 3, 0.5, 100, 40
        assert read_numbers(server.metrics()) == Numbers(7, 3, 0.5, 100.0, 40.0, None, asleep=False)
        server.asleep = True
        found = read_numbers(server.metrics())
        assert found is not None
        assert found.asleep


def test_the_names_of_older_servers() -> None:
    text = (
        'vllm:num_requests_running{model_name="m"} 2.0\nvllm:num_requests_waiting{model_name="m"} 4.0\n'
        'vllm:gpu_cache_usage_perc{model_name="m"} 0.25\nvllm:gpu_prefix_cache_queries_total{model_name="m"} 8.0\n'
        'vllm:gpu_prefix_cache_hits_total{model_name="m"} 2.0\nvllm:gpu_prefix_cache_hit_rate{model_name="m"} -1.0\n'
    )
    assert read_numbers(text) == Numbers(2, 4, 0.25, 8.0, 2.0)


def test_engines_are_added_up_and_their_caches_averaged() -> None:
    text = "".join(
        f'vllm:num_requests_running{{engine="{n}"}} {n}\nvllm:kv_cache_usage_perc{{engine="{n}"}} {n / 8}\n'
        f'vllm:engine_sleep_state{{engine="{n}",sleep_state="awake"}} {n % 2}\n'
        for n in (2, 4, 6)
    )
    assert read_numbers(text) == Numbers(12, 0, 0.5, asleep=True)
    one_awake = text + 'vllm:engine_sleep_state{engine="7",sleep_state="awake"} 1.0\n'
    found = read_numbers(one_awake)
    assert found is not None
    assert not found.asleep


def test_what_is_none_of_vllms_is_none() -> None:
    for text in ("", "<html>", "llama:requests 3\n", "vllm:num_requests_running\n", "vllm:num_requests_running NaN\n"):
        assert read_numbers(text) is None


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["vllm:num_requests_running", "vllm:kv_cache_usage_perc", "vllm:prefix_cache_hits_total"]),
            st.text(max_size=20),
            st.text(max_size=12) | st.floats().map(str),
        ),
        max_size=6,
    )
)
def test_any_text_is_numbers_or_none(lines: list[tuple[str, str, str]]) -> None:
    found = read_numbers("\n".join(f"{name}{{{labels}}} {value}" for name, labels, value in lines))
    assert found is None or (found.running >= 0 and (found.cache_usage is None or 0 <= found.cache_usage <= 1))
