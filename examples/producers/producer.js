// Gives work to an agent and reads its result, with kafkajs: node producer.js
import { randomUUID } from 'node:crypto';
import { SchemaRegistry } from '@kafkajs/confluent-schema-registry';
import { Kafka, Partitioners, logLevel } from 'kafkajs';

const prefix = process.env.PREFIX ?? 'aios.';
const kafka = new Kafka({ brokers: [process.env.KAFKA], logLevel: logLevel.ERROR });
const registry = new SchemaRegistry({ host: process.env.REGISTRY });
const id = randomUUID();

// Its default partitioner is the one of Java's clients: tasks of one key keep their order, whoever sends them.
const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner });
await producer.connect();
const value = JSON.stringify({ kilograms: 7, country: 'PL' });
const headers = { ce_id: id, ce_dataclassification: 'confidential' };
await producer.send({ topic: `${prefix}tasks.quote`, messages: [{ key: 'customer-17', value, headers }] });
await producer.disconnect();

const consumer = kafka.consumer({ groupId: `readers-${id}` });
await consumer.connect();
await consumer.subscribe({ topic: `${prefix}results.quote`, fromBeginning: true });
const found = await new Promise((resolve, reject) => {
  const eachMessage = async ({ message }) => {
    if (message.headers.ce_id?.toString() === id) resolve(await registry.decode(message.value));
  };
  consumer.run({ eachMessage }).catch(reject);
});
await consumer.disconnect();
console.log(found.outcome, JSON.stringify(found.content ?? found.error));
