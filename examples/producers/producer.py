"""Gives work to an agent: an ordinary Kafka producer that knows nothing of AIOSv3."""

import json
import os
import uuid

from confluent_kafka import Producer

topic = os.environ.get("TOPIC", "aios.tasks.quote")
parcel = {"kilograms": 2.5, "country": "DE"}
headers: list[tuple[str, str | bytes | None]] = [("ce_id", str(uuid.uuid4())), ("ce_costlimitusd", "0.05")]

producer = Producer({"bootstrap.servers": os.environ["KAFKA"], "partitioner": "murmur2_random"})
producer.produce(topic, key="customer-17", value=json.dumps(parcel), headers=headers)
producer.flush(10)
print(headers[0][1])
