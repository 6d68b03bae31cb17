#!/bin/sh
# Gives work to an agent from a shell: plain JSON, without and with headers, and a CloudEvent in one piece.
set -eu
topic=${TOPIC:-aios.tasks.quote}

echo '{"kilograms": 2, "country": "DE"}' | kcat -P -b "$KAFKA" -t "$topic"

echo '{"kilograms": 3, "country": "FR"}' | kcat -P -b "$KAFKA" -t "$topic" -k customer-17 \
  -X partitioner=murmur2_random -H ce_id="order-$1" -H ce_priority=1 -H ce_dataclassification=confidential

echo '{"specversion": "1.0", "id": "event-'"$1"'", "source": "/shop", "type": "parcel", "costlimitusd": "0.05",
  "data": {"kilograms": 4, "country": "PL"}}' | tr -d '\n' |
  kcat -P -b "$KAFKA" -t "$topic" -H content-type=application/cloudevents+json
