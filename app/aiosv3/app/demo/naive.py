"""The naive twin: the same job as one writes it first, a loop around a consumer. It runs beside the agent in the demo.

confluent-kafka as it comes, offsets committed in the background; only the session is as short as that of our workers,
so that a killed loop is noticed as soon. Rules, questions and checks are the agent's own functions.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import httpx
from confluent_kafka import Consumer, Producer

from aiosv3.app.demo import questions
from aiosv3.app.demo.excerpt import telling_lines
from aiosv3.app.demo.families import UNKNOWN, families


def ask(model: httpx.Client, name: str, prompt: str, allowed: Any, tokens: int) -> Any:
    """One call: an answer out of ``allowed``."""
    body = {"model": name, "messages": [{"role": "user", "content": prompt}], "max_tokens": tokens, "temperature": 0}
    body["response_format"] = questions.answer_format(allowed)
    answer = model.post("chat/completions", json=body).raise_for_status().json()
    return json.loads(answer["choices"][0]["message"]["content"])["value"]


def licence(model: httpx.Client, name: str, thing: str, text: str) -> tuple[str, str]:
    """Which licence it is, and who says so."""
    found, lines = families(text), telling_lines(text)
    if len(found) == 1:
        return found[0], "rule"
    try:
        allowed = questions.choices(found)
        said = ask(model, name, questions.licence_prompt(thing, lines, allowed), allowed, questions.LICENCE_TOKENS)
        if said != UNKNOWN:
            quote = ask(model, name, questions.quote_prompt(thing, lines, said), lines, questions.QUOTE_TOKENS)
            if questions.unverified(text, said, quote) is None:
                return said, "model"
    except httpx.HTTPError as error:
        print(f"no model answered: {error}", file=sys.stderr)  # noqa: T201 -- into its log
    return UNKNOWN, "person"


def main(broker: str, tasks: str, results: str, name: str, url: str) -> None:
    """Never ends. ``name``: of the model; ``url``: of its OpenAI-compatible API."""
    group = {"group.id": "naive", "auto.offset.reset": "earliest", "session.timeout.ms": 6000}
    consumer = Consumer({"bootstrap.servers": broker, **group})
    producer = Producer({"bootstrap.servers": broker})
    model = httpx.Client(base_url=url, timeout=120)
    consumer.subscribe([tasks])
    while True:
        message = consumer.poll(1.0)
        if message is None or message.error():
            continue
        task = json.loads(message.value() or b"")
        thing, text = task["distribution"], task["text"]
        found, by = licence(model, name, thing, text) if text.strip() else (UNKNOWN, "person")
        producer.produce(results, json.dumps({"distribution": thing, "licence": found, "by": by}), message.key())
        producer.poll(0)


if __name__ == "__main__":
    main(*sys.argv[1:])
