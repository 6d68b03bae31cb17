"""Settings of a vLLM server that a model worker runs itself: ``[pools.NAME.vllm]``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field


class VllmSettings(BaseModel):
    """How to run ``vllm serve`` where a pool says ``serve = true``. What is not set is vLLM's own choice."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    tensor_parallel: Annotated[int, Field(ge=1)] = 1
    """GPUs that the model is spread over."""
    gpus: str = ""
    """Those that it may use, ``0,1``; empty: all of the machine."""
    device: Literal["gpu", "cpu"] = "gpu"
    """With ``cpu`` no GPU is looked for: for a vLLM built for it."""
    max_model_len: Annotated[int, Field(ge=1)] | None = None
    """Tokens of prompt and answer together; none: all that the model can."""
    gpu_memory: Annotated[float, Field(gt=0, le=1)] | None = None
    """Share of the GPU's memory that it may use."""
    max_waiting: Annotated[int, Field(ge=0)] | None = None
    """Calls that may wait in the server; more are refused and go to other pools. For servers that have the option."""
    tool_parser: str = ""
    """vLLM's parser of tool calls; empty: by the family of the model, ``none``: none."""
    reasoning_parser: str = ""
    """vLLM's parser of reasoning; empty: by the family of the model, ``none``: none."""
    chat_template: str = ""
    """A file, beside the project file where relative; empty: the model's own, or the family's."""
    port: Annotated[int, Field(ge=0, le=65_535)] = 0
    """On loopback; 0: a free one at each start."""
    start_timeout: Annotated[float, Field(gt=0)] = 1_800.0
    """Seconds without a sign of progress until it must be well. While weights are downloaded or loaded it has some."""
    drain: Annotated[float, Field(ge=0)] = 20.0
    """Seconds that it has to end by itself."""
    arguments: list[str] = []
    """More of the command line of ``vllm serve``, as it is."""
