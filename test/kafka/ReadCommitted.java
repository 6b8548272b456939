import java.time.Duration;
import java.util.List;
import java.util.Map;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.serialization.StringDeserializer;

/** Prints the values of what was committed in partition 0 of a topic, as Kafka's own client reads it. Arguments: host:port, topic. */
class ReadCommitted {
  public static void main(String[] args) {
    var options = Map.<String, Object>of(
        "bootstrap.servers", args[0],
        "isolation.level", "read_committed",
        "enable.auto.commit", "false");
    var partition = new TopicPartition(args[1], 0);
    var out = new StringBuilder();
    try (var consumer = new KafkaConsumer<>(options, new StringDeserializer(), new StringDeserializer())) {
      consumer.assign(List.of(partition));
      consumer.seekToBeginning(List.of(partition));
      long end = consumer.endOffsets(List.of(partition)).get(partition);
      while (consumer.position(partition) < end)
        for (var record : consumer.poll(Duration.ofMillis(200))) out.append(record.value()).append('\n');
    }
    System.out.print(out);
  }
}
