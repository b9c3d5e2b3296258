// DLog's C++ client beside librdkafka, the same work in the same program:
//   client_bench dlog|librdkafka produce|consume BOOTSTRAP TOPIC PARTITIONS RECORDS SIZE [CODEC]
// Keyed records of SIZE bytes, each delivery heard of (produce), each record's key and value looked
// at (consume). The topic must exist; consume reads what produce wrote. Prints one line of JSON:
// the rate, and the CPU time of this process a record.

#include <dlog/client.h>
#include <librdkafka/rdkafka.h>
#include <sys/resource.h>
#include <time.h>

#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

namespace {

[[noreturn]] void die(std::string_view what) {
    std::fprintf(stderr, "client_bench: %.*s\n", static_cast<int>(what.size()), what.data());
    std::exit(1);
}

struct Plan {
    std::string client;
    std::string mode;
    std::string bootstrap;
    std::string topic;
    std::int32_t partitions = 1;
    std::int64_t records = 0;
    std::size_t size = 100;
    std::string codec = "none";
};

double now_s() {
    timespec time{};
    ::clock_gettime(CLOCK_MONOTONIC, &time);
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

double cpu_s() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    const auto seconds = [](timeval t) {
        return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
    };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

/// Wall and CPU time from its making on.
class Meter {
  public:
    void print(const Plan& plan, std::int64_t count) const {
        const double seconds = now_s() - began_s_;
        const double cpu = cpu_s() - cpu_began_s_;
        const auto records = static_cast<double>(count);
        std::printf(
            "{\"client\":\"%s\",\"mode\":\"%s\",\"records\":%lld,\"size\":%zu,\"codec\":\"%s\","
            "\"seconds\":%.3f,\"records_per_s\":%.0f,\"cpu_ns_per_record\":%.1f}\n",
            plan.client.c_str(), plan.mode.c_str(), static_cast<long long>(count), plan.size,
            plan.codec.c_str(), seconds, records / seconds, cpu * 1e9 / records);
    }

  private:
    double began_s_ = now_s();
    double cpu_began_s_ = cpu_s();
};

/// Keys, and values that compress about as well as log lines do.
class Source {
  public:
    explicit Source(std::size_t size) : size_(size) {
        std::vector<std::string> words(2048);
        for (std::string& word : words) {
            for (std::uint64_t n = 3 + next() % 8; n > 0; --n) {
                word += static_cast<char>('a' + next() % 26);
            }
            word += ' ';
        }
        while (text_.size() < kTextBytes + size) text_ += words[next() % words.size()];
        for (int i = 0; i < 10'000; ++i)
            keys_.push_back("customer-" + std::to_string(1'000'000 + i));
    }
    std::string_view value() { return {text_.data() + next() % kTextBytes, size_}; }
    std::string_view key() { return keys_[next() % keys_.size()]; }

  private:
    static constexpr std::size_t kTextBytes = 1 << 20;
    std::uint64_t next() {
        state_ ^= state_ << 13;
        state_ ^= state_ >> 7;
        state_ ^= state_ << 17;
        return state_;
    }
    const std::size_t size_;
    std::uint64_t state_ = 88172645463325252ULL;
    std::string text_;
    std::vector<std::string> keys_;
};

// DLog.

dlog::Compression codec_named(const std::string& name) {
    if (name == "gzip") return dlog::Compression::kGzip;
    if (name == "snappy") return dlog::Compression::kSnappy;
    if (name == "lz4") return dlog::Compression::kLz4;
    if (name == "zstd") return dlog::Compression::kZstd;
    return dlog::Compression::kNone;
}

template <class T>
T need(dlog::Result<T> result) {
    if (!result) die(result.error().text);
    return *std::move(result);
}

struct Counter final : dlog::DeliveryObserver {
    void delivered(const dlog::Result<dlog::Delivery>& outcome) override {
        if (!outcome) die(outcome.error().text);
        ++count;
    }
    std::int64_t count = 0;  // the client's thread; read after a flush
};

void produce_dlog(const Plan& plan) {
    auto client = need(dlog::Client::connect(plan.bootstrap));
    auto producer = need(client.producer({.compression = codec_named(plan.codec)}));
    Source source(plan.size);
    Counter counter;
    const auto send = [&] {
        const auto sent = producer.send(
            {.topic = plan.topic, .key = source.key(), .value = source.value()}, counter);
        if (!sent) die(sent.error().text);
    };
    send();
    if (!producer.flush(std::chrono::seconds(10))) die("the first record was not delivered");
    const Meter meter;
    for (std::int64_t i = 0; i < plan.records; ++i) send();
    const auto flushed = producer.flush(std::chrono::seconds(120));
    if (!flushed) die(flushed.error().text);
    if (counter.count != plan.records + 1) die("not every record was heard of");
    meter.print(plan, plan.records);
}

void consume_dlog(const Plan& plan) {
    auto client = need(dlog::Client::connect(plan.bootstrap));
    auto consumer = need(client.consumer());
    const Meter meter;
    const auto assigned = consumer.assign_topic(plan.topic, dlog::From::beginning());
    if (!assigned) die(assigned.error().text);
    std::int64_t count = 0;
    std::uint64_t seen = 0;
    while (count < plan.records) {
        const auto records = need(consumer.poll(std::chrono::seconds(10)));
        if (records.empty()) die("nothing came for 10 s");
        for (const dlog::Record& record : records) {
            seen += static_cast<std::uint8_t>(record.key.data()[0]) + record.value.size();
            ++count;
        }
    }
    meter.print(plan, count);
    if (seen == 0) die("empty records");
}

// librdkafka.

std::int64_t heard = 0;

void on_delivery(rd_kafka_t*, const rd_kafka_message_t* message, void*) {
    if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) die(rd_kafka_err2str(message->err));
    ++heard;
}

rd_kafka_t* open_librdkafka(const Plan& plan, rd_kafka_type_t type) {
    rd_kafka_conf_t* conf = rd_kafka_conf_new();
    char error[512];
    const auto set = [&](const char* name, const char* value) {
        if (rd_kafka_conf_set(conf, name, value, error, sizeof(error)) != RD_KAFKA_CONF_OK) {
            die(error);
        }
    };
    set("bootstrap.servers", plan.bootstrap.c_str());
    if (type == RD_KAFKA_PRODUCER) {
        set("enable.idempotence", "true");
        set("compression.codec", plan.codec.c_str());
        set("batch.num.messages", "100000");
        set("batch.size", "262144");
        set("linger.ms", "5");
        rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    } else {
        set("group.id", "unused");
        set("enable.auto.commit", "false");
    }
    rd_kafka_t* client = rd_kafka_new(type, conf, error, sizeof(error));
    if (client == nullptr) die(error);
    return client;
}

void produce_librdkafka(const Plan& plan) {
    rd_kafka_t* client = open_librdkafka(plan, RD_KAFKA_PRODUCER);
    rd_kafka_topic_conf_t* conf = rd_kafka_topic_conf_new();
    rd_kafka_topic_conf_set_partitioner_cb(conf, rd_kafka_msg_partitioner_murmur2);
    rd_kafka_topic_t* topic = rd_kafka_topic_new(client, plan.topic.c_str(), conf);
    Source source(plan.size);
    const auto send = [&] {
        const std::string_view key = source.key();
        const std::string_view value = source.value();
        while (rd_kafka_produce(topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY,
                                const_cast<char*>(value.data()), value.size(), key.data(),
                                key.size(), nullptr) != 0) {
            if (rd_kafka_last_error() != RD_KAFKA_RESP_ERR__QUEUE_FULL) die("produce failed");
            rd_kafka_poll(client, 5);
        }
    };
    send();
    rd_kafka_flush(client, 10'000);
    const Meter meter;
    for (std::int64_t i = 0; i < plan.records; ++i) {
        if (i % 512 == 0) rd_kafka_poll(client, 0);
        send();
    }
    rd_kafka_flush(client, 120'000);
    if (heard != plan.records + 1) die("not every record was heard of");
    meter.print(plan, plan.records);
    rd_kafka_topic_destroy(topic);
    rd_kafka_destroy(client);
}

void consume_librdkafka(const Plan& plan) {
    rd_kafka_t* client = open_librdkafka(plan, RD_KAFKA_CONSUMER);
    rd_kafka_poll_set_consumer(client);
    rd_kafka_queue_t* queue = rd_kafka_queue_get_consumer(client);
    std::vector<rd_kafka_message_t*> messages(1000);
    const Meter meter;
    rd_kafka_topic_partition_list_t* list = rd_kafka_topic_partition_list_new(plan.partitions);
    for (std::int32_t p = 0; p < plan.partitions; ++p) {
        rd_kafka_topic_partition_list_add(list, plan.topic.c_str(), p)->offset =
            RD_KAFKA_OFFSET_BEGINNING;
    }
    rd_kafka_assign(client, list);
    rd_kafka_topic_partition_list_destroy(list);
    std::int64_t count = 0;
    std::uint64_t seen = 0;
    const double give_up_s = now_s() + 120;
    while (count < plan.records) {
        if (now_s() > give_up_s) die("records are missing");
        const ssize_t got =
            rd_kafka_consume_batch_queue(queue, 100, messages.data(), messages.size());
        for (ssize_t i = 0; i < got; ++i) {
            rd_kafka_message_t* message = messages[static_cast<std::size_t>(i)];
            if (message->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
                seen += *static_cast<const std::uint8_t*>(message->key) + message->len;
                ++count;
            }
            rd_kafka_message_destroy(message);
        }
    }
    meter.print(plan, count);
    if (seen == 0) die("empty records");
    rd_kafka_queue_destroy(queue);
    rd_kafka_consumer_close(client);
    rd_kafka_destroy(client);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 8) {
        die("usage: client_bench dlog|librdkafka produce|consume BOOTSTRAP TOPIC PARTITIONS "
            "RECORDS SIZE [CODEC]");
    }
    const Plan plan{argv[1],
                    argv[2],
                    argv[3],
                    argv[4],
                    std::atoi(argv[5]),
                    std::atoll(argv[6]),
                    static_cast<std::size_t>(std::atoll(argv[7])),
                    argc > 8 ? argv[8] : "none"};
    const bool is_produce = plan.mode == "produce";
    if (plan.client == "dlog") {
        is_produce ? produce_dlog(plan) : consume_dlog(plan);
    } else {
        is_produce ? produce_librdkafka(plan) : consume_librdkafka(plan);
    }
}
