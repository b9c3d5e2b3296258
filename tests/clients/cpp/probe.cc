// The probe runs one case of DLog's C++ client at its default settings:
//
//   probe produce BOOTSTRAP TOPIC CODEC COUNT: keys k0.., values v0.., to partition 0
//   probe consume BOOTSTRAP TOPIC COUNT: prints "offset<TAB>key<TAB>value"
//   probe restart BOOTSTRAP TOPIC COUNT: idempotent; prints "half", goes on after a line of input
//   probe flow BOOTSTRAP TOPIC: keys k0.., values v0.., 500 a second until its input ends; prints
//     how many when all are delivered
//   probe grown BOOTSTRAP TOPIC PARTITION: sends one record to it, before and after it is there
//   probe topics BOOTSTRAP TOPIC: creates, lists, describes, grows, deletes
//   probe times BOOTSTRAP TOPIC MILLIS: prints the first offset at or after that time
//   probe keys BOOTSTRAP TOPIC PARTITIONING: a key a line of input; prints
//     "partition<TAB>offset<TAB>key"
//   probe since BOOTSTRAP TOPIC MILLIS COUNT: prints the same, of all partitions
//   probe walk BOOTSTRAP TOPIC COUNT: seeks, pauses, resumes over partition 0 of COUNT records
//   probe group BOOTSTRAP TOPIC GROUP [SETTING=VALUE...]: a member, as member.py and its kind; a
//     TOPIC that begins with ^ is a pattern
//   probe committed BOOTSTRAP TOPIC: reads partition 0 to its end with read_committed; prints the
//     values, then "end OFFSET POSITION HIGH_WATERMARK"
//
// A last word metadata.max.age.ms=N is for the client.

#include <dlog/admin.h>
#include <dlog/client.h>
#include <dlog/future.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <deque>
#include <functional>
#include <future>
#include <iostream>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using Arguments = std::vector<std::string>;

namespace {

[[noreturn]] void fail(std::string_view what) {
    std::fprintf(stderr, "failed: %.*s\n", static_cast<int>(what.size()), what.data());
    std::exit(1);
}

void require(bool holds, std::string_view what) {
    if (!holds) fail(what);
}

template <class T>
T need(dlog::Result<T> result) {
    if (!result) fail(result.error().text);
    if constexpr (!std::is_void_v<T>) return *std::move(result);
}

void need_soon(const std::function<bool()>& holds, std::string_view what) {
    const auto end = std::chrono::steady_clock::now() + 5s;
    while (!holds()) {
        if (std::chrono::steady_clock::now() > end) fail(what);
        std::this_thread::sleep_for(50ms);
    }
}

std::string numbered(const char* prefix, int number) {
    std::string text(prefix);
    return text += std::to_string(number);
}

void send_range(dlog::Producer& producer, const std::string& topic, int from, int to) {
    for (int i = from; i < to; ++i) {
        const std::string key = numbered("k", i);
        const std::string value = numbered("v", i);
        need(producer.send({.topic = topic, .key = key, .value = value, .partition = 0}));
    }
    need(producer.flush(60s));
}

void produce(dlog::Client& client, const Arguments& words) {
    static const std::map<std::string, dlog::Compression> kCodecs = {
        {"none", dlog::Compression::kNone},
        {"gzip", dlog::Compression::kGzip},
        {"snappy", dlog::Compression::kSnappy},
        {"lz4", dlog::Compression::kLz4},
        {"zstd", dlog::Compression::kZstd}};
    auto producer = need(client.producer({.compression = kCodecs.at(words.at(1))}));
    send_range(producer, words.at(0), 0, std::stoi(words.at(2)));
}

/// Reads until `count` records have come.
void read(dlog::Consumer& consumer, int count,
          const std::function<void(const dlog::Record&)>& visit) {
    const auto end = std::chrono::steady_clock::now() + 30s;
    while (count > 0) {
        require(std::chrono::steady_clock::now() < end, "records are missing after 30 s");
        for (const dlog::Record& record : need(consumer.poll(500ms))) {
            if (count-- > 0) visit(record);
        }
    }
}

void consume(dlog::Client& client, const Arguments& words) {
    auto consumer = need(client.consumer());
    need(consumer.assign({words.at(0), 0}, dlog::From::beginning()));
    read(consumer, std::stoi(words.at(1)), [](const dlog::Record& record) {
        std::cout << record.offset << '\t' << record.key.text() << '\t' << record.value.text()
                  << '\n';
    });
}

void restart(dlog::Client& client, const Arguments& words) {
    const int count = std::stoi(words.at(1));
    auto producer = need(client.producer());
    send_range(producer, words.at(0), 0, count / 2);
    std::cout << "half" << std::endl;
    std::string line;
    std::getline(std::cin, line);
    send_range(producer, words.at(0), count / 2, count);
    std::cout << "done\n";
}

/// Runs `step` again and again until the input ends.
void until_input_ends(const std::function<void()>& step) {
    std::atomic<bool> has_ended = false;
    std::thread input([&] {
        while (std::cin.get() != EOF) {
        }
        has_ended = true;
    });
    while (!has_ended) step();
    input.join();
}

void flow(dlog::Client& client, const Arguments& words) {
    auto producer = need(client.producer());
    int sent = 0;
    until_input_ends([&] {
        const std::string key = numbered("k", sent);
        const std::string value = numbered("v", sent++);
        need(producer.send({.topic = words.at(0), .key = key, .value = value}));
        std::this_thread::sleep_for(2ms);
    });
    need(producer.flush(60s));
    std::cout << sent << '\n';
}

void grown(dlog::Client& client, const Arguments& words) {
    const std::int32_t partition = std::stoi(words.at(1));
    auto producer = need(client.producer());
    const dlog::ProducerRecord record{
        .topic = words.at(0), .value = "there", .partition = partition};
    require(!producer.send(record), "a partition that is not there was written to");
    need(client.admin().create_partitions(words.at(0), partition + 1));
    need_soon([&] { return producer.send(record).has_value(); }, "the partition is not written to");
    need(producer.flush(30s));
}

void topics(dlog::Client& client, const Arguments& words) {
    const std::string& topic = words.at(0);
    dlog::Admin admin = client.admin();
    need(admin.create_topic({.name = topic,
                             .partitions = 2,
                             .replication_factor = 1,
                             .configs = {{"retention.ms", "7200000"}}}));
    const auto is_listed = [&] {
        for (const auto& listed : need(admin.list_topics())) {
            if (listed.name == topic) return true;
        }
        return false;
    };
    const auto partition_count = [&] {
        return need(admin.describe_topic(topic)).partitions.size();
    };
    const auto value_of = [&](const std::string& name) {
        for (const auto& config : need(admin.describe_configs(topic))) {
            if (config.name == name) return config.value.value_or("");
        }
        return std::string();
    };
    need_soon(is_listed, "the topic is not listed");
    require(partition_count() == 2, "the topic has not 2 partitions");
    require(need(admin.describe_topic(topic)).partitions[0].leader >= 0, "there is no leader");
    need(admin.create_partitions(topic, 5));
    need_soon([&] { return partition_count() == 5; }, "the topic did not grow to 5 partitions");
    require(value_of("retention.ms") == "7200000", "retention.ms is not what it was made with");
    const dlog::ConfigChange changes[] = {{"retention.ms", "3600000"}};
    const auto altered = admin.alter_configs(topic, changes);
    // A broker may do without IncrementalAlterConfigs, but not refuse it or do nothing.
    if (altered) {
        need_soon([&] { return value_of("retention.ms") == "3600000"; },
                  "retention.ms did not change");
    } else {
        require(altered.error().kind == dlog::ErrorKind::kUnsupported, altered.error().text);
    }
    const auto again = admin.create_topic({.name = topic});
    require(!again && again.error().code == 36, "a second topic of that name was made");
    need(admin.delete_topic(topic));
    need_soon([&] { return !is_listed(); }, "the topic is still listed");
}

void times(dlog::Client& client, const Arguments& words) {
    const dlog::TimePoint time(std::stoll(words.at(1)));
    for (const auto& found : need(client.admin().offsets_at(words.at(0), time))) {
        if (found.partition == 0) std::cout << found.offset << '\n';
    }
}

/// A coroutine that nobody waits for.
struct Task {
    struct promise_type {
        Task get_return_object() { return {}; }
        std::suspend_never initial_suspend() { return {}; }
        std::suspend_never final_suspend() noexcept { return {}; }
        void return_void() {}
        void unhandled_exception() { std::terminate(); }
    };
};

Task deliver(dlog::Producer& producer, dlog::ProducerRecord record,
             dlog::Result<dlog::Delivery>& into, std::promise<void>& done) {
    into = co_await producer.deliver(record);
    done.set_value();
}

/// A third of the keys by callback, future and coroutine each.
void keys(dlog::Client& client, const Arguments& words) {
    static const std::map<std::string, dlog::Partitioning> kNames = {
        {"murmur2", dlog::Partitioning::kMurmur2},
        {"murmur2_random", dlog::Partitioning::kMurmur2Random},
        {"consistent", dlog::Partitioning::kConsistent},
        {"consistent_random", dlog::Partitioning::kConsistentRandom},
        {"fnv1a", dlog::Partitioning::kFnv1a},
        {"fnv1a_random", dlog::Partitioning::kFnv1aRandom}};
    auto producer = need(client.producer({.partitioning = kNames.at(words.at(1))}));
    std::deque<std::string> all;
    for (std::string line; std::getline(std::cin, line);) all.push_back(line);
    std::vector<dlog::Result<dlog::Delivery>> outcomes(all.size());
    std::vector<std::future<dlog::Result<dlog::Delivery>>> futures(all.size());
    std::deque<std::promise<void>> done(all.size());
    for (std::size_t i = 0; i < all.size(); ++i) {
        const dlog::ProducerRecord record{.topic = words.at(0), .key = all[i], .value = "v"};
        if (i % 3 == 0) {
            need(producer.send(record, [&, i](const auto& outcome) { outcomes[i] = outcome; }));
        } else if (i % 3 == 1) {
            futures[i] = dlog::send_future(producer, record);
        } else {
            deliver(producer, record, outcomes[i], done[i]);
        }
    }
    need(producer.flush(30s));
    for (std::size_t i = 0; i < all.size(); ++i) {
        if (i % 3 == 1) outcomes[i] = futures[i].get();
        if (i % 3 == 2) done[i].get_future().wait();
        const dlog::Delivery delivery = need(outcomes[i]);
        std::cout << delivery.partition << '\t' << delivery.offset << '\t' << all[i] << '\n';
    }
}

void since(dlog::Client& client, const Arguments& words) {
    auto consumer = need(client.consumer());
    need(consumer.consume_from_timestamp(words.at(0), dlog::TimePoint(std::stoll(words.at(1)))));
    read(consumer, std::stoi(words.at(2)), [](const dlog::Record& record) {
        std::cout << record.partition << '\t' << record.offset << '\t' << record.key.text() << '\n';
    });
}

struct Held final : dlog::RebalanceObserver {
    std::map<std::string, std::set<std::int32_t>> held;

    void assigned(dlog::PartitionList partitions) override {
        for (const dlog::TopicPartition& one : partitions) {
            held[std::string(one.topic)].insert(one.partition);
        }
        tell();
    }
    void revoked(dlog::PartitionList partitions) override {
        for (const dlog::TopicPartition& one : partitions) {
            held[std::string(one.topic)].erase(one.partition);
        }
        tell();
    }
    void tell() const {
        std::string line;
        for (const auto& [topic, numbers] : held) {
            for (const std::int32_t number : numbers) {
                if (!line.empty()) line += ',';
                line += std::to_string(number);
            }
        }
        std::cout << "= " << line << std::endl;
    }
};

dlog::ConsumerOptions member_options(const Arguments& words, dlog::RebalanceObserver& observer) {
    dlog::ConsumerOptions options{.on_missing_offset = dlog::MissingOffset::kBeginning};
    dlog::GroupOptions& group = options.group;
    group.id = words.at(1);
    group.observer = &observer;
    for (std::size_t i = 2; i < words.size(); ++i) {
        const std::size_t split = words[i].find('=');
        const std::string name = words[i].substr(0, split);
        const std::string value = words[i].substr(split + 1);
        if (name == "group.instance.id") {
            group.instance_id = value;
        } else if (name == "group.protocol") {
            require(value == "consumer" || value == "classic", "unknown protocol");
            if (value == "consumer") group.protocol = dlog::GroupProtocol::kConsumer;
        } else if (name == "partition.assignment.strategy") {
            require(value == "range" || value == "cooperative-sticky", "unknown strategy");
            group.assignor =
                value == "range" ? dlog::Assignor::kRange : dlog::Assignor::kCooperativeSticky;
        } else if (name == "heartbeat.interval.ms") {
            group.heartbeat_interval = std::chrono::milliseconds(std::stoi(value));
        } else if (name == "session.timeout.ms") {
            group.session_timeout = std::chrono::milliseconds(std::stoi(value));
        } else {
            fail("unknown setting " + name);
        }
    }
    return options;
}

void group(dlog::Client& client, const Arguments& words) {
    Held held;
    auto consumer = need(client.consumer(member_options(words, held)));
    const bool is_pattern = words.at(0).starts_with('^');
    need(is_pattern ? consumer.subscribe_pattern(words.at(0)) : consumer.subscribe({words.at(0)}));
    until_input_ends([&] {
        const auto records = consumer.poll(100ms);
        if (!records && records.error().is_retriable) return;
        if (!records) fail(records.error().text);
        for (const dlog::Record& record : *records) {
            std::cout << record.partition << '\t' << record.offset << '\t' << record.key.text()
                      << '\t' << record.value.text() << std::endl;
        }
    });
    need(consumer.close());
}

void walk(dlog::Client& client, const Arguments& words) {
    const dlog::TopicPartition partition{words.at(0), 0};
    const int count = std::stoi(words.at(1));
    auto consumer = need(client.consumer({.poll_records_max = 10}));
    require(!consumer.seek(partition, dlog::From::beginning()),
            "an unassigned partition was sought");
    need(consumer.assign(partition, dlog::From::end()));
    require(need(consumer.position(partition)) == count, "the end is elsewhere");
    need(consumer.seek(partition, dlog::From::offset(count - 3)));
    std::int64_t next = count - 3;
    read(consumer, 3, [&](const dlog::Record& record) {
        require(record.offset == next++, "a seek gave another offset");
    });
    require(need(consumer.position(partition)) == count, "the position is not behind the last");
    require(need(consumer.high_watermark(partition)) == count, "the high watermark is elsewhere");
    need(consumer.seek(partition, dlog::From::beginning()));
    next = 0;
    const auto in_order = [&](const dlog::Record& record) {
        require(record.offset == next++, "records are not in order");
    };
    for (const dlog::Record& record : need(consumer.poll(5s))) in_order(record);
    require(next > 0, "nothing came from the beginning");
    need(consumer.pause(partition));
    require(need(consumer.poll(300ms)).empty(), "a paused partition gave records");
    need(consumer.resume(partition));
    read(consumer, count - static_cast<int>(next), in_order);
    std::thread waker([&] { consumer.wake_up(); });
    require(need(consumer.poll(60s)).empty(), "records came behind the end");
    waker.join();
    need(consumer.seek(partition, dlog::From::offset(count + 100)));
    const auto beyond = consumer.poll(5s);
    require(!beyond && beyond.error().code == 1, "an offset beyond the end was no error");
    consumer.unassign(partition);
    require(need(consumer.poll(0ms)).empty(), "an unassigned partition gave records");
}

void committed(dlog::Client& client, const Arguments& words) {
    const dlog::TopicPartition partition{words.at(0), 0};
    auto consumer = need(client.consumer({.isolation = dlog::Isolation::kReadCommitted}));
    need(consumer.assign(partition, dlog::From::end()));
    const std::int64_t end = need(consumer.position(partition));
    need(consumer.seek(partition, dlog::From::beginning()));
    while (need(consumer.position(partition)) < end) {
        for (const dlog::Record& record : need(consumer.poll(100ms))) {
            std::cout << record.value.text() << '\n';
        }
    }
    for (const dlog::Record& record : need(consumer.poll(1s))) {
        std::cout << record.value.text() << '\n';
    }
    std::cout << "end " << end << ' ' << need(consumer.position(partition)) << ' '
              << need(consumer.high_watermark(partition)) << '\n';
}

}  // namespace

int main(int argc, char** argv) {
    static const std::map<std::string, void (*)(dlog::Client&, const Arguments&)> kCases = {
        {"produce", produce}, {"consume", consume}, {"restart", restart}, {"topics", topics},
        {"times", times},     {"keys", keys},       {"since", since},     {"walk", walk},
        {"group", group},     {"flow", flow},       {"grown", grown},     {"committed", committed}};
    if (argc < 4 || !kCases.contains(argv[1])) fail("usage: probe CASE BOOTSTRAP TOPIC ...");
    Arguments words(argv + 3, argv + argc);
    dlog::ClientOptions options;
    const std::string age = "metadata.max.age.ms=";
    if (words.back().starts_with(age)) {
        const int milliseconds = std::stoi(words.back().substr(age.size()));
        options.metadata_age_max = std::chrono::milliseconds(milliseconds);
        words.pop_back();
    }
    auto client = need(dlog::Client::connect(argv[2], options));
    kCases.at(argv[1])(client, words);
}
