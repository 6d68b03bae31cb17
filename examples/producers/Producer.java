// Gives work to an agent, with Kafka's own client: java -cp 'JARS/*' Producer.java

import java.nio.charset.StandardCharsets;
import java.util.Map;
import java.util.UUID;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.common.serialization.StringSerializer;

public class Producer {
    public static void main(String[] arguments) throws Exception {
        String topic = System.getenv().getOrDefault("TOPIC", "aios.tasks.quote");
        String id = UUID.randomUUID().toString();
        var record = new ProducerRecord<>(topic, "customer-17", "{\"kilograms\": 1, \"country\": \"DE\"}");
        record.headers().add("ce_id", id.getBytes(StandardCharsets.UTF_8));
        record.headers().add("ce_expirytime", "2999-12-31T00:00:00Z".getBytes(StandardCharsets.UTF_8));
        var strings = new StringSerializer();
        Map<String, Object> settings = Map.of("bootstrap.servers", System.getenv("KAFKA"));
        try (var producer = new KafkaProducer<>(settings, strings, strings)) {
            producer.send(record).get();
        }
        System.out.println(id);
    }
}
