// Apache Kafka's own Java client at its default settings, one case a call:
//   Probe produce BOOTSTRAP TOPIC CODEC COUNT          keys k0.., values v0.., to partition 0
//   Probe consume BOOTSTRAP TOPIC COUNT                prints "offset<TAB>key<TAB>value"
//   Probe restart BOOTSTRAP TOPIC COUNT                idempotent; prints "half", goes on after a line of input
//   Probe topics BOOTSTRAP TOPIC                       creates, lists, describes, grows, configures, deletes
//   Probe times BOOTSTRAP TOPIC MILLIS                 prints the first offset at or after that time
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.Future;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.producer.KafkaProducer;
import org.apache.kafka.clients.producer.ProducerRecord;
import org.apache.kafka.clients.producer.RecordMetadata;
import org.apache.kafka.common.TopicPartition;
import org.apache.kafka.common.config.ConfigResource;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;

public class Probe {
    static Properties settings(String bootstrap, String... more) {
        Properties p = new Properties();
        p.put("bootstrap.servers", bootstrap);
        for (int i = 0; i < more.length; i += 2) p.put(more[i], more[i + 1]);
        return p;
    }

    static KafkaProducer<String, String> producer(String bootstrap, String... more) {
        return new KafkaProducer<>(settings(bootstrap, more), new StringSerializer(), new StringSerializer());
    }

    static KafkaConsumer<String, String> consumer(String bootstrap) {
        return new KafkaConsumer<>(settings(bootstrap), new StringDeserializer(), new StringDeserializer());
    }

    static void check(boolean condition, Object what) {
        if (!condition) throw new AssertionError(what);
    }

    static void produce(String bootstrap, String topic, String codec, int count) throws Exception {
        try (var producer = producer(bootstrap, "compression.type", codec)) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (int i = 0; i < count; i++) sent.add(producer.send(new ProducerRecord<>(topic, 0, "k" + i, "v" + i)));
            long first = sent.get(0).get().offset();
            for (int i = 0; i < count; i++) check(sent.get(i).get().offset() == first + i, "offset of " + i);
        }
    }

    static void consume(String bootstrap, String topic, int count) {
        try (var consumer = consumer(bootstrap)) {
            TopicPartition partition = new TopicPartition(topic, 0);
            consumer.assign(List.of(partition));
            consumer.seekToBeginning(List.of(partition));
            StringBuilder out = new StringBuilder();
            for (int seen = 0; seen < count; ) {
                var records = consumer.poll(Duration.ofSeconds(10));
                check(!records.isEmpty(), "no record within 10 s after " + seen);
                for (ConsumerRecord<String, String> r : records) {
                    out.append(r.offset()).append('\t').append(r.key()).append('\t').append(r.value()).append('\n');
                    seen++;
                }
            }
            System.out.print(out);
        }
    }

    static void restart(String bootstrap, String topic, int count) throws Exception {
        var input = new BufferedReader(new InputStreamReader(System.in));
        try (var producer = producer(bootstrap)) {
            List<Future<RecordMetadata>> sent = new ArrayList<>();
            for (int i = 0; i < count; i++) {
                sent.add(producer.send(new ProducerRecord<>(topic, 0, "k" + i, "v" + i)));
                if (i == count / 2) {
                    for (var f : sent) f.get();
                    System.out.println("half");
                    input.readLine();
                }
            }
            for (var f : sent) f.get();
        }
        System.out.println("done");
    }

    static void topics(String bootstrap, String topic) throws Exception {
        try (Admin admin = Admin.create(settings(bootstrap))) {
            check(admin.describeCluster().nodes().get().size() == 1, "one node");
            admin.createTopics(List.of(new NewTopic(topic, 2, (short) 1).configs(Map.of("retention.ms", "7200000"))))
                    .all().get();
            check(admin.listTopics().names().get().contains(topic), "listed");
            TopicDescription described = admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic);
            check(described.partitions().size() == 2, described);
            admin.createPartitions(Map.of(topic, NewPartitions.increaseTo(5))).all().get();
            described = admin.describeTopics(List.of(topic)).allTopicNames().get().get(topic);
            check(described.partitions().size() == 5, described);
            ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
            var config = admin.describeConfigs(List.of(resource)).all().get().get(resource);
            check(config.get("retention.ms").value().equals("7200000"), config.get("retention.ms"));
            check(!config.get("retention.ms").isDefault(), "retention.ms was set");
            check(config.get("segment.bytes").value().equals("1073741824"), config.get("segment.bytes"));
            TopicPartition first = new TopicPartition(topic, 0);
            var ends = admin.listOffsets(Map.of(first, OffsetSpec.latest())).all().get();
            check(ends.get(first).offset() == 0, "empty");
            admin.deleteTopics(List.of(topic)).all().get();
            check(!admin.listTopics().names().get().contains(topic), "deleted");
        }
    }

    static void times(String bootstrap, String topic, long millis) {
        try (var consumer = consumer(bootstrap)) {
            TopicPartition partition = new TopicPartition(topic, 0);
            var found = consumer.offsetsForTimes(Map.of(partition, millis)).get(partition);
            System.out.println(found == null ? -1 : found.offset());
        }
    }

    public static void main(String[] a) throws Exception {
        switch (a[0]) {
            case "produce" -> produce(a[1], a[2], a[3], Integer.parseInt(a[4]));
            case "consume" -> consume(a[1], a[2], Integer.parseInt(a[3]));
            case "restart" -> restart(a[1], a[2], Integer.parseInt(a[3]));
            case "topics" -> topics(a[1], a[2]);
            case "times" -> times(a[1], a[2], Long.parseLong(a[3]));
            default -> throw new IllegalArgumentException(a[0]);
        }
    }
}
