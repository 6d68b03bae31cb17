"""A model that calls tools until it knows."""

import os
from typing import Any

from langchain.agents import create_agent
from langchain_openai import ChatOpenAI
from langgraph.checkpoint.base import BaseCheckpointSaver
from pydantic import SecretStr
from world import weather


def make(saver: BaseCheckpointSaver[str]) -> Any:
    model = ChatOpenAI(model="counted", base_url=f"{os.environ['COMPARE_URL']}/v1", api_key=SecretStr("none"))
    return create_agent(model, [weather], system_prompt="Help with travel plans.", checkpointer=saver)
