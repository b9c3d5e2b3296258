#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <set>

#include "client/admin.h"
#include "client/cluster.h"
#include "client/fake_broker.h"
#include "client/fetcher.h"
#include "client/producer.h"
#include "port/clock.h"
#include "record/reader.h"
#include "sim/world.h"

namespace dlog::client {
namespace {

using protocol::ErrorCode;
using test::FakeBroker;
using test::FakePartition;

ClusterConfig cluster_config() {
    return {.bootstrap = {{"broker", 9092}}, .request_timeout = seconds(5)};
}

/// Every record's value in the partition, in order.
std::vector<std::string> values_of(const FakePartition& partition) {
    std::vector<std::string> values;
    record::ReaderScratch scratch;
    for (const Buffer& batch : partition.batches) {
        auto reader = record::BatchReader::open(batch.view(), scratch);
        REQUIRE(reader.has_value());
        record::Record record;
        while (reader->next(record).value()) values.emplace_back(as_text(*record.value));
    }
    return values;
}

/// Counts outcomes by tag.
struct Outcomes final : DeliveryListener {
    void delivered(const Delivery& delivery) override {
        for (const std::uint64_t tag : delivery.tags) {
            (delivery.error == nullptr ? written : failed).push_back(tag);
            if (delivery.is_unknown) unknown.insert(tag);
        }
        if (delivery.error != nullptr) last_error = *delivery.error;
    }
    std::vector<std::uint64_t> written;
    std::vector<std::uint64_t> failed;
    std::set<std::uint64_t> unknown;
    Error last_error;
};

struct ProduceRun {
    ProducerConfig config;
    std::uint64_t records = 0;
    std::int32_t partition = 0;
    Duration pause;
    std::optional<Error> send_error;
    Outcomes outcomes;
    bool is_done = false;
};

port::Task<void> produce(port::Ports& ports, ProduceRun& run) {
    Cluster cluster(ports, cluster_config());
    Producer producer(cluster, run.config, run.outcomes);
    producer.start();
    for (std::uint64_t i = 0; i < run.records; ++i) {
        const std::string value = "value-" + std::to_string(i);
        const auto sent = co_await producer.send(
            {.topic = "orders", .partition = run.partition, .value = as_bytes(value), .tag = i});
        if (!sent) run.send_error = sent.error();
        if (run.pause.ns > 0) co_await port::sleep_for(ports.clock, run.pause);
    }
    co_await producer.flush();
    co_await producer.close();
    cluster.close();
    run.is_done = true;
}

std::vector<std::string> expected_values(std::uint64_t records) {
    std::vector<std::string> values;
    for (std::uint64_t i = 0; i < records; ++i) values.push_back("value-" + std::to_string(i));
    return values;
}

/// A world with a broker on one host and a client on another.
struct Setup {
    explicit Setup(std::uint64_t seed, sim::Options options = {})
        : world(seed, options),
          broker_host(world.add_host("broker")),
          client_host(world.add_host("client")),
          broker(broker_host.ports()) {
        broker.topics["orders"].resize(2);
        broker.start();
    }
    bool run(const bool& is_done, Duration limit = seconds(600)) {
        return world.run_until([&] { return is_done; }, limit);
    }
    sim::World world;
    sim::Host& broker_host;
    sim::Host& client_host;
    FakeBroker broker;
};

TEST_CASE("what is produced arrives in order, in few requests") {
    ProduceRun run{.records = 5000};
    Setup setup(1);
    setup.client_host.ports().spawn.spawn(produce(setup.client_host.ports(), run));
    REQUIRE(setup.run(run.is_done));
    CHECK(values_of(setup.broker.topics["orders"][0]) == expected_values(5000));
    CHECK(run.outcomes.written.size() == 5000);
    CHECK(std::is_sorted(run.outcomes.written.begin(), run.outcomes.written.end()));
    CHECK(setup.broker.produce_requests < 50);
}

TEST_CASE("an idempotent producer writes everything once and in order while connections break") {
    std::uint64_t requests = 0;
    for (std::uint64_t seed = 1; seed <= 40; ++seed) {
        CAPTURE(seed);
        ProduceRun run{.records = 300, .pause = microseconds(500)};
        run.config.linger = milliseconds(1);
        run.config.delivery_timeout = seconds(300);
        sim::Options options;
        options.net.reset = {.one_in = 25};
        Setup setup(seed, options);
        setup.client_host.ports().spawn.spawn(produce(setup.client_host.ports(), run));
        REQUIRE(setup.run(run.is_done));
        CHECK(run.outcomes.failed.empty());
        CHECK(values_of(setup.broker.topics["orders"][0]) == expected_values(300));
        requests += setup.broker.produce_requests;
    }
    CHECK(requests > 40 * 8);
}

TEST_CASE("a batch whose answer was lost is sent again and recognised") {
    ProduceRun run{.records = 10};
    Setup setup(2);
    setup.broker.produce_faults.push_back({.drops_connection = true});
    setup.client_host.ports().spawn.spawn(produce(setup.client_host.ports(), run));
    REQUIRE(setup.run(run.is_done));
    CHECK(values_of(setup.broker.topics["orders"][0]) == expected_values(10));
    CHECK(run.outcomes.written.size() == 10);
    CHECK(setup.broker.produce_requests == 2);
}

TEST_CASE("a refusal that may pass is tried again without changing the order") {
    ProduceRun run{.records = 100, .pause = milliseconds(3)};
    run.config.linger = milliseconds(1);
    Setup setup(3);
    for (int i = 0; i < 4; ++i) {
        setup.broker.produce_faults.push_back({.code = ErrorCode::kNotLeaderOrFollower});
    }
    setup.client_host.ports().spawn.spawn(produce(setup.client_host.ports(), run));
    REQUIRE(setup.run(run.is_done));
    CHECK(values_of(setup.broker.topics["orders"][0]) == expected_values(100));
    CHECK(run.outcomes.failed.empty());
}

TEST_CASE("a refusal for good is reported, and later batches go on under another producer id") {
    ProduceRun run{.records = 50, .pause = milliseconds(3)};
    run.config.linger = milliseconds(1);
    Setup setup(4);
    setup.broker.produce_faults.push_back({.code = ErrorCode::kMessageTooLarge});
    setup.client_host.ports().spawn.spawn(produce(setup.client_host.ports(), run));
    REQUIRE(setup.run(run.is_done));
    CHECK(!run.outcomes.failed.empty());
    CHECK(run.outcomes.failed.size() + run.outcomes.written.size() == 50);
    CHECK(run.outcomes.last_error.code == ErrorCode::kMessageTooLarge);
    CHECK(run.outcomes.unknown.empty());
    CHECK(values_of(setup.broker.topics["orders"][0]).size() == run.outcomes.written.size());
    CHECK(setup.broker.next_producer_id == 102);
}

TEST_CASE("when the broker never answers, records fail in time and are said to be unknown") {
    ProduceRun run{.records = 3};
    run.config.delivery_timeout = seconds(12);
    Setup setup(5);
    setup.broker.produce_faults.assign(100, {.drops_connection = true});
    setup.client_host.ports().spawn.spawn(produce(setup.client_host.ports(), run));
    REQUIRE(setup.run(run.is_done, seconds(60)));
    CHECK(run.outcomes.failed.size() == 3);
    CHECK(run.outcomes.unknown.size() == 3);
    CHECK(run.outcomes.last_error.kind == ErrorKind::kTimedOut);
}

TEST_CASE("a record for a topic or partition that is not there is refused at once") {
    ProduceRun run{.records = 1, .partition = 7};
    Setup setup(6);
    setup.client_host.ports().spawn.spawn(produce(setup.client_host.ports(), run));
    REQUIRE(setup.run(run.is_done));
    REQUIRE(run.send_error.has_value());
    CHECK(run.send_error->text().find("2 partitions, so none is number 7") != std::string::npos);

    ProduceRun other{.records = 1};
    Setup empty(6);
    empty.broker.topics.clear();
    empty.client_host.ports().spawn.spawn(produce(empty.client_host.ports(), other));
    REQUIRE(empty.run(other.is_done, seconds(10)));
    REQUIRE(other.send_error.has_value());
    CHECK(other.send_error->code == ErrorCode::kUnknownTopicOrPartition);
}

TEST_CASE("acks=0 counts as delivered once it is sent") {
    ProduceRun run{.records = 20};
    run.config.acks = Acks::kNone;
    run.config.is_idempotent = false;
    Setup setup(7);
    setup.client_host.ports().spawn.spawn(produce(setup.client_host.ports(), run));
    REQUIRE(setup.run(run.is_done));
    CHECK(run.outcomes.written.size() == 20);
}

TEST_CASE("memory is bounded: a producer waits for deliveries beyond its limit") {
    ProduceRun run{.records = 2000};
    run.config.memory_bytes_max = 4096;
    run.config.batch_bytes_max = 1024;
    Setup setup(8);
    setup.client_host.ports().spawn.spawn(produce(setup.client_host.ports(), run));
    REQUIRE(setup.run(run.is_done));
    CHECK(values_of(setup.broker.topics["orders"][0]) == expected_values(2000));
    CHECK(setup.broker.produce_requests > 20);
}

// ---- fetching ----

struct FetchRun {
    std::vector<std::string> values;
    std::size_t wanted = 0;
    std::optional<Error> error;
    std::optional<Error> partition_error;
    Offset from{0};
    bool is_done = false;
};

void take(const Fetched& fetched, record::ReaderScratch& scratch, FetchRun& run) {
    if (fetched.error) run.partition_error = fetched.error;
    for (const ByteView batch : fetched.batches) {
        auto reader = record::BatchReader::open(batch, scratch);
        record::Record record;
        while (reader->next(record).value()) {
            if (record.offset < fetched.from) continue;
            run.values.emplace_back(as_text(*record.value));
        }
    }
}

port::Task<void> fetch(port::Ports& ports, FetchRun& run) {
    Cluster cluster(ports, cluster_config());
    Fetcher fetcher(cluster, {.wait_max = milliseconds(10)});
    fetcher.assign("orders", 0, run.from);
    record::ReaderScratch scratch;
    while (run.values.size() < run.wanted && !run.error && !run.partition_error) {
        const auto polled = co_await fetcher.poll(ports.clock.now() + seconds(60));
        if (!polled) {
            run.error = polled.error();
            break;
        }
        for (const Fetched& fetched : *polled) take(fetched, scratch, run);
    }
    co_await fetcher.close();
    cluster.close();
    run.is_done = true;
}

/// Fills the broker's partition 0 with `records` records in small batches.
void fill(Setup& setup, std::uint64_t records) {
    ProduceRun run{.records = records};
    run.config.batch_bytes_max = 512;
    setup.client_host.ports().spawn.spawn(produce(setup.client_host.ports(), run));
    REQUIRE(setup.run(run.is_done));
}

TEST_CASE("a fetcher reads every record once, from any offset, while connections break") {
    for (std::uint64_t seed = 1; seed <= 10; ++seed) {
        CAPTURE(seed);
        FetchRun run{.wanted = 400 - 7 * seed, .from = Offset{static_cast<std::int64_t>(7 * seed)}};
        Setup setup(seed);
        fill(setup, 400);
        setup.world.options().net.reset = {.one_in = 40};
        setup.client_host.ports().spawn.spawn(fetch(setup.client_host.ports(), run));
        REQUIRE(setup.run(run.is_done));
        REQUIRE(!run.error.has_value());
        const auto all = expected_values(400);
        CHECK(run.values ==
              std::vector<std::string>(all.begin() + 7 * static_cast<int>(seed), all.end()));
    }
}

/// Seeks while a fetch is under way: what it brings is not what is wanted any more.
port::Task<void> seek_meanwhile(port::Ports& ports, FetchRun& run) {
    Cluster cluster(ports, cluster_config());
    Fetcher fetcher(cluster, {.wait_max = milliseconds(10)});
    fetcher.assign("orders", 0, Offset{0});
    fetcher.assign("orders", 1, Offset{0});
    fetcher.set_paused("orders", 1, true);
    record::ReaderScratch scratch;
    // The first poll is interrupted at once; its request goes on.
    fetcher.interrupt();
    const auto interrupted = co_await fetcher.poll(ports.clock.now() + seconds(60));
    CHECK(interrupted.has_value());
    fetcher.seek("orders", 0, run.from);
    while (run.values.size() < run.wanted) {
        const auto polled = co_await fetcher.poll(ports.clock.now() + seconds(60));
        if (!polled) co_return;  // the test misses the end
        for (const Fetched& fetched : *polled) {
            if (fetched.partition == 0) take(fetched, scratch, run);
        }
    }
    fetcher.set_paused("orders", 0, true);
    CHECK(!fetcher.has_work());
    CHECK(fetcher.position("orders", 1) == Offset{0});
    co_await fetcher.close();
    cluster.close();
    run.is_done = true;
}

TEST_CASE("a fetcher drops what was asked for before a seek, and asks for no paused partition") {
    FetchRun run{.wanted = 100, .from = Offset{300}};
    Setup setup(1);
    fill(setup, 400);
    setup.client_host.ports().spawn.spawn(seek_meanwhile(setup.client_host.ports(), run));
    REQUIRE(setup.run(run.is_done));
    const auto all = expected_values(400);
    CHECK(run.values == std::vector<std::string>(all.begin() + 300, all.end()));
}

TEST_CASE("a damaged batch is an error that names the offset, not a record") {
    FetchRun run{.wanted = 10, .from = Offset{3}};
    Setup setup(1);
    fill(setup, 40);
    setup.broker.damages_fetches = true;
    setup.client_host.ports().spawn.spawn(fetch(setup.client_host.ports(), run));
    REQUIRE(setup.run(run.is_done));
    REQUIRE(run.partition_error.has_value());
    CHECK(run.partition_error->kind == ErrorKind::kCorrupt);
    CHECK(run.partition_error->text().find("orders partition 0 at offset 3") != std::string::npos);
    CHECK(run.values.empty());
}

TEST_CASE("an offset beyond the end is reported with Kafka's code") {
    FetchRun run{.wanted = 1, .from = Offset{1000}};
    Setup setup(1);
    setup.client_host.ports().spawn.spawn(fetch(setup.client_host.ports(), run));
    REQUIRE(setup.run(run.is_done));
    REQUIRE(run.partition_error.has_value());
    CHECK(run.partition_error->code == ErrorCode::kOffsetOutOfRange);
}

// ---- connections ----

struct AskRun {
    std::optional<Error> error;
    std::size_t partitions = 0;
    std::vector<ListedOffset> offsets;
    bool is_done = false;
};

port::Task<void> ask(port::Ports& ports, AskRun& run) {
    Cluster cluster(ports, cluster_config());
    const Instant deadline = ports.clock.now() + seconds(5);
    const auto topic = co_await cluster.topic("orders", false, deadline);
    if (topic) {
        run.partitions = (*topic)->partitions.size();
        std::vector<std::int32_t> both{1, 0};
        const auto offsets =
            co_await list_offsets(cluster, "orders", std::move(both), kLatestOffset, deadline);
        if (offsets) run.offsets = *offsets;
        if (!offsets) run.error = offsets.error();
    } else {
        run.error = topic.error();
    }
    cluster.close();
    run.is_done = true;
}

/// Writes to both partitions in turn and reads them at the same time.
struct TwoPartitions {
    std::uint64_t records = 0;
    Outcomes outcomes;
    std::vector<std::uint64_t> read = std::vector<std::uint64_t>(2);
    std::optional<Error> error;
    bool is_done = false;
};

port::Task<void> write_both(Cluster* cluster, TwoPartitions* run) {
    Producer producer(*cluster, {}, run->outcomes);
    producer.start();
    for (std::uint64_t i = 0; i < run->records; ++i) {
        const auto sent = co_await producer.send({.topic = "orders",
                                                  .partition = static_cast<std::int32_t>(i % 2),
                                                  .value = as_bytes("value"),
                                                  .tag = i});
        if (!sent) run->error = sent.error();
    }
    co_await producer.flush();
    co_await producer.close();
}

port::Task<void> write_and_read_both(port::Ports* ports, TwoPartitions* run) {
    Cluster cluster(*ports, cluster_config());
    ports->spawn.spawn(write_both(&cluster, run));
    Fetcher fetcher(cluster, {.wait_max = milliseconds(100)});
    fetcher.assign("orders", 0, Offset{0});
    fetcher.assign("orders", 1, Offset{0});
    const Instant deadline = ports->clock.now() + seconds(60);
    while (run->read[0] + run->read[1] < run->records && ports->clock.now() < deadline) {
        const auto polled = co_await fetcher.poll(deadline);
        if (!polled) run->error = polled.error();
        if (!polled) break;
        for (const Fetched& fetched : *polled) {
            run->read[static_cast<std::size_t>(fetched.partition)] +=
                static_cast<std::uint64_t>(fetched.next_offset.since(fetched.from));
        }
        co_await port::sleep_for(ports->clock, milliseconds(10));
    }
    co_await fetcher.close();
    cluster.close();
    run->is_done = true;
}

TEST_CASE("a partition without a leader waits for one, and holds up no other") {
    TwoPartitions run{.records = 200};
    Setup setup(41);
    setup.broker.topics["orders"][1].has_leader = false;
    setup.client_host.ports().spawn.spawn(write_and_read_both(&setup.client_host.ports(), &run));
    CHECK_FALSE(setup.run(run.is_done, seconds(10)));
    CHECK(run.outcomes.written.size() == 100);
    CHECK(run.read == std::vector<std::uint64_t>{100, 0});
    CHECK(setup.broker.topics["orders"][1].next_offset == 0);
    setup.broker.topics["orders"][1].has_leader = true;
    REQUIRE(setup.run(run.is_done, seconds(10)));
    CHECK(run.outcomes.written.size() == 200);
    CHECK(run.outcomes.failed.empty());
    CHECK(run.read == std::vector<std::uint64_t>{100, 100});
    CHECK_FALSE(run.error);
}

TEST_CASE("a topic all of whose partitions lack leaders is waited for") {
    TwoPartitions run{.records = 20};
    Setup setup(42);
    for (FakePartition& partition : setup.broker.topics["orders"]) partition.has_leader = false;
    setup.client_host.ports().spawn.spawn(write_and_read_both(&setup.client_host.ports(), &run));
    CHECK_FALSE(setup.run(run.is_done, seconds(10)));
    for (FakePartition& partition : setup.broker.topics["orders"]) partition.has_leader = true;
    REQUIRE(setup.run(run.is_done, seconds(10)));
    CHECK(run.outcomes.written.size() == 20);
    CHECK_FALSE(run.error);
}

TEST_CASE("a broker that knows only the first ApiVersions is understood (KIP-511)") {
    AskRun run;
    Setup setup(1);
    setup.broker.api_versions_max = 0;
    setup.client_host.ports().spawn.spawn(ask(setup.client_host.ports(), run));
    REQUIRE(setup.run(run.is_done));
    CHECK(run.partitions == 2);
    REQUIRE(run.offsets.size() == 2);
    CHECK(run.offsets[0].partition == 0);
    CHECK(run.offsets[0].offset == Offset{0});
}

TEST_CASE("a broker that is not there is unreachable, one that says nothing times out") {
    AskRun nobody;
    Setup setup(1);
    setup.broker.answers = false;
    setup.client_host.ports().spawn.spawn(ask(setup.client_host.ports(), nobody));
    REQUIRE(setup.run(nobody.is_done, seconds(60)));
    REQUIRE(nobody.error.has_value());
    CHECK(nobody.error->kind == ErrorKind::kTimedOut);

    AskRun refused;
    sim::World world(1);
    sim::Host& client = world.add_host("client");
    world.add_host("broker");
    client.ports().spawn.spawn(ask(client.ports(), refused));
    REQUIRE(world.run_until([&] { return refused.is_done; }, seconds(60)));
    REQUIRE(refused.error.has_value());
    CHECK(refused.error->kind == ErrorKind::kUnreachable);
    CHECK(refused.error->text().find("broker:9092") != std::string::npos);
}

port::Task<void> serve_garbage(port::Ports& ports) {
    auto listener = co_await ports.net.listen({"broker", 9092});
    if (!listener) co_return;
    for (;;) {
        auto connection = co_await (*listener)->accept();
        if (!connection) co_return;
        std::vector<port::OutPart> parts;
        parts.emplace_back(Buffer::copy_of(as_bytes("HTTP/1.1 400 Bad Request\r\n\r\n")));
        static_cast<void>(co_await (*connection)->write(std::move(parts)));
        co_await port::sleep_for(ports.clock, seconds(1));
    }
}

TEST_CASE("a port that does not speak Kafka is said to be none") {
    AskRun run;
    sim::World world(1);
    sim::Host& broker = world.add_host("broker");
    sim::Host& client = world.add_host("client");
    broker.ports().spawn.spawn(serve_garbage(broker.ports()));
    client.ports().spawn.spawn(ask(client.ports(), run));
    REQUIRE(world.run_until([&] { return run.is_done; }, seconds(60)));
    REQUIRE(run.error.has_value());
    CHECK(run.error->kind == ErrorKind::kBadResponse);
    CHECK(run.error->text().find("is it a Kafka port?") != std::string::npos);
}

}  // namespace
}  // namespace dlog::client
