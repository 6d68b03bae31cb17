"""Which parsers and which chat template ``vllm serve`` needs for a model, by the family in its name.

Source: vLLM, "Tool Calling" and "Reasoning Outputs". A name tells most of the time; settings say it where it does not.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Final


@dataclass(frozen=True, slots=True)
class Family:
    """``template``: a file of this package, for models whose tokenizer has none. ``wanted``: one that vLLM has and is
    needed for tools, None where the model's own does. Empty parsers: the family has no such thing.
    """

    name: str
    pattern: str
    tool_parser: str = ""
    reasoning_parser: str = ""
    template: str = ""
    wanted: str = ""


# The first that fits counts: distilled and tuned models come before what they were made from.
FAMILIES: Final = (
    Family("Code Llama", r"code-?llama", template="codellama.jinja"),
    Family("Hermes", r"hermes", "hermes"),
    Family("DeepSeek R1 distilled to Llama", r"r1-distill-llama", "llama3_json", "deepseek_r1"),
    Family("DeepSeek R1 distilled to Qwen", r"r1-distill-qwen", "hermes", "deepseek_r1"),
    Family("DeepSeek V3.1", r"deepseek-?v3\.1", "deepseek_v31", wanted="tool_chat_template_deepseekv31.jinja"),
    Family("DeepSeek V3.2", r"deepseek-?v3\.2", "deepseek_v32"),
    Family("DeepSeek R1", r"deepseek-?r1", "deepseek_v3", "deepseek_r1", wanted="tool_chat_template_deepseekr1.jinja"),
    Family("DeepSeek V3", r"deepseek-?v3", "deepseek_v3", wanted="tool_chat_template_deepseekv3.jinja"),
    Family("Llama 4", r"llama-?4", "llama4_pythonic", wanted="tool_chat_template_llama4_pythonic.jinja"),
    Family("Llama 3.2", r"llama-?3\.2", "llama3_json", wanted="tool_chat_template_llama3.2_json.jinja"),
    Family("Llama 3", r"llama-?3", "llama3_json", wanted="tool_chat_template_llama3.1_json.jinja"),
    Family("gpt-oss", r"gpt-?oss", "openai"),
    Family("GLM 4.5", r"glm-?4\.[56]", "glm45", "glm45"),
    Family("Kimi K2", r"kimi-?k2", "kimi_k2"),
    # Later versions call it qwen3_xml, and take both names for the same parser.
    Family("Qwen3 Coder", r"qwen3-?coder", "qwen3_coder"),
    Family("QwQ", r"qwq", "hermes", "deepseek_r1"),
    Family("Qwen3", r"qwen-?3(?!.*(?:instruct|vl))", "hermes", "qwen3"),
    Family("Qwen", r"qwen", "hermes"),
    Family("Mistral", r"mistral|mixtral|devstral", "mistral"),
    Family("SmolLM", r"smollm", "hermes"),
)


def family_of(model: str) -> Family | None:
    """The family of a model by its name or path, None where that tells nothing."""
    return next((one for one in FAMILIES if re.search(one.pattern, model, re.IGNORECASE)), None)


def template_path(name: str) -> Path:
    """Where a chat template of this package lies."""
    return Path(str(files("aiosv3.router.vllm").joinpath(name)))
