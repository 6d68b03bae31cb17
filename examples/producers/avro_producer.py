"""Gives work as Avro: Confluent's serializer, the schema that the agent's worker has registered."""

import os
import uuid

from confluent_kafka import SerializingProducer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroSerializer

topic = os.environ.get("TOPIC", "aios.tasks.quote")
registry = SchemaRegistryClient({"url": os.environ["REGISTRY"]})
schema = registry.get_latest_version(f"{topic}-value").schema
task_id = str(uuid.uuid4())
task = {"task_id": task_id, "content": {"kilograms": 12.0, "country": "FR"}}

# Registers the schema, as Confluent's serializers do: it is there already, so its id is the same.
serializer = AvroSerializer(registry, schema)
producer = SerializingProducer({"bootstrap.servers": os.environ["KAFKA"], "value.serializer": serializer})
producer.produce(topic, value=task, headers={"ce_id": task_id})
producer.flush(10)
print(task_id)
