"""Reads results with Confluent's Avro deserializer, up to that of the task whose id is the argument."""

import os
import sys

from confluent_kafka import Consumer
from confluent_kafka.schema_registry import SchemaRegistryClient
from confluent_kafka.schema_registry.avro import AvroDeserializer
from confluent_kafka.serialization import MessageField, SerializationContext

topic = os.environ.get("TOPIC", "aios.results.quote")
decode = AvroDeserializer(SchemaRegistryClient({"url": os.environ["REGISTRY"]}))
settings = {"group.id": "readers", "auto.offset.reset": "earliest", "enable.auto.commit": False}
consumer = Consumer({"bootstrap.servers": os.environ["KAFKA"], **settings})
consumer.subscribe([topic])
result = {"task_id": ""}
while result["task_id"] != sys.argv[1]:
    if (message := consumer.poll(1)) is not None and not message.error():
        result = decode(message.value(), SerializationContext(topic, MessageField.VALUE))
consumer.close()
print(result["outcome"], result["content"] or result["error"])
