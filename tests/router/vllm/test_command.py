from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from aiosv3.router.vllm.command import (
    CannotServe,
    ServePlan,
    advice,
    arguments_of,
    check_device,
    environment_of,
    find_program,
)

PLAN = ServePlan("Qwen/Qwen2.5-7B-Instruct", 8123)
LEAST = ["serve", "Qwen/Qwen2.5-7B-Instruct", "--host", "127.0.0.1", "--port", "8123", "--enable-prompt-tokens-details"]


def test_little_is_said_where_little_is_set() -> None:
    assert arguments_of(PLAN) == LEAST
    assert PLAN.base_url == "http://127.0.0.1:8123/v1"
    assert advice(PLAN) is None


def test_everything() -> None:
    plan = replace(
        PLAN,
        tensor_parallel=2,
        max_model_len=8192,
        gpu_memory=0.85,
        max_waiting=12,
        tools=True,
        chat_template="/t.jinja",
        priorities=True,
        sleeps=True,
        arguments=("--quantization", "fp8"),
    )
    assert arguments_of(plan)[len(LEAST) :] == [
        *("--tensor-parallel-size", "2", "--max-model-len", "8192", "--gpu-memory-utilization", "0.85"),
        *("--max-num-queued-reqs", "12", "--enable-auto-tool-choice", "--tool-call-parser", "hermes"),
        *("--chat-template", "/t.jinja", "--scheduling-policy", "priority", "--enable-sleep-mode"),
        *("--quantization", "fp8"),
    ]


def test_parsers_by_family_and_by_hand() -> None:
    reasons = replace(PLAN, model="deepseek-ai/DeepSeek-R1-0528", tools=True)
    assert arguments_of(reasons)[-4:] == ["--tool-call-parser", "deepseek_v3", "--reasoning-parser", "deepseek_r1"]
    assert "tool_chat_template_deepseekr1.jinja" in str(advice(reasons))
    assert advice(replace(reasons, chat_template="/t.jinja")) is None
    by_hand = replace(reasons, tool_parser="hermes", reasoning_parser="none")
    assert arguments_of(by_hand)[-2:] == ["--tool-call-parser", "hermes"]


def test_code_llama_gets_its_template_and_no_tools() -> None:
    plan = replace(PLAN, model="codellama/CodeLlama-7b-Instruct-hf")
    assert arguments_of(plan)[-1].endswith("codellama.jinja")
    with pytest.raises(CannotServe, match="call no tools"):
        arguments_of(replace(plan, tools=True))


def test_a_model_that_nobody_knows_needs_its_parser_named() -> None:
    with pytest.raises(CannotServe, match="tool_parser"):
        arguments_of(replace(PLAN, model="acme/house-model", tools=True))
    assert "hermes" in arguments_of(replace(PLAN, model="acme/house-model", tools=True, tool_parser="hermes"))


def test_the_environment() -> None:
    base = {"PATH": "/bin"}
    assert environment_of(PLAN, base) == base
    made = environment_of(replace(PLAN, gpus="0,1", sleeps=True), base)
    assert made == {"PATH": "/bin", "CUDA_VISIBLE_DEVICES": "0,1", "VLLM_SERVER_DEV_MODE": "1"}


def test_without_vllm_it_says_what_to_do(on_path: Path, tmp_path: Path) -> None:
    assert find_program() == str(tmp_path / "bin" / "vllm")
    with pytest.raises(CannotServe, match="pip install"):
        find_program(str(tmp_path))
    assert not on_path.exists()


def test_without_a_gpu_it_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(CannotServe, match="no GPU is to be seen here"):
        check_device(PLAN, (str(tmp_path / "nvidia0"),))
    check_device(replace(PLAN, device="cpu"), ())
    check_device(PLAN, (str(tmp_path),))
