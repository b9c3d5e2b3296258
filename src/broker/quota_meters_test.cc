#include "broker/quota_meters.h"

#include <doctest/doctest.h>

#include <string>
#include <thread>
#include <vector>

#include "broker/peer_address.h"

namespace dlog::broker {
namespace {

TEST_CASE("use within the burst is free, and beyond it waits until it is paid for") {
    QuotaMeters meters(1);
    const MeterKey key = meters.key_of(1, "u", "c");
    const Instant start{1'000'000'000};
    CHECK(meters.charge(key, cost_of(500, 1000), start) == Duration{});
    CHECK(meters.charge(key, cost_of(500, 1000), start) == Duration{});
    CHECK(meters.charge(key, cost_of(250, 1000), start) == milliseconds(250));
    CHECK(meters.charge(key, cost_of(0, 1000), start + milliseconds(100)) == milliseconds(150));
    CHECK(meters.charge(key, cost_of(1000, 1000), start + seconds(60)) == Duration{});
}

TEST_CASE("whoever waits as told uses the rate, whatever the size of its requests") {
    for (const std::int64_t amount : {10, 700, 5'000}) {
        CAPTURE(amount);
        QuotaMeters meters(2);
        const MeterKey key = meters.key_of(1, "u", "");
        Instant now{};
        std::int64_t used = 0;
        while (now < Instant{} + seconds(100)) {
            now = now + meters.charge(key, cost_of(static_cast<double>(amount), 1000), now);
            used += amount;
        }
        CHECK(used >= 99'000);
        CHECK(used <= 101'000 + amount);
    }
}

TEST_CASE("meters of different kinds, users and clients are apart") {
    QuotaMeters meters(3);
    CHECK(meters.key_of(1, "a", "b") != meters.key_of(2, "a", "b"));
    CHECK(meters.key_of(1, "a", "b") != meters.key_of(1, "b", "a"));
    CHECK(meters.key_of(1, "ab", "") != meters.key_of(1, "a", "b"));
    CHECK(meters.key_of(1, "ab", "") != meters.key_of(1, "", "ab"));
    CHECK(meters.key_of(1, "12345678", "") != meters.key_of(1, std::string(8, '\0'), ""));
    CHECK(meters.key_of(1, "a", "b") == meters.key_of(1, "a", "b"));
    CHECK(meters.key_of(1, "a", "b") != QuotaMeters(4).key_of(1, "a", "b"));
}

TEST_CASE("what is refused is not booked") {
    QuotaMeters meters(5);
    const MeterKey key = meters.key_of(1, "192.0.2.1", "");
    const Instant start{};
    for (int i = 0; i < 10; ++i) CHECK(meters.try_charge(key, cost_of(1, 10), start).ns == 0);
    for (int i = 0; i < 10; ++i) {
        CHECK(meters.try_charge(key, cost_of(1, 10), start) == milliseconds(100));
    }
    CHECK(meters.try_charge(key, cost_of(1, 10), start + milliseconds(100)).ns == 0);
}

TEST_CASE("however many clients come, one that is far ahead of its rate stays so") {
    QuotaMeters meters(6);
    const MeterKey greedy = meters.key_of(1, "", "greedy");
    CHECK(meters.charge(greedy, seconds(100), Instant{}) == seconds(99));
    for (std::size_t i = 0; i < 4 * QuotaMeters::kMetersMax; ++i) {
        const MeterKey other = meters.key_of(1, "", std::to_string(i));
        CHECK(meters.charge(other, milliseconds(10), Instant{}).ns == 0);
    }
    CHECK(meters.charge(greedy, Duration{}, Instant{}) == seconds(99));
}

TEST_CASE("nobody is ahead for longer than an hour, even at a rate of nearly nothing") {
    QuotaMeters meters(7);
    const MeterKey key = meters.key_of(1, "u", "");
    CHECK(meters.charge(key, cost_of(1e300, 1e-300), Instant{}) ==
          QuotaMeters::kAheadMax - QuotaMeters::kBurst);
    CHECK(meters.charge(key, cost_of(1e300, 1e-300), Instant{}) ==
          QuotaMeters::kAheadMax - QuotaMeters::kBurst);
    CHECK(cost_of(0, 1e-300) == Duration{});
}

TEST_CASE("cores that book at the same time lose nothing") {
    QuotaMeters meters(8);
    const MeterKey key = meters.key_of(1, "u", "");
    std::vector<std::thread> cores;
    for (int i = 0; i < 4; ++i) {
        cores.emplace_back([&meters, key] {
            for (int k = 0; k < 1000; ++k) (void)meters.charge(key, milliseconds(1), Instant{});
        });
    }
    for (std::thread& core : cores) core.join();
    CHECK(meters.charge(key, Duration{}, Instant{}) == seconds(4) - QuotaMeters::kBurst);
}

TEST_CASE("an address has one form, and a peer's address loses its port") {
    CHECK(canonical_address("192.0.2.1") == "192.0.2.1");
    CHECK(canonical_address("0:0:0:0:0:0:0:1") == "::1");
    CHECK(canonical_address("2001:DB8::0:1") == "2001:db8::1");
    CHECK(canonical_address("::ffff:192.0.2.1") == "192.0.2.1");
    for (const char* text : {"", "localhost", "192.0.2", "192.0.2.1:9092", "[::1]", "256.1.1.1"}) {
        CAPTURE(text);
        CHECK(!canonical_address(text));
    }
    CHECK(address_of_peer("192.0.2.1:40312") == "192.0.2.1");
    CHECK(address_of_peer("[::1]:40312") == "::1");
    CHECK(address_of_peer("[::ffff:192.0.2.1]:40312") == "192.0.2.1");
    CHECK(address_of_peer("client:40312") == "client");
}

}  // namespace
}  // namespace dlog::broker
