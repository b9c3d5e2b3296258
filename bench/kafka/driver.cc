// A load on librdkafka against any Kafka broker: `produce`, `consume` or `roundtrip`. Prints one
// line of JSON with the rate, the latencies, and the CPU time of the broker's process and of this
// one over the measured part. The topic must exist. bench/kafka/bench.py runs it.

#include <librdkafka/rdkafka.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <map>
#include <string>
#include <thread>
#include <vector>

namespace {

[[noreturn]] void die(const std::string& what) {
    std::fprintf(stderr, "driver: %s\n", what.c_str());
    std::exit(1);
}

std::int64_t now_us() {
    timespec t{};
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1'000'000LL + t.tv_nsec / 1000;
}

void sleep_us(std::int64_t us) {
    const timespec t{us / 1'000'000, us % 1'000'000 * 1000};
    nanosleep(&t, nullptr);
}

double own_cpu_s() {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    const auto seconds = [](timeval t) {
        return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

/// The options of the command line, `--name value`.
class Options {
  public:
    Options(int argc, char** argv) {
        for (int i = 2; i + 1 < argc; i += 2) values_[argv[i] + 2] = argv[i + 1];
    }
    [[nodiscard]] std::string text(const std::string& name, const std::string& fallback) const {
        const auto found = values_.find(name);
        return found == values_.end() ? fallback : found->second;
    }
    [[nodiscard]] std::int64_t number(const std::string& name, std::int64_t fallback) const {
        return std::stoll(text(name, std::to_string(fallback)));
    }

  private:
    std::map<std::string, std::string> values_;
};

/// CPU time of the broker, of this process and of the whole machine between start() and stop().
class Meter {
  public:
    explicit Meter(std::int64_t pid) : pid_(pid) {}
    void start() {
        began_us_ = now_us();
        broker_ = -broker_cpu_s();
        own_ = -own_cpu_s();
    }
    void stop() {
        seconds_ = static_cast<double>(now_us() - began_us_) * 1e-6;
        broker_ += broker_cpu_s();
        own_ += own_cpu_s();
    }
    void print(std::int64_t records, std::int64_t bytes) const {
        const auto count = static_cast<double>(std::max<std::int64_t>(records, 1));
        std::printf(
            "{\"records\":%lld,\"bytes\":%lld,\"seconds\":%.4f,\"records_per_s\":%.0f,"
            "\"broker_cpu_s_per_million\":%.4f,\"broker_cores\":%.3f,\"client_cpu_s_per_million\":%"
            ".4f",
            static_cast<long long>(records), static_cast<long long>(bytes), seconds_,
            count / seconds_, broker_ * 1e6 / count, broker_ / seconds_, own_ * 1e6 / count);
    }

  private:
    [[nodiscard]] double broker_cpu_s() const {
        if (pid_ == 0) return 0;
        std::ifstream file("/proc/" + std::to_string(pid_) + "/stat");
        std::string line;
        std::getline(file, line);
        unsigned long user = 0;
        unsigned long system = 0;
        const auto end = line.rfind(')');
        if (end == std::string::npos ||
            std::sscanf(line.c_str() + end + 2,
                        "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
                        &system) != 2) {
            die("the broker's process is gone");
        }
        return static_cast<double>(user + system) / static_cast<double>(sysconf(_SC_CLK_TCK));
    }
    std::int64_t pid_;
    std::int64_t began_us_ = 0;
    double seconds_ = 0;
    double broker_ = 0;
    double own_ = 0;
};

/// Every latency, exactly.
class Latencies {
  public:
    void add(std::int64_t us) {
        values_.push_back(static_cast<std::uint32_t>(std::max<std::int64_t>(us, 0)));
    }
    void print() {
        std::sort(values_.begin(), values_.end());
        std::printf(",\"p50_ms\":%.3f,\"p99_ms\":%.3f,\"p999_ms\":%.3f,\"max_ms\":%.3f", at(0.5),
                    at(0.99), at(0.999), at(1));
    }

  private:
    [[nodiscard]] double at(double quantile) const {
        if (values_.empty()) return 0;
        const auto rank = std::ceil(quantile * static_cast<double>(values_.size()));
        return values_[static_cast<std::size_t>(std::max(rank - 1, 0.0))] / 1000.0;
    }
    std::vector<std::uint32_t> values_;
};

/// Text of made-up words, which compresses about as well as log lines do. Values are cut from it.
class Payload {
  public:
    Payload() {
        std::vector<std::string> words(2048);
        for (std::string& word : words) {
            for (std::uint64_t n = 3 + next() % 8; n > 0; --n)
                word += static_cast<char>('a' + next() % 26);
            word += ' ';
        }
        while (text_.size() < kSize + (1 << 20)) text_ += words[next() % words.size()];
    }
    char* cut() { return text_.data() + next() % kSize; }

  private:
    static constexpr std::size_t kSize = 16 << 20;
    std::uint64_t next() {
        state_ ^= state_ << 13;
        state_ ^= state_ >> 7;
        state_ ^= state_ << 17;
        return state_;
    }
    std::uint64_t state_ = 88172645463325252ULL;
    std::string text_;
};

void set(rd_kafka_conf_t* conf, const std::string& name, const std::string& value) {
    char error[512];
    if (rd_kafka_conf_set(conf, name.c_str(), value.c_str(), error, sizeof error) !=
        RD_KAFKA_CONF_OK) {
        die(error);
    }
}

/// What the producer's callback counts; touched by the polling thread only.
struct Delivered {
    std::int64_t count = 0;
    std::int64_t failed = 0;
    bool keep = false;
    Latencies latencies;
};
Delivered delivered;

void on_delivery(rd_kafka_t* /*client*/, const rd_kafka_message_t* message, void* /*opaque*/) {
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        if (delivered.failed++ == 0)
            std::fprintf(stderr, "driver: %s\n", rd_kafka_err2str(message->err));
        return;
    }
    delivered.count++;
    const auto due = reinterpret_cast<std::intptr_t>(message->_private);
    if (delivered.keep) delivered.latencies.add(now_us() - due);
}

rd_kafka_t* open_client(rd_kafka_type_t type, const Options& options) {
    rd_kafka_conf_t* conf = rd_kafka_conf_new();
    set(conf, "bootstrap.servers", options.text("bootstrap", "127.0.0.1:9092"));
    set(conf, "broker.address.family", "v4");
    if (type == RD_KAFKA_PRODUCER) {
        set(conf, "acks", options.text("acks", "all"));
        set(conf, "linger.ms", options.text("linger-ms", "5"));
        set(conf, "compression.codec", options.text("codec", "none"));
        set(conf, "batch.num.messages", "100000");  // so that the size fills a batch, not the count
        rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    } else {
        set(conf, "group.id", "unused");  // librdkafka demands one; the partitions are assigned
        set(conf, "auto.offset.reset", "earliest");
        set(conf, "enable.auto.commit", "false");
    }
    char error[512];
    rd_kafka_t* client = rd_kafka_new(type, conf, error, sizeof error);
    if (client == nullptr) die(error);
    if (type == RD_KAFKA_CONSUMER) rd_kafka_poll_set_consumer(client);
    return client;
}

void send(rd_kafka_t* client, rd_kafka_topic_t* topic, int partition, char* value, std::size_t size,
          std::int64_t due_us) {
    auto* mark = reinterpret_cast<void*>(static_cast<std::intptr_t>(due_us));
    while (rd_kafka_produce(topic, partition, RD_KAFKA_MSG_F_COPY, value, size, nullptr, 0, mark) !=
           0) {
        if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL) {
            die(rd_kafka_err2str(rd_kafka_last_error()));
        }
        rd_kafka_poll(client, 5);
    }
}

void drain(rd_kafka_t* client) {
    while (rd_kafka_outq_len(client) > 0) rd_kafka_poll(client, 5);
}

/// Waits until `due`, serving callbacks meanwhile.
void wait_until(rd_kafka_t* client, std::int64_t due_us) {
    for (;;) {
        rd_kafka_poll(client, 0);
        const std::int64_t left = due_us - now_us();
        if (left <= 0) return;
        sleep_us(std::min<std::int64_t>(left, 500));
    }
}

int produce(const Options& options) {
    const std::int64_t records = options.number("records", 1'000'000);
    const std::int64_t rate = options.number("rate", 0);
    const auto partitions = static_cast<int>(options.number("partitions", 1));
    const auto size = static_cast<std::size_t>(options.number("size", 100));
    rd_kafka_t* client = open_client(RD_KAFKA_PRODUCER, options);
    rd_kafka_topic_t* topic =
        rd_kafka_topic_new(client, options.text("topic", "").c_str(), nullptr);
    Payload payload;
    // One record to each partition first: connections and metadata are no part of the figure.
    for (int p = 0; p < partitions; ++p) send(client, topic, p, payload.cut(), size, now_us());
    drain(client);
    delivered.count = 0;
    delivered.keep = true;

    Meter meter(options.number("pid", 0));
    meter.start();
    const std::int64_t began_us = now_us();
    for (std::int64_t i = 0; i < records; ++i) {
        std::int64_t due_us = 0;
        if (rate > 0) {
            due_us = began_us + i * 1'000'000 / rate;
            wait_until(client, due_us);
        } else {
            if (i % 512 == 0) rd_kafka_poll(client, 0);
            due_us = now_us();
        }
        send(client, topic, static_cast<int>(i % partitions), payload.cut(), size, due_us);
    }
    drain(client);
    meter.stop();
    meter.print(delivered.count, delivered.count * static_cast<std::int64_t>(size));
    delivered.latencies.print();
    std::printf(",\"failed\":%lld}\n", static_cast<long long>(delivered.failed));
    rd_kafka_topic_destroy(topic);
    rd_kafka_destroy(client);
    return delivered.failed == 0 && delivered.count == records ? 0 : 2;
}

/// Assigns every partition, from the beginning or from where its end is now.
void assign(rd_kafka_t* client, const Options& options, bool from_end) {
    const std::string topic = options.text("topic", "");
    const auto partitions = static_cast<int>(options.number("partitions", 1));
    rd_kafka_topic_partition_list_t* list = rd_kafka_topic_partition_list_new(partitions);
    for (int p = 0; p < partitions; ++p) {
        std::int64_t low = 0;
        std::int64_t high = RD_KAFKA_OFFSET_BEGINNING;
        if (from_end && rd_kafka_query_watermark_offsets(client, topic.c_str(), p, &low, &high,
                                                         10'000) != RD_KAFKA_RESP_ERR_NO_ERROR) {
            die("the broker does not say where the partition ends");
        }
        rd_kafka_topic_partition_list_add(list, topic.c_str(), p)->offset = high;
    }
    rd_kafka_assign(client, list);
    rd_kafka_topic_partition_list_destroy(list);
}

int consume(const Options& options) {
    const std::int64_t records = options.number("records", 1'000'000);
    rd_kafka_t* client = open_client(RD_KAFKA_CONSUMER, options);
    rd_kafka_queue_t* queue = rd_kafka_queue_get_consumer(client);
    std::vector<rd_kafka_message_t*> messages(10'000);
    Meter meter(options.number("pid", 0));
    meter.start();
    assign(client, options, false);
    std::int64_t count = 0;
    std::int64_t bytes = 0;
    std::int64_t last_us = now_us();
    while (count < records && now_us() - last_us < 20'000'000) {
        const ssize_t got =
            rd_kafka_consume_batch_queue(queue, 100, messages.data(), messages.size());
        for (ssize_t i = 0; i < got; ++i) {
            rd_kafka_message_t* message = messages[static_cast<std::size_t>(i)];
            if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
                ++count;
                bytes += static_cast<std::int64_t>(message->len);
            }
            rd_kafka_message_destroy(message);
        }
        if (got > 0) last_us = now_us();
    }
    meter.stop();
    meter.print(count, bytes);
    std::printf("}\n");
    rd_kafka_queue_destroy(queue);
    rd_kafka_consumer_close(client);
    rd_kafka_destroy(client);
    return count >= records ? 0 : 2;
}

/// The consumer's side of `roundtrip`: latency from when a record was due to be sent to its
/// arrival.
void receive(rd_kafka_t* client, std::int64_t measure_from_us, const std::atomic<bool>& stop,
             std::atomic<std::int64_t>& arrived, Latencies& latencies) {
    while (!stop) {
        rd_kafka_message_t* message = rd_kafka_consumer_poll(client, 50);
        if (message == nullptr) continue;
        if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR && message->len >= sizeof(std::int64_t)) {
            std::int64_t due_us = 0;
            std::memcpy(&due_us, message->payload, sizeof due_us);
            if (due_us >= measure_from_us) latencies.add(now_us() - due_us);
            ++arrived;
        }
        rd_kafka_message_destroy(message);
    }
}

/// Sends at a fixed rate without linger, and reads in the same process; the first seconds warm up.
int roundtrip(const Options& options) {
    const std::int64_t rate = options.number("rate", 1000);
    const std::int64_t warm_us = options.number("warm-seconds", 2) * 1'000'000;
    const std::int64_t run_us = options.number("seconds", 8) * 1'000'000;
    const auto partitions = static_cast<int>(options.number("partitions", 1));
    const auto size =
        static_cast<std::size_t>(std::max<std::int64_t>(options.number("size", 100), 8));
    rd_kafka_t* producer = open_client(RD_KAFKA_PRODUCER, options);
    rd_kafka_t* consumer = open_client(RD_KAFKA_CONSUMER, options);
    rd_kafka_topic_t* topic =
        rd_kafka_topic_new(producer, options.text("topic", "").c_str(), nullptr);
    Payload payload;
    assign(consumer, options, true);
    const std::int64_t began_us = now_us() + 500'000;
    Latencies latencies;
    std::atomic<bool> stop = false;
    std::atomic<std::int64_t> arrived = 0;
    std::thread receiver(receive, consumer, began_us + warm_us, std::cref(stop), std::ref(arrived),
                         std::ref(latencies));
    Meter meter(options.number("pid", 0));
    std::vector<char> value(size);
    const std::int64_t total = rate * (warm_us + run_us) / 1'000'000;
    const std::int64_t warm = rate * warm_us / 1'000'000;
    for (std::int64_t i = 0; i < total; ++i) {
        const std::int64_t due_us = began_us + i * 1'000'000 / rate;
        wait_until(producer, due_us);
        if (i == warm) meter.start();
        std::memcpy(value.data(), payload.cut(), size);
        std::memcpy(value.data(), &due_us, sizeof due_us);
        send(producer, topic, static_cast<int>(i % partitions), value.data(), size, due_us);
    }
    meter.stop();
    rd_kafka_flush(producer, 60'000);
    for (int i = 0; i < 200 && arrived < total; ++i) sleep_us(50'000);
    stop = true;
    receiver.join();
    meter.print(total - warm, (total - warm) * static_cast<std::int64_t>(size));
    latencies.print();
    std::printf(",\"lost\":%lld}\n", static_cast<long long>(total - arrived));
    rd_kafka_consumer_close(consumer);
    rd_kafka_destroy(consumer);
    rd_kafka_topic_destroy(topic);
    rd_kafka_destroy(producer);
    return arrived == total ? 0 : 2;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 2) die("usage: driver produce|consume|roundtrip --topic T [--name value]...");
    const Options options(argc, argv);
    const std::string mode = argv[1];
    if (mode == "produce") return produce(options);
    if (mode == "consume") return consume(options);
    if (mode == "roundtrip") return roundtrip(options);
    die("unknown mode " + mode);
}
