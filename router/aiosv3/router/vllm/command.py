"""The command line of ``vllm serve`` for a pool, and whether this machine can run it."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from aiosv3.router.vllm.families import family_of, template_path
from aiosv3.schemas.errors import AiosError

NONE: Final = "none"
"""As a parser: none, whatever the model's family has."""
_DEVICES: Final = ("/dev/nvidia0", "/dev/nvidiactl", "/dev/kfd", "/dev/dxg")


class CannotServe(AiosError):
    """This machine cannot run ``vllm serve`` as a pool wants it; says why, and what to do."""


@dataclass(frozen=True, slots=True)
class ServePlan:
    """How to serve a model. ``gpus``: what the server may see (``0,1``), empty: all. Parsers: empty means by family.

    ``sleeps``: it may be put to sleep and woken. ``arguments`` go to ``vllm serve`` as they are, last.
    """

    model: str
    port: int
    host: str = "127.0.0.1"
    device: Literal["gpu", "cpu"] = "gpu"
    gpus: str = ""
    tensor_parallel: int = 1
    max_model_len: int | None = None
    gpu_memory: float | None = None
    max_waiting: int | None = None
    tools: bool = False
    tool_parser: str = ""
    reasoning_parser: str = ""
    chat_template: str = ""
    priorities: bool = False
    sleeps: bool = False
    arguments: tuple[str, ...] = ()

    @property
    def base_url(self) -> str:
        """Of the API that it will serve."""
        return f"http://{self.host}:{self.port}/v1"


def arguments_of(plan: ServePlan) -> list[str]:
    """What follows ``vllm``. Raises ``CannotServe`` where tools are wanted and their parser is not known."""
    family = family_of(plan.model)
    given: list[str] = ["serve", plan.model, "--host", plan.host, "--port", str(plan.port)]
    given.append("--enable-prompt-tokens-details")  # or it does not tell what was in its prefix cache
    if plan.tensor_parallel > 1:
        given += ["--tensor-parallel-size", str(plan.tensor_parallel)]
    for flag, value in (
        ("--max-model-len", plan.max_model_len),
        ("--gpu-memory-utilization", plan.gpu_memory),
        ("--max-num-queued-reqs", plan.max_waiting),
    ):
        given += [] if value is None else [flag, f"{value:g}" if isinstance(value, float) else str(value)]
    if plan.tools:
        given += ["--enable-auto-tool-choice", "--tool-call-parser", _tool_parser(plan)]
    reasoning = plan.reasoning_parser or (family.reasoning_parser if family is not None else "")
    if reasoning and reasoning != NONE:
        given += ["--reasoning-parser", reasoning]
    template = plan.chat_template
    if not template and family is not None and family.template:
        template = str(template_path(family.template))
    if template:
        given += ["--chat-template", template]
    if plan.priorities:
        given += ["--scheduling-policy", "priority"]
    if plan.sleeps:
        given += ["--enable-sleep-mode"]
    return [*given, *plan.arguments]


def _tool_parser(plan: ServePlan) -> str:
    if plan.tool_parser and plan.tool_parser != NONE:
        return plan.tool_parser
    family = family_of(plan.model)
    if family is None:
        raise CannotServe(
            f"nothing is known of how {plan.model} calls tools: name vLLM's parser for it (tool_parser), or take "
            "tools out of the capabilities of its pool"
        )
    if not family.tool_parser or plan.tool_parser == NONE:
        raise CannotServe(f"{family.name} models call no tools: take tools out of the capabilities of this pool")
    return family.tool_parser


def advice(plan: ServePlan) -> str | None:
    """What should be said at the start, though it can be served; None if nothing."""
    family = family_of(plan.model)
    if plan.tools and family is not None and family.wanted and not plan.chat_template:
        return (
            f"{family.name} calls tools reliably only with vLLM's template {family.wanted} (in its examples/): "
            "give its path as chat_template"
        )
    return None


def environment_of(plan: ServePlan, base: Mapping[str, str]) -> dict[str, str]:
    """The environment of the server. Its /wake_up is there in development mode only, and on loopback only here."""
    made = dict(base)
    if plan.gpus:
        made["CUDA_VISIBLE_DEVICES"] = plan.gpus
    if plan.sleeps:
        made["VLLM_SERVER_DEV_MODE"] = "1"
    return made


def find_program(search: str | None = None) -> str:
    """The ``vllm`` to run: beside this Python, else on the path. Raises ``CannotServe``."""
    beside = Path(sys.executable).with_name("vllm")
    if importlib.util.find_spec("vllm") is not None and os.access(beside, os.X_OK):
        return str(beside)
    found = shutil.which("vllm", path=search)
    if found is None:
        raise CannotServe(
            "vllm is not installed here: pip install 'aiosv3[vllm]' on a machine with a GPU, or run vllm elsewhere "
            'and give its address (base_url = "http://HOST:8000/v1", without serve)'
        )
    return found


def check_device(plan: ServePlan, devices: tuple[str, ...] = _DEVICES) -> None:
    """Raises ``CannotServe`` where a GPU is wanted and this machine shows none (NVIDIA, AMD, WSL)."""
    if plan.device == "gpu" and not any(Path(device).exists() for device in devices):
        raise CannotServe(
            f"no GPU is to be seen here, and {plan.model} is to be served on one: run this worker on a GPU node, set "
            'device = "cpu" (vLLM built for it, slow), or give the base_url of a server elsewhere'
        )
