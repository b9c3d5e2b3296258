#include "client/accumulator.h"

#include <doctest/doctest.h>

#include <algorithm>

#include "client/fake_broker.h"
#include "client/producer.h"
#include "port/clock.h"
#include "record/reader.h"
#include "sim/world.h"

namespace dlog::client {
namespace {

using test::FakeBroker;

constexpr Timestamp kWall{1'000};

Instant at_ms(std::int64_t ms) {
    return Instant{} + milliseconds(ms);
}

ProducerRecord record_of(std::string_view value, std::int32_t partition = 0) {
    return {.topic = "orders", .partition = partition, .value = as_bytes(value)};
}

/// An accumulator that knows the topic orders with 3 partitions.
struct Known {
    explicit Known(const AccumulatorConfig& config) : accumulator(config) {
        accumulator.set_partition_count("orders", 3);
    }
    Accumulator accumulator;
};

TEST_CASE("a batch is due when it has lingered, and the sender is told of a new one") {
    Known known({.linger = milliseconds(5)});
    Accumulator& accumulator = known.accumulator;
    CHECK(accumulator.append(record_of("a"), kWall) == Accumulator::Append::kTakenAndDue);
    CHECK(accumulator.append(record_of("b"), kWall) == Accumulator::Append::kTaken);
    Instant wake_at;
    CHECK(accumulator.take_due(at_ms(10), false, wake_at).empty());
    CHECK(wake_at == at_ms(15));
    CHECK(accumulator.take_due(at_ms(14), false, wake_at).empty());
    const auto due = accumulator.take_due(at_ms(15), false, wake_at);
    REQUIRE(due.size() == 1);
    CHECK(due[0]->record_count() == 2);
    CHECK(due[0]->origin->partition == 0);
    CHECK(wake_at == kNever);
    CHECK(accumulator.records() == 2);
}

TEST_CASE("a full batch is due at once, and batches of a partition come in order") {
    Known known({.linger = seconds(100), .batch_bytes_max = 500});
    const std::string value(100, 'v');
    for (std::uint64_t i = 0; i < 9; ++i) {
        ProducerRecord record = record_of(value);
        record.tag = i;
        REQUIRE(known.accumulator.append(record, kWall).has_value());
    }
    Instant wake_at;
    const auto due = known.accumulator.take_due(at_ms(0), true, wake_at);
    std::vector<std::uint64_t> tags;
    for (const auto& batch : due) {
        CHECK(batch->builder.size_bytes() <= 500);
        tags.insert(tags.end(), batch->tags.begin(), batch->tags.end());
    }
    CHECK(due.size() > 1);
    CHECK(tags == std::vector<std::uint64_t>{0, 1, 2, 3, 4, 5, 6, 7, 8});
}

TEST_CASE("memory is bounded until batches are released") {
    Known known({.linger = Duration{0}, .memory_bytes_max = 300});
    Accumulator& accumulator = known.accumulator;
    const std::string value(100, 'v');
    CHECK(accumulator.append(record_of(value), kWall).has_value());
    CHECK(accumulator.append(record_of(value), kWall).has_value());
    CHECK(accumulator.append(record_of(value), kWall) == Accumulator::Append::kFull);
    Instant wake_at;
    const auto due = accumulator.take_due(at_ms(0), false, wake_at);
    REQUIRE(due.size() == 1);
    CHECK(accumulator.append(record_of(value), kWall) == Accumulator::Append::kFull);
    accumulator.release(*due[0]->origin, 2, due[0]->memory_bytes);
    CHECK(accumulator.memory_bytes() == 0);
    CHECK(accumulator.append(record_of(value), kWall).has_value());
}

TEST_CASE("with enough batches at the sender an open one goes on filling until one comes back") {
    Known known({.linger = Duration{0}, .in_flight_max = 1});
    Accumulator& accumulator = known.accumulator;
    Instant wake_at;
    REQUIRE(accumulator.append(record_of("a"), kWall).has_value());
    const auto first = accumulator.take_due(at_ms(0), false, wake_at);
    REQUIRE(first.size() == 1);
    REQUIRE(accumulator.append(record_of("b"), kWall).has_value());
    CHECK(accumulator.take_due(at_ms(50), false, wake_at).empty());
    CHECK(wake_at == kNever);
    CHECK(accumulator.release(*first[0]->origin, 1, first[0]->memory_bytes));
    CHECK(accumulator.take_due(at_ms(50), false, wake_at).size() == 1);
}

TEST_CASE("an unknown topic is said to be unknown, a partition that is not there is an error") {
    Accumulator accumulator({});
    CHECK(accumulator.append(record_of("a"), kWall) == Accumulator::Append::kUnknownTopic);
    CHECK(!accumulator.partition_count("orders").has_value());
    accumulator.set_partition_count("orders", 3);
    const auto refused = accumulator.append(record_of("a", 3), kWall);
    REQUIRE(!refused.has_value());
    CHECK(refused.error().text().find("3 partitions, so none is number 3") != std::string::npos);
    CHECK(accumulator.records() == 0);
}

// ---- with the producer, in the simulator ----

/// Gives memory back as deliveries come, as the owner of an accumulator does.
struct Releaser final : DeliveryListener {
    explicit Releaser(Accumulator& of) : accumulator(of) {}
    void delivered(const Delivery& delivery) override {
        accumulator.release(*delivery.origin, delivery.tags.size(), delivery.memory_bytes);
        if (delivery.error != nullptr) failed += delivery.tags.size();
    }
    Accumulator& accumulator;
    std::size_t failed = 0;
};

port::Task<void> feed(port::Ports& ports, Accumulator& accumulator, bool& is_done) {
    Cluster cluster(ports, {.bootstrap = {{"broker", 9092}}, .request_timeout = seconds(5)});
    Releaser releaser(accumulator);
    Producer producer(cluster, {.delivery_timeout = seconds(300)}, releaser);
    producer.start();
    Instant wake_at;
    for (int i = 0; i < 300; ++i) {
        const std::string value = std::to_string(i);
        const auto appended = accumulator.append(record_of(value), ports.clock.wall_now());
        CHECK(appended.has_value());
        producer.submit(accumulator.take_due(ports.clock.now(), false, wake_at));
        co_await port::sleep_for(ports.clock, microseconds(500));
    }
    while (accumulator.records() > 0) {
        producer.submit(accumulator.take_due(ports.clock.now(), true, wake_at));
        co_await port::sleep_for(ports.clock, milliseconds(1));
    }
    CHECK(releaser.failed == 0);
    co_await producer.close();
    cluster.close();
    is_done = true;
}

TEST_CASE("gathered batches arrive once and in order while connections break") {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        CAPTURE(seed);
        sim::Options options;
        options.net.reset = {.one_in = 25};
        sim::World world(seed, options);
        sim::Host& broker_host = world.add_host("broker");
        sim::Host& client_host = world.add_host("client");
        FakeBroker broker(broker_host.ports());
        broker.topics["orders"].resize(3);
        broker.start();
        Known known({.linger = milliseconds(1)});
        bool is_done = false;
        client_host.ports().spawn.spawn(feed(client_host.ports(), known.accumulator, is_done));
        REQUIRE(world.run_until([&] { return is_done; }, seconds(600)));
        int next = 0;
        record::ReaderScratch scratch;
        for (const Buffer& batch : broker.topics["orders"][0].batches) {
            auto reader = record::BatchReader::open(batch.view(), scratch);
            REQUIRE(reader.has_value());
            record::Record record;
            while (reader->next(record).value())
                CHECK(as_text(*record.value) == std::to_string(next++));
        }
        CHECK(next == 300);
        CHECK(known.accumulator.memory_bytes() == 0);
    }
}

}  // namespace
}  // namespace dlog::client
