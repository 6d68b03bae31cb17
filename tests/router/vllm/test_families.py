from __future__ import annotations

import pytest

from aiosv3.router.vllm.families import FAMILIES, family_of, template_path


@pytest.mark.parametrize(
    ("model", "tools", "reasoning"),
    [
        ("meta-llama/Llama-3.3-70B-Instruct", "llama3_json", ""),
        ("meta-llama/Meta-Llama-3-8B-Instruct", "llama3_json", ""),
        ("meta-llama/Llama-4-Scout-17B-16E-Instruct", "llama4_pythonic", ""),
        ("deepseek-ai/DeepSeek-V3-0324", "deepseek_v3", ""),
        ("deepseek-ai/DeepSeek-V3.1", "deepseek_v31", ""),
        ("deepseek-ai/DeepSeek-R1-0528", "deepseek_v3", "deepseek_r1"),
        ("deepseek-ai/DeepSeek-R1-Distill-Llama-70B", "llama3_json", "deepseek_r1"),
        ("deepseek-ai/DeepSeek-R1-Distill-Qwen-7B", "hermes", "deepseek_r1"),
        ("Qwen/Qwen2.5-7B-Instruct", "hermes", ""),
        ("Qwen/Qwen3-8B", "hermes", "qwen3"),
        ("Qwen/Qwen3-235B-A22B-Instruct-2507", "hermes", ""),
        ("Qwen/Qwen3-Coder-30B-A3B-Instruct", "qwen3_coder", ""),
        ("openai/gpt-oss-20b", "openai", ""),
        ("zai-org/GLM-4.6", "glm45", "glm45"),
        ("moonshotai/Kimi-K2-Instruct", "kimi_k2", ""),
        ("NousResearch/Hermes-3-Llama-3.1-8B", "hermes", ""),
        ("codellama/CodeLlama-7b-Instruct-hf", "", ""),
        ("/models/SmolLM2-135M-Instruct", "hermes", ""),
    ],
)
def test_a_name_tells_the_parsers(model: str, tools: str, reasoning: str) -> None:
    family = family_of(model)
    assert family is not None
    assert (family.tool_parser, family.reasoning_parser) == (tools, reasoning)


@pytest.mark.parametrize(
    ("model", "template"),
    [
        ("meta-llama/Llama-3.1-8B-Instruct", "tool_chat_template_llama3.1_json.jinja"),
        ("meta-llama/Llama-3.2-3B-Instruct", "tool_chat_template_llama3.2_json.jinja"),
        ("meta-llama/Llama-4-Scout-17B-16E-Instruct", "tool_chat_template_llama4_pythonic.jinja"),
        ("deepseek-ai/DeepSeek-V3.1", "tool_chat_template_deepseekv31.jinja"),
        ("Qwen/Qwen3-8B", ""),
    ],
)
def test_a_name_tells_which_template_of_vllms_tools_need(model: str, template: str) -> None:
    family = family_of(model)
    assert family is not None
    assert family.wanted == template


def test_a_name_that_tells_nothing() -> None:
    assert family_of("acme/house-model-2") is None


def test_every_template_is_there() -> None:
    named = {family.template for family in FAMILIES if family.template}
    assert named == {"codellama.jinja"}
    assert all(template_path(name).is_file() for name in named)


def test_code_llama_is_asked_as_it_was_taught() -> None:
    jinja2 = pytest.importorskip("jinja2")
    template = jinja2.Environment(autoescape=False).from_string(template_path("codellama.jinja").read_text())
    said = [("system", "Be brief."), ("user", " one "), ("assistant", " two "), ("user", "three")]
    messages = [{"role": role, "content": content} for role, content in said]
    asked = template.render(messages=messages, bos_token="<s>", eos_token="</s>")
    assert asked == "<s>[INST] <<SYS>>\nBe brief.\n<</SYS>>\n\none [/INST] two </s><s>[INST] three [/INST]"
    assert template.render(messages=messages[1:2], bos_token="<s>", eos_token="</s>") == "<s>[INST] one [/INST]"
