/// The whole reactor: cores, hops, timers, sockets, stopping.
#include "reactor/reactor.h"

#include <doctest/doctest.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "port/clock.h"
#include "port/entropy.h"
#include "port/net.h"
#include "port/spawn.h"
#include "port/sync.h"
#include "reactor/test_support.h"

using namespace dlog;
using namespace dlog::reactor;

namespace {

port::Task<void> note_threads(Reactor* reactor, std::vector<std::thread::id>* seen) {
    CoreId here(0);
    for (std::uint32_t step = 0; step < 2 * reactor->core_count(); ++step) {
        const CoreId there(step % reactor->core_count());
        co_await port::hop(reactor->ports(here).spawn, there);
        here = there;
        CHECK(reactor->ports(here).spawn.core() == here);
        seen->push_back(std::this_thread::get_id());
    }
}

port::Task<void> arrive(port::Spawn* spawn, CoreId target, int number, std::vector<int>* arrived,
                        port::Notifier* all_there) {
    co_await port::hop(*spawn, target);
    arrived->push_back(number);
    if (arrived->size() == 1000) all_there->notify_all();
}

port::Task<void> send_a_thousand(port::Spawn* here, CoreId target, std::vector<int>* arrived,
                                 port::Notifier* all_there) {
    for (int i = 0; i < 1000; ++i) here->spawn(arrive(here, target, i, arrived, all_there));
    co_return;
}

port::Task<void> wait_for_a_thousand(port::Notifier* all_there, std::vector<int>* arrived) {
    while (arrived->size() < 1000) co_await all_there->wait();
}

port::Task<void> sleep_and_note(port::Clock* clock, Duration span, int number,
                                std::vector<int>* order) {
    co_await port::sleep_for(*clock, span);
    order->push_back(number);
}

port::Task<void> sleep_in_odd_order(port::Ports* ports, std::vector<int>* order) {
    const Instant begin = ports->clock.now();
    for (const int number : {3, 1, 2, 0}) {
        ports->spawn.spawn(
            sleep_and_note(&ports->clock, milliseconds(2 * number + 1), number, order));
    }
    co_await port::sleep_for(ports->clock, milliseconds(10));
    CHECK(ports->clock.now() - begin >= milliseconds(10));
}

port::Task<void> compute(port::Spawn* spawn, std::thread::id* computed_on) {
    const std::thread::id mine = std::this_thread::get_id();
    co_await spawn->offload([computed_on] { *computed_on = std::this_thread::get_id(); });
    CHECK(std::this_thread::get_id() == mine);
}

port::Task<void> draw(port::Entropy* entropy, std::vector<std::uint64_t>* numbers) {
    for (int i = 0; i < 100; ++i) numbers->push_back(entropy->next());
    co_return;
}

/// Counts how many of it live.
struct Counted {
    explicit Counted(std::atomic<int>* live_count) : live(live_count) { ++*live; }
    Counted(Counted&& other) noexcept : live(std::exchange(other.live, nullptr)) {}
    Counted& operator=(Counted&&) = delete;
    ~Counted() {
        if (live != nullptr) --*live;
    }
    std::atomic<int>* live;
};

port::Task<void> wait_forever(Counted, port::Notifier* never) {
    co_await never->wait();
}
port::Task<void> sleep_forever(Counted, port::Clock* clock) {
    co_await port::sleep_for(*clock, seconds(100'000));
}
port::Task<void> accept_one(Counted, port::Listener* listener,
                            std::vector<port::NetError>* errors) {
    auto connection = co_await listener->accept();
    DLOG_ASSERT(!connection);
    errors->push_back(connection.error());
}
port::Task<void> read_one(Counted, port::Connection* connection,
                          std::vector<port::NetError>* errors) {
    std::uint8_t byte = 0;
    auto count = co_await connection->read({&byte, 1});
    DLOG_ASSERT(!count);
    errors->push_back(count.error());
}
port::Task<void> write_much(Counted, port::Connection* connection,
                            std::vector<port::NetError>* errors) {
    std::vector<port::OutPart> parts;
    parts.emplace_back(Buffer::allocate(64 << 20));
    auto written = co_await connection->write(std::move(parts));
    DLOG_ASSERT(!written);
    errors->push_back(written.error());
}

/// Owns a listener and both ends of a connection; leaves an accept, a read and a write pending and
/// waits forever.
port::Task<void> hold_pending_operations(port::Ports* ports, std::atomic<int>* live,
                                         port::Notifier* never, port::Notifier* ready,
                                         std::vector<port::NetError>* errors) {
    const Counted counted(live);
    auto listener = co_await ports->net.listen({.host = "127.0.0.1", .port = 0});
    DLOG_ASSERT(listener.has_value());
    auto client = co_await ports->net.connect((*listener)->endpoint());
    DLOG_ASSERT(client.has_value());
    auto server = co_await (*listener)->accept();
    DLOG_ASSERT(server.has_value());
    ports->spawn.spawn(accept_one(Counted(live), listener->get(), errors));
    ports->spawn.spawn(read_one(Counted(live), server->get(), errors));
    ports->spawn.spawn(write_much(Counted(live), server->get(), errors));
    ready->notify_all();
    co_await never->wait();
}

port::Task<void> start_what_never_ends(port::Ports* ports, std::atomic<int>* live,
                                       port::Notifier* never, std::vector<port::NetError>* errors) {
    port::Notifier ready;
    ports->spawn.spawn(wait_forever(Counted(live), never));
    ports->spawn.spawn(sleep_forever(Counted(live), &ports->clock));
    ports->spawn.spawn(hold_pending_operations(ports, live, never, &ready, errors));
    co_await ready.wait();
}

port::Task<void> sleep_elsewhere(Counted, port::Spawn* here, port::Ports* there,
                                 std::atomic<bool>* is_there) {
    co_await port::hop(*here, there->spawn.core());
    *is_there = true;
    is_there->notify_one();
    co_await port::sleep_for(there->clock, seconds(100'000));
}

/// Keeps three cores and the I/O pool busy for ever.
port::Task<void> never_rest(Counted, Reactor* reactor, std::string path, std::atomic<int>* rounds) {
    for (std::uint32_t at = 0;; at = (at + 1) % reactor->core_count()) {
        port::Ports& here = reactor->ports(CoreId(at));
        (void)co_await here.disk.stat_path(path);
        ++*rounds;
        rounds->notify_all();
        co_await port::yield(here.spawn);
        co_await port::hop(here.spawn, CoreId((at + 1) % reactor->core_count()));
    }
}

port::Task<void> nothing() {
    co_return;
}

port::Task<void> handle_signal(port::Notifier* came, const int* signal_number) {
    while (*signal_number == 0) co_await came->wait();
}

}  // namespace

TEST_CASE("hop moves a coroutine to the thread of the core it names") {
    Reactor reactor({.core_count = 3});
    std::vector<std::thread::id> seen;
    reactor.run_and_wait(CoreId(0), [&](port::Ports&) { return note_threads(&reactor, &seen); });
    REQUIRE(seen.size() == 6);
    for (std::size_t i = 0; i < 3; ++i) {
        CHECK(seen[i] == seen[i + 3]);
        CHECK(seen[i] != seen[(i + 1) % 3]);
        CHECK(seen[i] != std::this_thread::get_id());
    }
}

TEST_CASE("what one core posts to another arrives in order") {
    Reactor reactor({.core_count = 2});
    std::vector<int> arrived;
    port::Notifier all_there;
    reactor.run(CoreId(0), [&](port::Ports& ports) {
        return send_a_thousand(&ports.spawn, CoreId(1), &arrived, &all_there);
    });
    reactor.run_and_wait(CoreId(1),
                         [&](port::Ports&) { return wait_for_a_thousand(&all_there, &arrived); });
    REQUIRE(arrived.size() == 1000);
    for (int i = 0; i < 1000; ++i) CHECK(arrived[static_cast<std::size_t>(i)] == i);
}

TEST_CASE("timers fire in the order of their deadlines and not before them") {
    Reactor reactor({.core_count = 1});
    std::vector<int> order;
    reactor.run_and_wait(CoreId(0),
                         [&](port::Ports& ports) { return sleep_in_odd_order(&ports, &order); });
    CHECK(order == std::vector<int>{0, 1, 2, 3});
}

TEST_CASE("offloaded work runs on a thread of its own and the caller goes on at home") {
    Reactor reactor({.core_count = 1});
    std::thread::id computed_on;
    std::thread::id core_thread;
    reactor.run_and_wait(CoreId(0), [&](port::Ports& ports) {
        core_thread = std::this_thread::get_id();
        return compute(&ports.spawn, &computed_on);
    });
    CHECK(computed_on != std::thread::id());
    CHECK(computed_on != core_thread);
    CHECK(computed_on != std::this_thread::get_id());
}

TEST_CASE("entropy does not repeat itself") {
    Reactor reactor({.core_count = 1});
    std::vector<std::uint64_t> numbers;
    reactor.run_and_wait(CoreId(0),
                         [&](port::Ports& ports) { return draw(&ports.entropy, &numbers); });
    std::sort(numbers.begin(), numbers.end());
    CHECK(std::unique(numbers.begin(), numbers.end()) == numbers.end());
}

TEST_CASE("a stop ends pending operations, destroys what still waits and leaks no descriptor") {
    const std::size_t descriptors_before = open_descriptor_count();
    std::atomic<int> live = 0;
    port::Notifier never;
    std::vector<port::NetError> errors;
    std::atomic<bool> is_there = false;
    {
        Reactor reactor({.core_count = 2});
        reactor.run_and_wait(CoreId(0), [&](port::Ports& ports) {
            return start_what_never_ends(&ports, &live, &never, &errors);
        });
        // One that was started on core 0 and sleeps on core 1.
        reactor.run(CoreId(0), [&](port::Ports& ports) {
            return sleep_elsewhere(Counted(&live), &ports.spawn, &reactor.ports(CoreId(1)),
                                   &is_there);
        });
        is_there.wait(false);
        CHECK(live == 7);
        reactor.stop();
        CHECK(live == 0);
    }
    CHECK(errors == std::vector<port::NetError>(3, port::NetError::kClosed));
    CHECK(open_descriptor_count() == descriptors_before);
}

TEST_CASE("a stop does not wait longer than it may for what never rests") {
    std::atomic<int> live = 0;
    std::atomic<int> rounds = 0;
    Reactor reactor({.core_count = 3, .drain_limit = milliseconds(0)});
    for (int i = 0; i < 20; ++i) {
        reactor.run(CoreId(0), [&](port::Ports&) {
            return never_rest(Counted(&live), &reactor, "/tmp", &rounds);
        });
    }
    for (int seen = 0; seen < 500; seen = rounds) rounds.wait(seen);
    CHECK(live == 20);
    reactor.stop();
    CHECK(live == 0);
}

TEST_CASE("a signal is handled on core 0") {
    Reactor reactor({.core_count = 2, .handles_signals = true});
    int number = 0;
    port::Notifier came;
    std::thread::id handled_on;
    reactor.on_signal([&](int signal_number) {
        handled_on = std::this_thread::get_id();
        number = signal_number;
        came.notify_all();
    });
    ::kill(::getpid(), SIGTERM);
    std::thread::id core_thread;
    reactor.run_and_wait(CoreId(0), [&](port::Ports&) {
        core_thread = std::this_thread::get_id();
        return handle_signal(&came, &number);
    });
    CHECK(number == SIGTERM);
    CHECK(handled_on == core_thread);
}

TEST_CASE("wait returns after a core has asked for the stop") {
    Reactor reactor({.core_count = 1});
    reactor.run(CoreId(0), [&](port::Ports&) {
        reactor.request_stop();
        return nothing();
    });
    reactor.wait();
    reactor.stop();
    reactor.stop();  // once more changes nothing
}
