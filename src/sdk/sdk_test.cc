#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <future>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "base/assert.h"
#include "client/fake_broker.h"
#include "dlog/client.h"
#include "dlog/future.h"
#include "port/clock.h"
#include "reactor/reactor.h"
#include "record/reader.h"

namespace dlog {
namespace {

using client::test::FakeBroker;
using namespace std::chrono_literals;

/// A broker on a loop of its own, reached over loopback, with the topic "orders" of 3 partitions.
struct Setup {
    Setup() : reactor({.core_count = 1}), broker(reactor.ports(CoreId(0))) {
        broker.endpoint = {"127.0.0.1", 0};
        broker.topics["orders"].resize(3);
        on_broker([this] { broker.start(); });
        std::uint16_t port = 0;
        while (port == 0) on_broker([&] { port = broker.endpoint.port; });
    }
    ~Setup() { reactor.stop(); }

    static port::Task<void> run(std::function<void()> work) {
        work();
        co_return;
    }
    /// On the broker's own loop.
    void on_broker(const std::function<void()>& work) {
        reactor.run_and_wait(CoreId(0), [&](port::Ports&) { return run(work); });
    }
    void break_next(client::test::ProduceFault fault) {
        on_broker([&] { broker.produce_faults.push_back(fault); });
    }
    void set_answers(bool answers) {
        on_broker([&] { broker.answers = answers; });
    }
    Result<Client> connect(ClientOptions options = {}) {
        return Client::connect("127.0.0.1:" + std::to_string(broker.endpoint.port), options);
    }
    /// Every value of the partition, in order.
    std::vector<std::string> values(std::size_t partition = 0) {
        std::vector<std::string> values;
        on_broker([&] {
            for (const Buffer& batch : broker.topics["orders"][partition].batches) {
                read_values(batch, values);
            }
        });
        return values;
    }
    static void read_values(const Buffer& batch, std::vector<std::string>& values) {
        record::ReaderScratch scratch;
        auto reader = record::BatchReader::open(batch.view(), scratch);
        DLOG_ASSERT(reader.has_value());
        record::Record record;
        while (reader->next(record).value()) values.emplace_back(as_text(*record.value));
    }

    reactor::Reactor reactor;
    FakeBroker broker;
};

std::vector<std::string> numbered(int count, const std::string& prefix = "") {
    std::vector<std::string> values;
    for (int i = 0; i < count; ++i) values.push_back(prefix + std::to_string(i));
    return values;
}

void send_all(Producer& producer, const std::vector<std::string>& values) {
    for (const std::string& value : values) {
        REQUIRE(producer.send({.topic = "orders", .value = value, .partition = 0}).has_value());
    }
}

/// Counts what it is told. Any thread may look.
struct Told final : DeliveryObserver {
    void delivered(const Result<Delivery>& outcome) override {
        if (!outcome) last_kind = outcome.error().kind;
        ++(outcome ? written : failed);
    }
    std::atomic<int> written = 0;
    std::atomic<int> failed = 0;
    std::atomic<ErrorKind> last_kind = ErrorKind::kBadRequest;
};

TEST_CASE("spans and points of <chrono> convert, and the farthest stay in bounds") {
    CHECK(TimeSpan(250ms) == TimeSpan::milliseconds(250));
    CHECK(TimeSpan(2h).ms() == 7'200'000);
    CHECK(TimeSpan(std::chrono::duration<double>(0.5)).ms() == 500);
    CHECK(TimeSpan(std::chrono::hours::max()).ns > TimeSpan(24h * 365 * 100).ns);
    CHECK(TimeSpan(std::chrono::hours::min()).ns < 0);
    const std::chrono::system_clock::time_point epoch;
    CHECK(TimePoint(epoch + 1500ms) == TimePoint(1500));
    CHECK(!TimePoint().is_set());
}

TEST_CASE("bytes tell null from empty, whatever they are made of") {
    CHECK(Bytes().is_null());
    CHECK(Bytes(nullptr).is_null());
    CHECK(!Bytes("").is_null());
    CHECK(!Bytes(std::string_view()).is_null());
    CHECK(Bytes(std::string("text")).text() == "text");
    const std::vector<std::uint8_t> raw = {'r', 'a', 'w'};
    CHECK(Bytes(raw).text() == "raw");
    Text text = "one";
    const Text copy = text;
    text = std::string("two");
    CHECK(copy.view() == "one");
    CHECK(std::string(text.c_str()) == "two");
    CHECK(std::string(Text().c_str()).empty());
}

TEST_CASE("what is sent is delivered in order and read back, headers and nulls too") {
    Setup setup;
    auto client = setup.connect();
    REQUIRE(client.has_value());
    auto producer = client->producer();
    REQUIRE(producer.has_value());
    send_all(*producer, numbered(5000));
    const Header headers[] = {{"a", "1"}, {"b", nullptr}, {"c", ""}};
    REQUIRE(producer->send({.topic = "orders", .value = "last", .headers = headers, .partition = 0})
                .has_value());
    REQUIRE(producer->flush(10s).has_value());
    CHECK(producer->undelivered_records() == 0);

    auto consumer = client->consumer();
    REQUIRE(consumer.has_value());
    REQUIRE(consumer->assign({"orders", 0}, From::beginning()).has_value());
    std::int64_t next = 0;
    bool has_seen_headers = false;
    while (next < 5001) {
        auto records = consumer->poll(5s);
        REQUIRE(records.has_value());
        REQUIRE(!records->empty());
        for (const Record& record : *records) {
            CHECK(record.offset == next);
            CHECK(record.key.is_null());
            CHECK(record.value.text() == (next < 5000 ? std::to_string(next) : "last"));
            ++next;
            Headers rest = record.headers;
            if (rest.count() == 0) continue;
            has_seen_headers = true;
            CHECK(rest.count() == 3);
            CHECK(rest.next().value.text() == "1");
            CHECK(rest.next().value.is_null());
            const Header last = rest.next();
            CHECK(last.key == "c");
            CHECK((!last.value.is_null() && last.value.empty()));
        }
    }
    CHECK(has_seen_headers);
    CHECK(consumer->position({"orders", 0}) == 5001);
}

TEST_CASE("records outlive further polls and their consumer") {
    Setup setup;
    auto client = setup.connect();
    for (const Compression compression : {Compression::kNone, Compression::kZstd}) {
        auto producer = client->producer({.compression = compression});
        send_all(*producer, numbered(100));
        REQUIRE(producer->flush(10s).has_value());
    }
    std::vector<Records> kept;
    std::size_t count = 0;
    {
        auto consumer = client->consumer({.poll_records_max = 1});
        REQUIRE(consumer->assign({"orders", 0}, From::beginning()).has_value());
        while (count < 200) {
            kept.push_back(consumer->poll(5s).value());
            count += kept.back().size();
        }
    }
    CHECK(kept.size() > 1);
    int next = 0;
    for (const Records& records : kept) {
        for (const Record& record : records) {
            CHECK(record.value.text() == std::to_string(next++ % 100));
            CHECK(record.topic == "orders");
        }
    }
}

TEST_CASE("a lost answer costs a repetition and doubles nothing") {
    Setup setup;
    auto client = setup.connect();
    auto producer = client->producer();
    setup.break_next({.appends_first = true, .drops_connection = true});
    setup.break_next({.code = protocol::ErrorCode::kNotLeaderOrFollower});
    send_all(*producer, numbered(10));
    REQUIRE(producer->flush(20s).has_value());
    CHECK(setup.values() == numbered(10));
}

TEST_CASE("a refusal reaches the observer; of a record that has none the next flush tells, once") {
    Setup setup;
    auto client = setup.connect();
    auto producer = client->producer();
    Told told;
    setup.break_next({.code = protocol::ErrorCode::kMessageTooLarge});
    REQUIRE(producer->send({.topic = "orders", .value = "a", .partition = 0}, told).has_value());
    CHECK(producer->flush(10s).has_value());
    CHECK(told.failed == 1);
    CHECK(told.last_kind == ErrorKind::kBroker);

    setup.break_next({.code = protocol::ErrorCode::kMessageTooLarge});
    send_all(*producer, {"b"});
    const auto flushed = producer->flush(10s);
    REQUIRE(!flushed.has_value());
    CHECK(flushed.error().code == 10);
    CHECK(flushed.error().text.view().find("MESSAGE_TOO_LARGE") != std::string_view::npos);
    CHECK(producer->flush(10s).has_value());
}

TEST_CASE("callbacks and futures tell where a record was written") {
    Setup setup;
    auto client = setup.connect();
    auto producer = client->producer();
    std::atomic<std::int64_t> offset = -1;
    REQUIRE(producer
                ->send({.topic = "orders", .value = "a", .partition = 2},
                       [&](const Result<Delivery>& outcome) { offset = outcome->offset; })
                .has_value());
    auto future = send_future(*producer, {.topic = "orders", .value = "b", .partition = 2});
    const auto delivery = future.get();
    REQUIRE(delivery.has_value());
    CHECK(delivery->partition == 2);
    CHECK(delivery->offset == 1);
    CHECK(offset == 0);
    auto refused = send_future(*producer, {.topic = "orders", .partition = 9}).get();
    REQUIRE(!refused.has_value());
    CHECK(refused.error().text.view().find("3 partitions") != std::string_view::npos);
}

/// A coroutine that nobody waits for.
struct Started {
    struct promise_type {
        Started get_return_object() { return {}; }
        std::suspend_never initial_suspend() { return {}; }
        std::suspend_never final_suspend() noexcept { return {}; }
        void return_void() {}
        void unhandled_exception() { std::terminate(); }
    };
};

Started deliver_all(Producer* producer, int count, std::promise<int>* done) {
    int written = 0;
    for (int i = 0; i < count; ++i) {
        const std::string value = std::to_string(i);
        const auto outcome =
            co_await producer->deliver({.topic = "orders", .value = value, .partition = 0});
        if (outcome && outcome->offset == i) ++written;
    }
    done->set_value(written);
}

TEST_CASE("a coroutine awaits each delivery") {
    Setup setup;
    auto client = setup.connect();
    auto producer = client->producer({.linger = 0ms});
    std::promise<int> done;
    deliver_all(&*producer, 50, &done);
    CHECK(done.get_future().get() == 50);
    CHECK(setup.values() == numbered(50));
}

Started deliver_one(Producer* producer, std::string value, Told* told) {
    DeliveryObserver* const observer = told;
    observer->delivered(
        co_await producer->deliver({.topic = "orders", .value = value, .partition = 0}));
}

TEST_CASE(
    "coroutines wait in line for room without blocking, a thread that may not block is told") {
    Setup setup;
    auto client = setup.connect();
    auto producer = client->producer({.linger = 0ms, .buffer_bytes_max = 300});
    send_all(*producer, {"first"});
    REQUIRE(producer->flush(10s).has_value());
    setup.set_answers(false);
    Told told;
    for (const std::string& value : numbered(20)) {
        deliver_one(&*producer, value + std::string(100, '.'), &told);
    }
    const auto refused = producer->try_send({.topic = "orders", .value = std::string(200, '.')});
    REQUIRE(!refused.has_value());
    CHECK(refused.error().kind == ErrorKind::kWouldBlock);
    CHECK(refused.error().is_retriable);
    CHECK(producer->undelivered_records() == 20);
    CHECK(told.written == 0);
    // The requests that were swallowed are never answered; the connection must go for them to be
    // sent again.
    CHECK(!producer->flush(10ms).has_value());
    client = setup.connect();
    CHECK(told.failed == 20);
    CHECK(told.last_kind == ErrorKind::kClosed);
}

TEST_CASE("after its client is gone a producer and a consumer answer that they are closed") {
    Setup setup;
    auto client = setup.connect();
    auto producer = client->producer();
    auto consumer = client->consumer();
    REQUIRE(consumer->assign({"orders", 0}, From::end()).has_value());
    std::thread poller([&] {
        auto records = consumer->poll(60s);
        while (records.has_value()) records = consumer->poll(60s);
        CHECK(records.error().kind == ErrorKind::kClosed);
    });
    {
        const Client gone = std::move(*client);
    }
    poller.join();
    const auto sent = producer->send({.topic = "orders", .value = "late"});
    REQUIRE(!sent.has_value());
    CHECK(sent.error().kind == ErrorKind::kClosed);
    CHECK(!consumer->assign({"orders", 1}, From::end()).has_value());
    CHECK(!consumer->poll(0ms).has_value());
}

TEST_CASE("threads share a producer, and each one's records keep their order") {
    Setup setup;
    auto client = setup.connect();
    auto producer = client->producer({.linger = 1ms, .batch_bytes_max = 2000});
    constexpr int kThreads = 4;
    constexpr int kEach = 2000;
    std::vector<std::thread> threads;
    for (int thread = 0; thread < kThreads; ++thread) {
        threads.emplace_back([&producer, thread] {
            send_all(*producer, numbered(kEach, std::to_string(thread) + ":"));
        });
    }
    for (std::thread& thread : threads) thread.join();
    REQUIRE(producer->flush(30s).has_value());
    std::map<char, std::vector<std::string>> by_thread;
    for (const std::string& value : setup.values()) by_thread[value[0]].push_back(value);
    for (int thread = 0; thread < kThreads; ++thread) {
        const std::string name = std::to_string(thread);
        CHECK(by_thread[name[0]] == numbered(kEach, name + ":"));
    }
}

struct ByLength final : Partitioner {
    std::int32_t choose(const ProducerRecord& record, std::int32_t) override {
        return static_cast<std::int32_t>(record.key.size());
    }
};

TEST_CASE("a partitioner of one's own chooses, and may not choose what is not there") {
    Setup setup;
    auto client = setup.connect();
    ByLength by_length;
    auto producer = client->producer({.partitioner = &by_length});
    REQUIRE(producer->send({.topic = "orders", .key = "kk", .value = "two"}).has_value());
    REQUIRE(producer->send({.topic = "orders", .key = "k", .value = "one"}).has_value());
    const auto refused = producer->send({.topic = "orders", .key = "kkkk", .value = "four"});
    REQUIRE(!refused.has_value());
    CHECK(refused.error().text.view() == "the partitioner chose 4 of 3 partitions");
    REQUIRE(producer->flush(10s).has_value());
    CHECK(setup.values(2) == std::vector<std::string>{"two"});
    CHECK(setup.values(1) == std::vector<std::string>{"one"});
    CHECK(partition_of_key(Partitioning::kMurmur2, "abc", 10) == 479470107 % 10);
    CHECK(partition_of_key(Partitioning::kSticky, "abc", 10) == -1);
}

TEST_CASE("what would block the client's own thread is refused there") {
    Setup setup;
    auto client = setup.connect();
    auto producer = client->producer();
    std::promise<ErrorKind> kind;
    REQUIRE(producer
                ->send({.topic = "orders", .value = "a"},
                       [&](const Result<Delivery>&) {
                           const auto flushed = producer->flush(1s);
                           kind.set_value(flushed ? ErrorKind::kClosed : flushed.error().kind);
                       })
                .has_value());
    CHECK(kind.get_future().get() == ErrorKind::kWouldBlock);
}

TEST_CASE("an unknown topic, options that contradict each other and a silent address are told") {
    Setup setup;
    auto client = setup.connect({.backoff_min = 1ms, .backoff_max = 2ms});
    auto producer = client->producer();
    const auto sent = producer->send({.topic = "nowhere", .value = "a"});
    REQUIRE(!sent.has_value());
    CHECK(sent.error().code == 3);
    auto contradictory = client->producer({.acks = Acks::kLeader});
    REQUIRE(!contradictory.has_value());
    CHECK(contradictory.error().kind == ErrorKind::kBadRequest);
    CHECK(client->producer({.acks = Acks::kLeader, .is_idempotent = false}).has_value());
    CHECK(!client->producer({.in_flight_max = 6}).has_value());
    CHECK(!client->consumer({.fetch_bytes_max = 0}).has_value());
    const auto nobody = Client::connect("127.0.0.1:1");
    REQUIRE(!nobody.has_value());
    CHECK(nobody.error().kind == ErrorKind::kUnreachable);
    CHECK(Client::connect("").error().kind == ErrorKind::kBadRequest);
}

TEST_CASE("damaged records are an error that names the offset, and the partition then rests") {
    Setup setup;
    auto client = setup.connect();
    auto producer = client->producer();
    send_all(*producer, numbered(10));
    REQUIRE(producer->flush(10s).has_value());
    setup.on_broker([&] { setup.broker.damages_fetches = true; });
    auto consumer = client->consumer();
    REQUIRE(consumer->assign({"orders", 0}, From::offset(0)).has_value());
    const auto records = consumer->poll(5s);
    REQUIRE(!records.has_value());
    CHECK(records.error().kind == ErrorKind::kCorrupt);
    CHECK(records.error().text.view().find("orders partition 0 at offset 0") !=
          std::string_view::npos);
    CHECK(consumer->poll(20ms).value().empty());
    setup.on_broker([&] { setup.broker.damages_fetches = false; });
    REQUIRE(consumer->seek({"orders", 0}, From::beginning()).has_value());
    CHECK(consumer->poll(5s).value().size() == 10);
}

TEST_CASE("an offset that is not there fails, or reading goes on where the options say") {
    Setup setup;
    auto client = setup.connect();
    auto producer = client->producer();
    send_all(*producer, numbered(10));
    REQUIRE(producer->flush(10s).has_value());
    auto strict = client->consumer();
    REQUIRE(strict->assign({"orders", 0}, From::offset(999)).has_value());
    CHECK(strict->poll(5s).error().code == 1);
    auto lenient = client->consumer({.on_missing_offset = MissingOffset::kBeginning});
    REQUIRE(lenient->assign({"orders", 0}, From::offset(999)).has_value());
    CHECK(lenient->poll(5s).value().size() == 10);
}

TEST_CASE("while the broker is silent a poll says so, and goes on when it answers again") {
    Setup setup;
    auto client = setup.connect({.connect_timeout = 100ms,
                                 .request_timeout = 100ms,
                                 .backoff_min = 1ms,
                                 .backoff_max = 20ms});
    auto consumer = client->consumer({.fetch_wait_max = 10ms});
    REQUIRE(consumer->assign({"orders", 0}, From::beginning()).has_value());
    CHECK(consumer->poll(0ms).value().empty());
    setup.set_answers(false);
    auto silent = consumer->poll(100ms);
    for (int tries = 0; silent.has_value() && tries < 200; ++tries) silent = consumer->poll(100ms);
    REQUIRE(!silent.has_value());
    CHECK(silent.error().is_retriable);
    setup.set_answers(true);
    auto other = setup.connect();
    auto producer = other->producer();
    send_all(*producer, numbered(10));
    REQUIRE(producer->flush(30s).has_value());
    std::size_t count = 0;
    for (int tries = 0; count < 10 && tries < 200; ++tries) {
        const auto records = consumer->poll(100ms);
        if (records) count += records->size();
    }
    CHECK(count == 10);
}

TEST_CASE("a paused partition gives nothing and goes on where it was") {
    Setup setup;
    auto client = setup.connect();
    auto producer = client->producer({.batch_bytes_max = 500});
    send_all(*producer, numbered(200));
    REQUIRE(producer->flush(10s).has_value());
    auto consumer = client->consumer({.poll_records_max = 1});
    const TopicPartition partition{"orders", 0};
    REQUIRE(consumer->assign(partition, From::beginning()).has_value());
    const auto first = consumer->poll(5s);
    REQUIRE(first.has_value());
    REQUIRE(consumer->pause(partition).has_value());
    CHECK(consumer->poll(50ms).value().empty());
    CHECK(consumer->position(partition) == static_cast<std::int64_t>(first->size()));
    REQUIRE(consumer->resume(partition).has_value());
    CHECK(consumer->poll(5s).value().begin()->offset == static_cast<std::int64_t>(first->size()));
    consumer->wake_up();
    CHECK(!consumer->pause({"orders", 2}).has_value());
}

TEST_CASE("a subscription needs a group, a topic and no partitions assigned by hand") {
    Setup setup;
    auto client = setup.connect({.backoff_min = 1ms, .backoff_max = 2ms});
    auto loner = client->consumer();
    CHECK(loner->subscribe({"orders"}).error().kind == ErrorKind::kBadRequest);
    CHECK(loner->commit_sync().error().kind == ErrorKind::kBadRequest);
    auto assigned = client->consumer({.group = {.id = "g"}});
    REQUIRE(assigned->assign({"orders", 0}, From::beginning()).has_value());
    CHECK(assigned->subscribe({"orders"}).error().kind == ErrorKind::kBadRequest);
    auto member = client->consumer({.group = {.id = "g"}});
    CHECK(member->subscribe({}).error().kind == ErrorKind::kBadRequest);
    CHECK(member->subscribe({""}).error().kind == ErrorKind::kBadRequest);
    CHECK(loner->subscribe_pattern("orders").error().kind == ErrorKind::kBadRequest);
    CHECK(member->subscribe_pattern("").error().kind == ErrorKind::kBadRequest);
    const auto refused = member->subscribe_pattern("(orders");
    CHECK(refused.error().kind == ErrorKind::kBadRequest);
    CHECK(refused.error().text.view() ==
          "subscribe_pattern: it cannot be used: missing ): (orders");
    REQUIRE(member->subscribe({"orders"}).has_value());
    CHECK(member->assign({"orders", 0}, From::beginning()).error().kind == ErrorKind::kBadRequest);
    CHECK(!client->consumer({.group = {.id = "g", .session_timeout = 0ms}}).has_value());
}

TEST_CASE("a member whose coordinator cannot be found polls nothing, and closes all the same") {
    Setup setup;
    auto client = setup.connect({.backoff_min = 1ms, .backoff_max = 2ms});
    auto member = client->consumer({.group = {.id = "g"}});
    REQUIRE(member->subscribe({"orders"}).has_value());
    for (int i = 0; i < 3; ++i) static_cast<void>(member->poll(10ms));
    CHECK(member->close().has_value());
    CHECK(member->poll(0ms).error().kind == ErrorKind::kClosed);
    auto abandoned = client->consumer({.group = {.id = "g"}});
    REQUIRE(abandoned->subscribe({"orders"}).has_value());
    client = setup.connect();
    CHECK(abandoned->poll(10ms).error().kind == ErrorKind::kClosed);
}

}  // namespace
}  // namespace dlog
