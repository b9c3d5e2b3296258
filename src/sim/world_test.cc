#include "sim/world.h"

#include <doctest/doctest.h>

#include <cstring>

#include "base/result.h"
#include "port/sync.h"

namespace dlog::sim {
namespace {

using port::ConnectionPtr;
using port::Endpoint;
using port::FilePtr;
using port::ListenerPtr;
using port::NetError;
using port::OpenMode;
using port::OutPart;
using port::Ports;
using port::Task;

std::vector<OutPart> out(std::string_view text) {
    std::vector<OutPart> parts;
    parts.emplace_back(Buffer::copy_of(as_bytes(text)));
    return parts;
}

// ---- time ----

struct Wakes {
    std::vector<std::pair<int, Instant>> list;
};

Task<void> sleep_and_note(Ports ports, Wakes& wakes, int name, Duration span) {
    co_await port::sleep_for(ports.clock, span);
    wakes.list.emplace_back(name, ports.clock.now());
}

TEST_CASE("timers fire in order of their deadlines, never early, without waiting in real time") {
    Wakes wakes;
    World world(1);
    Host& host = world.add_host("a");
    host.ports().spawn.spawn(sleep_and_note(host.ports(), wakes, 3, seconds(3600)));
    host.ports().spawn.spawn(sleep_and_note(host.ports(), wakes, 1, milliseconds(5)));
    host.ports().spawn.spawn(sleep_and_note(host.ports(), wakes, 2, milliseconds(5)));
    CHECK(world.run_until([&] { return wakes.list.size() == 3; }, seconds(4000)));
    CHECK(wakes.list[0].first == 1);
    CHECK(wakes.list[1].first == 2);
    CHECK(wakes.list[2].first == 3);
    CHECK(wakes.list[0].second >= Instant{0} + milliseconds(5));
    CHECK(wakes.list[2].second >= Instant{0} + seconds(3600));
    CHECK(host.running_coroutines() == 0);
}

Task<void> wait_with_deadline(Ports ports, port::Notifier& notifier, bool& was_notified,
                              bool& is_done) {
    was_notified = co_await notifier.wait_until(ports.clock, ports.clock.now() + seconds(1));
    is_done = true;
}

TEST_CASE("a wait with a deadline ends by whichever comes first") {
    for (const bool notifies : {false, true}) {
        port::Notifier notifier;
        bool was_notified = !notifies;
        bool is_done = false;
        World world(1);
        Host& host = world.add_host("a");
        host.ports().spawn.spawn(wait_with_deadline(host.ports(), notifier, was_notified, is_done));
        world.run_for(milliseconds(500));
        CHECK(!is_done);
        if (notifies) notifier.notify_all();
        world.run_for(seconds(1));
        CHECK(is_done);
        CHECK(was_notified == notifies);
    }
}

// ---- cores ----

struct Hops {
    std::vector<int> arrived;
    bool was_elsewhere = false;
};

Task<void> hop_there(Host& host, Hops& hops, int name) {
    co_await port::hop(host.ports(CoreId(0)).spawn, CoreId(1));
    hops.arrived.push_back(name);
    co_await port::hop(host.ports(CoreId(1)).spawn, CoreId(0));
}

TEST_CASE("mailboxes keep the order in which one core posts to another") {
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        Hops hops;
        World world(seed);
        Host& host = world.add_host("a", 2);
        for (int name = 0; name < 50; ++name) {
            host.ports().spawn.spawn(hop_there(host, hops, name));
        }
        CHECK(world.run_until([&] { return host.running_coroutines() == 0; }, seconds(1)));
        std::vector<int> expected(50);
        for (int name = 0; name < 50; ++name) expected[static_cast<std::size_t>(name)] = name;
        CHECK(hops.arrived == expected);
    }
}

Task<void> offload_and_note(Ports ports, int& steps) {
    steps = 1;
    co_await ports.spawn.offload([&steps] { steps = 2; });
    CHECK(steps == 2);
    steps = 3;
}

TEST_CASE("offloaded work runs later and its coroutine continues after it") {
    int steps = 0;
    World world(1);
    Host& host = world.add_host("a");
    host.ports().spawn.spawn(offload_and_note(host.ports(), steps));
    CHECK(steps == 1);
    world.run_for(seconds(1));
    CHECK(steps == 3);
}

// ---- network ----

struct Received {
    std::string bytes;
    std::string error;
    bool has_ended = false;
};

Task<void> receive_one(Ports ports, Received& received, Duration pause_between_reads) {
    auto listener = co_await ports.net.listen({"0.0.0.0", 9092});
    REQUIRE(listener);
    auto connection = co_await (*listener)->accept();
    REQUIRE(connection);
    std::uint8_t chunk[3000];
    while (true) {
        if (pause_between_reads.ns > 0) {
            co_await port::sleep_for(ports.clock, pause_between_reads);
        }
        const auto count = co_await (*connection)->read(chunk);
        if (!count) received.error = port::net_error_name(count.error());
        if (!count || *count == 0) break;
        received.bytes += as_text(ByteView(chunk, *count));
    }
    received.has_ended = true;
}

struct Sent {
    std::size_t writes = 0;
    bool has_ended = false;
    std::string error;
};

Task<void> send_lines(Ports ports, Endpoint to, int count, Sent& sent) {
    co_await port::sleep_for(ports.clock, milliseconds(10));
    auto connection = co_await ports.net.connect(to);
    if (!connection) {
        sent.error = port::net_error_name(connection.error());
        sent.has_ended = true;
        co_return;
    }
    for (int line = 0; line < count; ++line) {
        const auto written =
            co_await (*connection)
                ->write(out("line " + std::to_string(line) + std::string(100, '.') + "\n"));
        if (!written) {
            sent.error = port::net_error_name(written.error());
            break;
        }
        ++sent.writes;
    }
    sent.has_ended = true;
}

std::string expected_lines(int count) {
    std::string text;
    for (int line = 0; line < count; ++line) {
        text += "line " + std::to_string(line) + std::string(100, '.') + "\n";
    }
    return text;
}

/// A host that receives, and one that sends it lines.
struct Talk {
    Talk(std::uint64_t seed, int lines, Options options = {}, Duration pause_between_reads = {})
        : world(seed, options), server(world.add_host("server")), client(world.add_host("client")) {
        server.ports().spawn.spawn(receive_one(server.ports(), received, pause_between_reads));
        client.ports().spawn.spawn(
            send_lines(client.ports(), {Network::address_of(server.number()), 9092}, lines, sent));
    }

    Received received;
    Sent sent;
    World world;
    Host& server;
    Host& client;
};

TEST_CASE("a stream's bytes arrive all, once and in order, whatever the segments") {
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        Talk talk(seed, 500);
        CHECK(talk.world.run_until([&] { return talk.received.has_ended; }, seconds(60)));
        CHECK(talk.received.bytes == expected_lines(500));
        CHECK(talk.received.error.empty());
        CHECK(talk.sent.writes == 500);
        CHECK(talk.world.network().live_streams() == 0);
    }
}

TEST_CASE("a peer that never reads makes the writer wait with bounded memory") {
    Options options;
    options.net.window_bytes_least = options.net.window_bytes_most = 8192;
    Talk talk(1, 5000, options, seconds(100));
    talk.world.run_for(seconds(50));
    CHECK(!talk.sent.has_ended);
    CHECK(talk.sent.writes * 106 < 8192 + 106);
    CHECK(talk.sent.writes > 60);
    CHECK(talk.world.run_until([&] { return talk.received.has_ended; }, seconds(100'000)));
    CHECK(talk.received.bytes.size() == expected_lines(5000).size());
}

TEST_CASE("connecting is refused where nobody listens and times out where the host is down") {
    for (const bool is_down : {false, true}) {
        Sent sent;
        World world(1);
        Host& server = world.add_host("server");
        Host& client = world.add_host("client");
        if (is_down) world.crash(server);
        client.ports().spawn.spawn(send_lines(client.ports(), {"server", 9092}, 1, sent));
        CHECK(world.run_until([&] { return sent.has_ended; }, seconds(60)));
        CHECK(sent.error == (is_down ? "timed out" : "connection refused"));
    }
    Sent sent;
    World world(1);
    Host& client = world.add_host("client");
    client.ports().spawn.spawn(send_lines(client.ports(), {"nowhere", 9092}, 1, sent));
    world.run_for(seconds(1));
    CHECK(sent.error == "unknown host");
}

TEST_CASE("a reset ends both sides and what arrived is a prefix of what was sent") {
    unsigned cut = 0;
    for (std::uint64_t seed = 0; seed < 30; ++seed) {
        Talk talk(seed, 100'000);
        talk.world.run_for(milliseconds(30));
        REQUIRE(talk.world.network().reset_one());
        CHECK(talk.world.run_until([&] { return talk.received.has_ended && talk.sent.has_ended; },
                                   seconds(60)));
        CHECK(talk.received.error == "connection reset by peer");
        CHECK(talk.sent.error == "connection reset by peer");
        CHECK(expected_lines(100'000).starts_with(talk.received.bytes));
        cut += talk.received.bytes.size() % 106 != 0;
    }
    CHECK(cut > 5);
}

TEST_CASE(
    "a blocked link delays; when it opens in time nothing is lost, otherwise senders time out") {
    for (const bool opens : {true, false}) {
        Talk talk(5, 20'000);
        talk.world.run_for(milliseconds(15));
        talk.world.network().set_blocked(talk.client.number(), talk.server.number(), true);
        talk.world.run_for(seconds(10));
        CHECK(!talk.sent.has_ended);
        if (opens) {
            talk.world.network().set_blocked(talk.client.number(), talk.server.number(), false);
            CHECK(talk.world.run_until([&] { return talk.received.has_ended; }, seconds(100)));
            CHECK(talk.received.bytes == expected_lines(20'000));
        } else {
            talk.world.run_for(seconds(100));
            CHECK(talk.sent.error == "timed out");
            CHECK(!talk.received.has_ended);  // it hears nothing: half-open
        }
    }
}

TEST_CASE("a host that lost power is half-open to its peers until it is back and resets them") {
    Talk talk(7, 1'000'000);
    talk.world.run_for(milliseconds(20));
    talk.world.crash(talk.server);
    CHECK(talk.server.running_coroutines() == 0);
    talk.world.run_for(seconds(5));
    CHECK(!talk.sent.has_ended);
    talk.world.restart(talk.server);
    talk.world.run_for(seconds(5));
    CHECK(talk.sent.error == "connection reset by peer");
    CHECK(!talk.received.has_ended);
}

TEST_CASE("a process that dies resets or finishes its connections at once") {
    for (std::uint64_t seed = 0; seed < 10; ++seed) {
        Talk talk(seed, 1'000'000);
        talk.world.run_for(milliseconds(20));
        talk.world.kill(talk.client);
        CHECK(talk.world.run_until([&] { return talk.received.has_ended; }, seconds(5)));
        CHECK(!talk.sent.has_ended);
        talk.world.kill(talk.server);
    }
}

Task<void> send_file(Ports ports, Sent& sent) {
    REQUIRE(co_await ports.disk.make_directories("data"));
    auto file = co_await ports.disk.open("data/f", OpenMode::kCreate);
    REQUIRE(file);
    std::vector<Buffer> parts;
    parts.push_back(Buffer::copy_of(as_bytes(std::string(100'000, 'x') + "end")));
    REQUIRE(co_await ports.disk.write(*file, 0, std::move(parts)));
    auto connection = co_await ports.net.connect({"server", 9092});
    REQUIRE(connection);
    std::vector<OutPart> message = out("head");
    message.emplace_back(port::FileRange{*file, 50'000, 50'003});
    REQUIRE(co_await (*connection)->write(std::move(message)));
    std::vector<OutPart> beyond;
    beyond.emplace_back(port::FileRange{*file, 100'000, 50});
    const auto failed = co_await (*connection)->write(std::move(beyond));
    REQUIRE(!failed);
    sent.error = port::net_error_name(failed.error());
    sent.has_ended = true;
}

TEST_CASE("a file range is sent from the disk, and its absence is an error of its own") {
    Received received;
    Sent sent;
    World world(2);
    Host& server = world.add_host("server");
    Host& client = world.add_host("client");
    server.ports().spawn.spawn(receive_one(server.ports(), received, {}));
    world.run_for(milliseconds(10));
    client.ports().spawn.spawn(send_file(client.ports(), sent));
    CHECK(world.run_until([&] { return received.has_ended; }, seconds(5)));
    CHECK(received.bytes == "head" + std::string(50'000, 'x') + "end");
    CHECK(sent.error == "file could not be read");
}

// ---- a small program that uses everything, for determinism and crashes ----

struct Pieces {
    int alive = 0;
};

/// Counts itself, and touches a gate in its destructor as drivers' objects do.
class Piece {
  public:
    Piece(Pieces& pieces, port::Gate& gate) : pieces_(pieces), hold_(gate.enter()) {
        ++pieces_.alive;
    }
    Piece(const Piece&) = delete;
    ~Piece() { --pieces_.alive; }

  private:
    Pieces& pieces_;
    port::Gate::Hold hold_;
};

class Toy final : public Program {
  public:
    Toy(Host& host, Pieces& pieces) : host_(host), pieces_(pieces) {
        for (std::uint32_t core = 0; core < host.core_count(); ++core) {
            gates_.emplace_back(std::make_unique<port::Gate>());
            host.ports(CoreId(core)).spawn.spawn(serve(CoreId(core)));
            host.ports(CoreId(core)).spawn.spawn(wait_for_silence(CoreId(core)));
        }
    }

  private:
    Task<void> wait_for_silence(CoreId core) {
        const Piece piece(pieces_, unused_);
        port::Gate& gate = *gates_[core.value];
        while (true) {
            (void)co_await gate.left().wait_until(host_.ports(core).clock,
                                                  host_.ports(core).clock.now() + seconds(1));
        }
    }
    Task<void> serve(CoreId core) {
        Ports& ports = host_.ports(core);
        const Piece piece(pieces_, *gates_[core.value]);
        auto listener = co_await ports.net.listen({"0.0.0.0", 9092});
        REQUIRE(listener);
        while (true) {
            auto connection = co_await (*listener)->accept();
            if (!connection) break;
            ports.spawn.spawn(talk(core, std::move(*connection)));
        }
    }
    Task<void> talk(CoreId core, ConnectionPtr connection) {
        Ports& ports = host_.ports(core);
        const Piece piece(pieces_, *gates_[core.value]);
        std::uint8_t bytes[8];
        while (true) {
            const auto whole = co_await port::read_exactly(*connection, bytes);
            if (!whole || !*whole) break;
            co_await store(core, load_little_endian<std::uint64_t>(bytes));
            co_await ports.spawn.offload([this] { ++offloaded_; });
            const CoreId other((core.value + 1) % host_.core_count());
            co_await port::hop(ports.spawn, other);
            const std::uint64_t random = host_.ports(other).entropy.next();
            co_await port::hop(host_.ports(other).spawn, core);
            std::memcpy(bytes, &random, 8);
            if (!co_await connection->write(out(as_text(ByteView(bytes))))) break;
        }
        ports.log.info("connection ended", {{"peer", connection->peer()}});
    }
    Task<void> store(CoreId core, std::uint64_t number) {
        Ports& ports = host_.ports(core);
        const Piece piece(pieces_, *gates_[core.value]);
        std::uint8_t bytes[8];
        store_little_endian(bytes, number);
        const std::string path =
            "data/" + std::to_string(core.value) + "-" + std::to_string(number);
        REQUIRE(co_await ports.disk.make_directories("data"));
        auto done = co_await port::replace_file(ports.disk, path, Buffer::copy_of(bytes));
        REQUIRE(done);
    }

    Host& host_;
    Pieces& pieces_;
    port::Gate unused_;
    std::vector<std::unique_ptr<port::Gate>> gates_;
    std::uint64_t offloaded_ = 0;
};

Task<void> ask(Ports ports, std::uint64_t first, int count, int& answers) {
    for (int at = 0; at < count; ++at) {
        auto connection = co_await ports.net.connect({"server", 9092});
        if (!connection) {
            co_await port::sleep_for(ports.clock, milliseconds(50));
            continue;
        }
        for (int round = 0; round < 3; ++round) {
            std::uint8_t bytes[8];
            store_little_endian(bytes, first + static_cast<std::uint64_t>(at));
            if (!co_await (*connection)->write(out(as_text(ByteView(bytes))))) break;
            const auto whole = co_await port::read_exactly(**connection, bytes);
            if (!whole || !*whole) break;
            ++answers;
        }
    }
}

struct ToyRun {
    std::uint64_t hash = 0;
    std::uint64_t effects = 0;
    int answers = 0;
    int pieces_after_crash = -1;
};

/// Runs the toy; the server crashes (or is killed) after that many events, and comes back.
ToyRun run_toy(std::uint64_t seed, std::uint64_t crash_after, bool is_power_loss) {
    Pieces pieces;
    int answers = 0;
    ToyRun run;
    {
        World world(seed);
        Host& server = world.add_host("server", 2);
        Host& client = world.add_host("client");
        server.boot([&pieces](Host& host) { return std::make_unique<Toy>(host, pieces); });
        client.ports().spawn.spawn(ask(client.ports(), 1, 4, answers));
        client.ports().spawn.spawn(ask(client.ports(), 1000, 4, answers));
        std::uint64_t events = 0;
        world.run_until([&] { return ++events >= crash_after; }, milliseconds(200));
        if (is_power_loss) {
            world.crash(server);
        } else {
            world.kill(server);
        }
        run.pieces_after_crash = pieces.alive;
        CHECK(server.running_coroutines() == 0);
        world.run_for(milliseconds(100));
        world.restart(server);
        world.run_for(seconds(1));
        run.hash = world.hash();
        run.effects = world.effects();
    }
    CHECK(pieces.alive == 0);
    run.answers = answers;
    return run;
}

TEST_CASE("two runs of a seed agree in the hash of all effects, other seeds differ") {
    std::uint64_t previous = 0;
    for (std::uint64_t seed = 0; seed < 20; ++seed) {
        const ToyRun first = run_toy(seed, 300 + seed, true);
        const ToyRun second = run_toy(seed, 300 + seed, true);
        CHECK(first.hash == second.hash);
        CHECK(first.effects == second.effects);
        CHECK(first.hash != previous);
        CHECK(first.effects > 300);
        previous = first.hash;
    }
}

TEST_CASE(
    "a crash at any event destroys every coroutine and object of the host and leaks nothing") {
    int answers = 0;
    for (std::uint64_t crash_after = 1; crash_after < 500; ++crash_after) {
        const ToyRun run = run_toy(11, crash_after, crash_after % 3 != 0);
        CHECK(run.pieces_after_crash == 0);
        answers += run.answers;
    }
    CHECK(answers > 500);
}

Task<void> crash_when_asked(World& world, Host& other, Ports ports) {
    co_await port::sleep_for(ports.clock, milliseconds(5));
    world.crash(other);
    world.crash(other);  // twice is once
}

TEST_CASE("a crash that is asked for from within an event happens at that event's end") {
    Pieces pieces;
    World world(1);
    Host& server = world.add_host("server", 2);
    Host& client = world.add_host("client");
    server.boot([&pieces](Host& host) { return std::make_unique<Toy>(host, pieces); });
    client.ports().spawn.spawn(crash_when_asked(world, server, client.ports()));
    world.run_for(seconds(1));
    CHECK(!server.is_up());
    CHECK(pieces.alive == 0);
    // One that crashes itself.
    world.restart(server);
    server.ports().spawn.spawn(crash_when_asked(world, server, server.ports()));
    world.run_for(seconds(1));
    CHECK(!server.is_up());
}

Task<void> hold_lock(Ports ports, std::string& outcome, Duration span) {
    auto lock = co_await ports.disk.lock("lock");
    if (!lock) {
        outcome = port::disk_error_name(lock.error());
        co_return;
    }
    outcome = "held";
    co_await port::sleep_for(ports.clock, span);
    outcome = "dropped";
}

TEST_CASE("a lock is exclusive, and ends with its holder or its host") {
    std::string first, second;
    World world(1);
    Host& host = world.add_host("a", 2);
    host.ports().spawn.spawn(hold_lock(host.ports(), first, seconds(5)));
    world.run_for(seconds(1));
    host.ports(CoreId(1)).spawn.spawn(hold_lock(host.ports(CoreId(1)), second, seconds(50)));
    world.run_for(seconds(1));
    CHECK(first == "held");
    CHECK(second == "locked by another process");
    world.run_for(seconds(5));
    CHECK(first == "dropped");
    host.ports().spawn.spawn(hold_lock(host.ports(), first, seconds(500)));
    world.run_for(seconds(1));
    CHECK(first == "held");
    world.kill(host);
    world.restart(host);
    host.ports().spawn.spawn(hold_lock(host.ports(), second, seconds(5)));
    world.run_for(seconds(1));
    CHECK(second == "held");
}

Task<void> write_forever(Ports ports, std::uint64_t& synced, std::string& error) {
    auto file = co_await ports.disk.open("f", OpenMode::kCreate);
    REQUIRE(file);
    for (std::uint64_t at = 0;; ++at) {
        std::uint8_t bytes[1000];
        std::memset(bytes, static_cast<int>(at % 250 + 1), sizeof bytes);
        std::vector<Buffer> parts;
        parts.push_back(Buffer::copy_of(bytes));
        const auto written = co_await ports.disk.write(*file, at * 1000, std::move(parts));
        if (!written) {
            error = port::disk_error_name(written.error());
            co_return;
        }
        std::vector<FilePtr> files;
        files.push_back(*file);
        std::vector<std::string> directories;
        directories.emplace_back("/");
        const auto done = co_await ports.disk.sync(std::move(files), std::move(directories));
        if (!done) {
            error = port::disk_error_name(done.error());
            co_return;
        }
        synced = at + 1;
    }
}

TEST_CASE("what the Disk port reported as synced is there after a crash, unless the disk lies") {
    unsigned lost_by_lies = 0, tails = 0;
    for (std::uint64_t seed = 0; seed < 100; ++seed) {
        for (const bool lies : {false, true}) {
            std::uint64_t synced = 0;
            std::string error;
            Options options;
            options.disk.sync_lies = lies;
            World world(seed, options);
            Host& host = world.add_host("a");
            host.ports().spawn.spawn(write_forever(host.ports(), synced, error));
            world.run_for(milliseconds(40));
            world.crash(host);
            const auto bytes = host.disk().contents("f");
            REQUIRE(synced > 0);
            bool is_whole = bytes.size() >= synced * 1000;
            for (std::size_t at = 0; is_whole && at < synced * 1000; ++at) {
                is_whole = bytes[at] == at / 1000 % 250 + 1;
            }
            if (lies) {
                lost_by_lies += !is_whole;
            } else {
                REQUIRE(is_whole);
                tails += bytes.size() > synced * 1000;
            }
        }
    }
    CHECK(lost_by_lies > 50);
    CHECK(tails > 10);
}

TEST_CASE("disk faults come at the rates that were asked for, and a stalled disk ends nothing") {
    std::uint64_t synced = 0;
    std::string error;
    Options options;
    options.disk.write_error = Rate{50};
    World world(4, options);
    Host& host = world.add_host("a");
    host.ports().spawn.spawn(write_forever(host.ports(), synced, error));
    world.run_for(seconds(5));
    CHECK(error == "input/output error");
    CHECK(synced > 0);
    world.heal();
    error.clear();
    host.disk().stall(world.now() + seconds(3));
    host.ports().spawn.spawn(write_forever(host.ports(), synced = 0, error));
    world.run_for(seconds(2));
    CHECK(synced == 0);
    world.run_for(seconds(2));
    CHECK(synced > 10);
    host.disk().set_capacity(host.disk().image.used_bytes());
    world.run_for(seconds(1));
    CHECK(error == "no space left on device");
}

TEST_CASE("wall clocks differ between hosts, the log keeps its last lines in order") {
    Options options;
    options.log_lines_kept = 3;
    World world(9, options);
    Host& a = world.add_host("a");
    Host& b = world.add_host("b");
    world.run_for(seconds(2));
    CHECK(a.ports().clock.wall_now() != b.ports().clock.wall_now());
    a.set_wall_skew(seconds(5));
    CHECK(a.ports().clock.wall_now().ms == kEpoch.ms + 7000);
    const std::uint64_t before = world.hash();
    for (int line = 0; line < 5; ++line) a.log().info("hello", {{"line", line}});
    b.log().debug("hidden");
    b.log().warn("last");
    CHECK(world.hash() != before);
    CHECK(a.log().lines().size() == 3);
    CHECK(a.log().has("line=4"));
    CHECK(!a.log().has("line=1"));
    CHECK(b.log().count_at_least(LogLevel::kInfo) == 1);
    CHECK(world.last_lines(2) == "    2.000000 a info hello line=4\n    2.000000 b warn last\n");
}

}  // namespace
}  // namespace dlog::sim
