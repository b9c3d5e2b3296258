// Apache Kafka's own Java client at its default settings, one case a call:
//   Probe produce BOOTSTRAP TOPIC CODEC COUNT          keys k0.., values v0.., to partition 0
//   Probe consume BOOTSTRAP TOPIC COUNT                prints "offset<TAB>key<TAB>value"
//   Probe restart BOOTSTRAP TOPIC COUNT                idempotent; prints "half", goes on after a line of input
//   Probe configure-group BOOTSTRAP GROUP              sets and takes back a setting of a group
//   Probe topics BOOTSTRAP TOPIC                       creates, lists, describes, grows, configures, deletes
//   Probe administer BOOTSTRAP TOPIC                 alters settings, deletes before offset 40, asks for folders
//   Probe times BOOTSTRAP TOPIC MILLIS                 prints the first offset at or after that time
//   Probe group BOOTSTRAP TOPIC GROUP [NAME=VALUE..]   a member until the input ends, as member.py prints it
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.Future;
import java.util.stream.Collectors;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.clients.admin.AlterConfigOp;
import org.apache.kafka.clients.admin.ConfigEntry;
import org.apache.kafka.clients.admin.NewPartitions;
import org.apache.kafka.clients.admin.NewTopic;
import org.apache.kafka.clients.admin.OffsetSpec;
import org.apache.kafka.clients.admin.RecordsToDelete;
import org.apache.kafka.clients.admin.TopicDescription;
import org.apache.kafka.clients.consumer.ConsumerRecord;
import org.apache.kafka.clients.consumer.KafkaConsumer;
import org.apache.kafka.clients.consumer.SubscriptionPattern;
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
            long last = System.nanoTime();
            for (int seen = 0; seen < count; ) {
                // poll also returns when it has passed a batch that compaction left empty.
                var records = consumer.poll(Duration.ofSeconds(10));
                if (!records.isEmpty()) last = System.nanoTime();
                check(System.nanoTime() - last < 10_000_000_000L, "no record within 10 s after " + seen);
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

    static ConfigEntry alter(Admin admin, ConfigResource resource, String name, String value, AlterConfigOp.OpType op)
            throws Exception {
        var change = new AlterConfigOp(new ConfigEntry(name, value), op);
        admin.incrementalAlterConfigs(Map.of(resource, List.of(change))).all().get();
        ConfigEntry entry = null;
        // Kafka spreads changes after it has answered.
        for (int i = 0; i < 100; i++) {
            entry = admin.describeConfigs(List.of(resource)).all().get().get(resource).get(name);
            String now = entry == null ? null : entry.value();
            if (op == AlterConfigOp.OpType.DELETE ? !value.equals(now) : value.equals(now)) return entry;
            Thread.sleep(50);
        }
        throw new AssertionError(name + " is " + entry);
    }

    static void administer(String bootstrap, String topic) throws Exception {
        try (Admin admin = Admin.create(settings(bootstrap))) {
            ConfigResource resource = new ConfigResource(ConfigResource.Type.TOPIC, topic);
            ConfigResource node = new ConfigResource(ConfigResource.Type.BROKER, "1");
            var entry = alter(admin, resource, "retention.ms", "7200000", AlterConfigOp.OpType.SET);
            check(entry.source() == ConfigEntry.ConfigSource.DYNAMIC_TOPIC_CONFIG, entry);
            entry = alter(admin, resource, "retention.ms", "7200000", AlterConfigOp.OpType.DELETE);
            check(entry.isDefault(), entry);
            entry = alter(admin, node, "log.index.interval.bytes", "5000", AlterConfigOp.OpType.SET);
            check(entry.source() == ConfigEntry.ConfigSource.DYNAMIC_BROKER_CONFIG && !entry.isReadOnly(), entry);
            alter(admin, node, "log.index.interval.bytes", "5000", AlterConfigOp.OpType.DELETE);
            ConfigResource allNodes = new ConfigResource(ConfigResource.Type.BROKER, "");
            entry = alter(admin, allNodes, "log.index.interval.bytes", "6000", AlterConfigOp.OpType.SET);
            check(entry.source() == ConfigEntry.ConfigSource.DYNAMIC_DEFAULT_BROKER_CONFIG, entry);
            alter(admin, allNodes, "log.index.interval.bytes", "6000", AlterConfigOp.OpType.DELETE);
            TopicPartition partition = new TopicPartition(topic, 0);
            var deleted = admin.deleteRecords(Map.of(partition, RecordsToDelete.beforeOffset(40)));
            check(deleted.lowWatermarks().get(partition).get().lowWatermark() == 40, "low watermark");
            var folders = admin.describeLogDirs(List.of(1)).allDescriptions().get().get(1).values();
            var folder = folders.iterator().next();
            check(folder.replicaInfos().get(partition).size() > 0, folder);
            check(folder.totalBytes().getAsLong() >= folder.usableBytes().getAsLong(), folder);
            var producers = admin.describeProducers(List.of(partition)).partitionResult(partition).get();
            check(producers.activeProducers().isEmpty(), producers);
        }
    }

    static void times(String bootstrap, String topic, long millis) {
        try (var consumer = consumer(bootstrap)) {
            TopicPartition partition = new TopicPartition(topic, 0);
            var found = consumer.offsetsForTimes(Map.of(partition, millis)).get(partition);
            System.out.println(found == null ? -1 : found.offset());
        }
    }

    /// What a group's own heartbeat interval is, and where it comes from.
    static String interval(Admin admin, ConfigResource group) throws Exception {
        var entry = admin.describeConfigs(List.of(group)).all().get().get(group)
                .get("consumer.heartbeat.interval.ms");
        return entry.value() + " " + entry.source();
    }

    static void configureGroup(String bootstrap, String name) throws Exception {
        ConfigResource group = new ConfigResource(ConfigResource.Type.GROUP, name);
        try (Admin admin = Admin.create(settings(bootstrap))) {
            System.out.println(interval(admin, group));
            for (String value : new String[] {"7000", "1", null}) {
                var type = value == null ? AlterConfigOp.OpType.DELETE : AlterConfigOp.OpType.SET;
                var change = new AlterConfigOp(new ConfigEntry("consumer.heartbeat.interval.ms", value), type);
                try {
                    admin.incrementalAlterConfigs(Map.of(group, List.of(change))).all().get();
                    Thread.sleep(500);
                } catch (java.util.concurrent.ExecutionException e) {
                    System.out.println(e.getCause().getClass().getSimpleName());
                }
                System.out.println(interval(admin, group));
            }
        }
    }

    static Thread untilInputEnds() {
        Thread reader = new Thread(() -> {
            try {
                while (System.in.read() >= 0) {}
            } catch (java.io.IOException e) {
                throw new java.io.UncheckedIOException(e);
            }
        });
        reader.setDaemon(true);
        reader.start();
        return reader;
    }

    static void group(String bootstrap, String topic, String group, List<String> more) {
        Properties p = settings(bootstrap, "group.id", group, "auto.offset.reset", "earliest");
        for (String setting : more) p.put(setting.split("=", 2)[0], setting.split("=", 2)[1]);
        try (var consumer = new KafkaConsumer<>(p, new StringDeserializer(), new StringDeserializer())) {
            if (topic.startsWith("^")) consumer.subscribe(new SubscriptionPattern(topic));
            else consumer.subscribe(List.of(topic));
            Thread input = untilInputEnds();
            String known = null;
            while (input.isAlive()) {
                var records = consumer.poll(Duration.ofMillis(100));
                String assigned = consumer.assignment().stream().map(part -> "" + part.partition()).sorted()
                        .collect(Collectors.joining(","));
                if (!assigned.equals(known)) System.out.println("= " + assigned);
                known = assigned;
                for (ConsumerRecord<String, String> r : records) {
                    System.out.println(r.partition() + "\t" + r.offset() + "\t" + r.key() + "\t" + r.value());
                }
            }
        }
    }

    public static void main(String[] a) throws Exception {
        switch (a[0]) {
            case "produce" -> produce(a[1], a[2], a[3], Integer.parseInt(a[4]));
            case "consume" -> consume(a[1], a[2], Integer.parseInt(a[3]));
            case "restart" -> restart(a[1], a[2], Integer.parseInt(a[3]));
            case "topics" -> topics(a[1], a[2]);
            case "administer" -> administer(a[1], a[2]);
            case "times" -> times(a[1], a[2], Long.parseLong(a[3]));
            case "configure-group" -> configureGroup(a[1], a[2]);
            case "group" -> group(a[1], a[2], a[3], List.of(a).subList(4, a.length));
            default -> throw new IllegalArgumentException(a[0]);
        }
    }
}
