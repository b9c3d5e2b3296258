/// Sockets on the loopback interface: echo over several cores, large and partial transfers, files,
/// errors.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/random.h"
#include "port/disk.h"
#include "port/net.h"
#include "port/ports.h"
#include "port/spawn.h"
#include "port/sync.h"
#include "reactor/reactor.h"
#include "reactor/test_support.h"

using namespace dlog;
using namespace dlog::reactor;

namespace {

Buffer random_bytes(std::uint64_t seed, std::size_t size) {
    Random random(seed);
    Buffer bytes = Buffer::allocate(size);
    for (std::size_t i = 0; i < size; ++i) {
        bytes.mutable_data()[i] = static_cast<std::uint8_t>(random.next());
    }
    return bytes;
}

bool is_equal(ByteView a, ByteView b) {
    return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

/// Both ends of a connection.
struct Pair {
    port::ConnectionPtr client;
    port::ConnectionPtr server;
};

port::Task<Pair> connect_pair(port::Ports* ports) {
    auto listener = co_await ports->net.listen({.host = "127.0.0.1", .port = 0});
    DLOG_ASSERT(listener.has_value());
    auto client = co_await ports->net.connect((*listener)->endpoint());
    DLOG_ASSERT(client.has_value());
    auto server = co_await (*listener)->accept();
    DLOG_ASSERT(server.has_value());
    co_return Pair{*std::move(client), *std::move(server)};
}

port::Task<void> write_all(port::Connection* connection, std::vector<port::OutPart> parts,
                           port::NetResult<void>* result, port::Gate::Hold) {
    *result = co_await connection->write(std::move(parts));
}

port::Task<void> drain(port::Gate* gate) {
    while (gate->held() > 0) co_await gate->left().wait();
}

/// Writes `parts` on one end while the other reads `size` bytes in pieces of `piece_max` at most.
port::Task<Buffer> transfer(port::Ports* ports, Pair* pair, std::vector<port::OutPart> parts,
                            std::size_t size, std::size_t piece_max) {
    port::Gate gate;
    port::NetResult<void> written;
    ports->spawn.spawn(write_all(pair->server.get(), std::move(parts), &written, gate.enter()));
    Buffer received = Buffer::allocate(size);
    Random random(size);
    std::size_t done = 0;
    while (done < size) {
        const std::size_t piece = std::min<std::size_t>(size - done, 1 + random.below(piece_max));
        const auto exact = co_await port::read_exactly(
            *pair->client, received.mutable_view().subspan(done, piece));
        CHECK((exact && *exact));
        if (!exact || !*exact) break;
        done += piece;
    }
    co_await drain(&gate);
    CHECK(written.has_value());
    co_return received;
}

// ---- echo over two cores

port::Task<void> echo(port::ConnectionPtr connection, port::Gate::Hold) {
    Buffer block = Buffer::allocate(1000);
    for (;;) {
        const auto count = co_await connection->read(block.mutable_view());
        if (!count || *count == 0) co_return;
        std::vector<port::OutPart> parts;
        parts.emplace_back(Buffer::copy_of(block.view().subspan(0, *count)));
        if (!co_await connection->write(std::move(parts))) co_return;
    }
}

port::Task<void> serve_echo(port::Ports* ports, std::atomic<int>* port_number, int* accepted,
                            std::atomic<int>* listening) {
    auto listener = co_await ports->net.listen({.host = "127.0.0.1", .port = 0});
    DLOG_ASSERT(listener.has_value());
    int none = 0;
    const int mine = (*listener)->endpoint().port;
    if (!port_number->compare_exchange_strong(none, mine)) CHECK(none == mine);
    port::Gate gate;
    bool is_first = true;
    for (;;) {
        if (std::exchange(is_first, false)) {
            ++*listening;
            listening->notify_all();
        }
        auto connection = co_await (*listener)->accept();
        if (!connection) break;
        ++*accepted;
        ports->spawn.spawn(echo(*std::move(connection), gate.enter()));
    }
    co_await drain(&gate);
}

port::Task<void> talk(port::Ports* ports, std::uint16_t port_number, std::uint64_t seed, int* equal,
                      port::Gate::Hold) {
    auto connection = co_await ports->net.connect({.host = "127.0.0.1", .port = port_number});
    DLOG_ASSERT(connection.has_value());
    Random random(seed);
    for (int round = 0; round < 20; ++round) {
        const Buffer sent = random_bytes(random.next(), 1 + random.below(20'000));
        std::vector<port::OutPart> parts;
        parts.emplace_back(sent);
        CHECK((co_await (*connection)->write(std::move(parts))).has_value());
        Buffer received = Buffer::allocate(sent.size());
        const auto exact = co_await port::read_exactly(**connection, received.mutable_view());
        CHECK((exact && *exact));
        *equal += is_equal(sent.view(), received.view());
    }
}

port::Task<void> talk_on_many(port::Ports* ports, std::uint16_t port_number, int count,
                              int* equal) {
    port::Gate gate;
    for (int i = 0; i < count; ++i) {
        ports->spawn.spawn(
            talk(ports, port_number, static_cast<std::uint64_t>(i), equal, gate.enter()));
    }
    co_await drain(&gate);
}

// ---- single cases

port::Task<void> send_in_pieces(port::Ports* ports) {
    Pair pair = co_await connect_pair(ports);
    for (const std::size_t piece_max : {1, 4, 100, 5'000, 100'000}) {
        const std::size_t size = piece_max == 1 ? 20'000 : 3'000'000;
        const Buffer bytes = random_bytes(piece_max, size);
        std::vector<port::OutPart> parts;
        // More parts than one system call takes, some of them empty.
        for (std::size_t i = 0; i < 200; ++i) {
            parts.emplace_back(bytes.slice(size / 200 * i, size / 200));
            parts.emplace_back(Buffer());
        }
        const Buffer received = co_await transfer(ports, &pair, std::move(parts), size, piece_max);
        CHECK(is_equal(bytes.view(), received.view()));
    }
}

port::Task<void> send_file_parts(port::Ports* ports, std::string path, bool is_cold) {
    constexpr std::size_t kFileSize = 6'000'000;
    const Buffer contents = random_bytes(7, kFileSize);
    auto file = co_await ports->disk.open(path, port::OpenMode::kCreate);
    DLOG_ASSERT(file.has_value());
    CHECK((co_await ports->disk.write(*file, 0, {contents})).has_value());
    CHECK((co_await ports->disk.sync({*file}, {})).has_value());
    if (is_cold) {
        const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
        CHECK(::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0);
        ::close(fd);
    }
    Pair pair = co_await connect_pair(ports);
    const Buffer header = random_bytes(8, 100);
    std::vector<port::OutPart> parts;
    parts.emplace_back(header);
    parts.emplace_back(port::FileRange{*file, 12'345, 4'000'000});
    parts.emplace_back(header);
    parts.emplace_back(port::FileRange{*file, 0, 10});
    parts.emplace_back(port::FileRange{*file, 0, 0});
    parts.emplace_back(port::FileRange{*file, kFileSize - 1, 1});
    const Buffer received = co_await transfer(ports, &pair, std::move(parts), 4'000'211, 60'000);
    const ByteView view = received.view();
    CHECK(is_equal(view.subspan(0, 100), header.view()));
    CHECK(is_equal(view.subspan(100, 4'000'000), contents.view().subspan(12'345, 4'000'000)));
    CHECK(is_equal(view.subspan(4'000'100, 100), header.view()));
    CHECK(is_equal(view.subspan(4'000'200, 10), contents.view().subspan(0, 10)));
    CHECK(view.back() == contents.view().back());
}

port::Task<void> send_past_the_end(port::Ports* ports, std::string path) {
    auto file = co_await ports->disk.open(path, port::OpenMode::kCreate);
    DLOG_ASSERT(file.has_value());
    CHECK((co_await ports->disk.write(*file, 0, {random_bytes(1, 10'000)})).has_value());
    Pair pair = co_await connect_pair(ports);
    std::vector<port::OutPart> parts;
    parts.emplace_back(port::FileRange{*file, 5'000, 5'001});
    const auto written = co_await pair.server->write(std::move(parts));
    CHECK(!written);
    CHECK(written.error() == port::NetError::kFile);
}

port::Task<void> read_once(port::Connection* connection, port::NetResult<std::size_t>* result,
                           port::Gate::Hold) {
    std::uint8_t byte = 0;
    *result = co_await connection->read({&byte, 1});
}

port::Task<void> close_while_pending(port::Ports* ports) {
    Pair pair = co_await connect_pair(ports);
    port::Gate gate;
    port::NetResult<std::size_t> read;
    port::NetResult<void> written;
    std::vector<port::OutPart> parts;
    parts.emplace_back(Buffer::allocate(64 << 20));
    ports->spawn.spawn(read_once(pair.server.get(), &read, gate.enter()));
    ports->spawn.spawn(write_all(pair.server.get(), std::move(parts), &written, gate.enter()));
    CHECK(gate.held() == 2);
    pair.server->close();
    CHECK(gate.held() == 2);  // nobody is resumed inside close
    co_await drain(&gate);
    CHECK(read == port::NetResult<std::size_t>(std::unexpected(port::NetError::kClosed)));
    CHECK(written == port::NetResult<void>(std::unexpected(port::NetError::kClosed)));
    std::uint8_t byte = 0;
    const auto after = co_await pair.server->read({&byte, 1});
    CHECK(after == port::NetResult<std::size_t>(std::unexpected(port::NetError::kClosed)));
}

port::Task<void> finish_and_reset(port::Ports* ports) {
    Pair pair = co_await connect_pair(ports);
    CHECK(pair.server->peer().starts_with("127.0.0.1:"));
    std::vector<port::OutPart> parts;
    parts.emplace_back(Buffer::copy_of(as_bytes("last words")));
    CHECK((co_await pair.client->write(std::move(parts))).has_value());
    pair.client->close();
    Buffer words = Buffer::allocate(100);
    const auto count = co_await pair.server->read(words.mutable_view());
    CHECK((count && *count == 10));
    const auto end = co_await pair.server->read(words.mutable_view());
    CHECK((end && *end == 0));
    // Writing to a peer that is gone fails once its reset has come, at the latest when the socket's
    // buffer is full.
    port::NetResult<void> written;
    while (written) {
        std::vector<port::OutPart> more;
        more.emplace_back(Buffer::allocate(1 << 20));
        written = co_await pair.server->write(std::move(more));
    }
    CHECK(written.error() == port::NetError::kReset);
}

port::Task<void> connect_in_vain(port::Ports* ports) {
    std::uint16_t free_port = 0;
    {
        auto listener = co_await ports->net.listen({.host = "127.0.0.1", .port = 0});
        DLOG_ASSERT(listener.has_value());
        free_port = (*listener)->endpoint().port;
    }
    const auto refused = co_await ports->net.connect({.host = "127.0.0.1", .port = free_port});
    CHECK(!refused);
    CHECK(refused.error() == port::NetError::kRefused);
    const auto unknown = co_await ports->net.connect({.host = "not..a..name", .port = 1});
    CHECK(!unknown);
    CHECK(unknown.error() == port::NetError::kUnknownHost);
    auto listener = co_await ports->net.listen({.host = "localhost", .port = 0});
    CHECK(listener.has_value());
    auto twice =
        co_await ports->net.listen({.host = "localhost", .port = (*listener)->endpoint().port});
    CHECK(!twice);
    CHECK(twice.error() == port::NetError::kAddressInUse);
    CHECK((co_await ports->net.connect((*listener)->endpoint())).has_value());
    auto other = co_await ports->net.listen({.host = "localhost", .port = 0});
    CHECK(other.has_value());
    CHECK((*other)->endpoint().port != (*listener)->endpoint().port);
}

/// Runs a function at the first warning.
class WarningSink final : public LogSink {
  public:
    void write(LogLevel level, std::string_view, std::span<const LogField>) override {
        if (level != LogLevel::kWarn) return;
        if (warnings++ == 0) on_first();
    }
    [[nodiscard]] bool is_enabled(LogLevel) const override { return true; }
    std::move_only_function<void()> on_first;
    int warnings = 0;
};

int connect_raw(std::uint16_t port_number) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port_number);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int status = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
    DLOG_ASSERT(status == 0, errno);
    return fd;
}

port::Task<void> accept_without_descriptors(port::Ports* ports, WarningSink* sink) {
    auto listener = co_await ports->net.listen({.host = "127.0.0.1", .port = 0});
    DLOG_ASSERT(listener.has_value());
    const int client = connect_raw((*listener)->endpoint().port);
    // UBSan opens a pipe when it meets a class for the first time.
    ports->log.info("about to run out of descriptors");
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    sink->on_first = [limit] { ::setrlimit(RLIMIT_NOFILE, &limit); };
    const rlimit none{.rlim_cur = 3, .rlim_max = limit.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &none);
    const auto connection = co_await (*listener)->accept();
    CHECK(connection.has_value());
    CHECK(sink->warnings == 1);
    ::close(client);
}

// ---- fair shares

constexpr int kGreedy = 30;
constexpr std::size_t kMessages = 400;

/// Whose messages were answered, in order; once 1,000 are, the modest client sends its own.
struct Answered {
    int modest_fd = -1;
    std::vector<int> clients;
};

port::Task<void> answer_each_byte(port::Connection* connection, int client, Answered* answered,
                                  port::Gate::Hold) {
    std::uint8_t byte = 0;
    for (;;) {
        const auto count = co_await connection->read({&byte, 1});
        if (!count || *count == 0) co_return;
        std::vector<port::OutPart> parts;
        parts.emplace_back(Buffer::copy_of(ByteView(&byte, 1)));
        if (!co_await connection->write(std::move(parts))) co_return;
        answered->clients.push_back(client);
        if (answered->clients.size() == 1000)
            DLOG_ASSERT(::send(answered->modest_fd, "m", 1, 0) == 1);
    }
}

port::Task<void> serve_greedy_and_modest(port::Ports* ports, Answered* answered) {
    auto listener = co_await ports->net.listen({.host = "127.0.0.1", .port = 0});
    DLOG_ASSERT(listener.has_value());
    const std::string messages(kMessages, 'g');
    std::vector<int> clients;
    std::vector<port::ConnectionPtr> servers;
    port::Gate gate;
    for (int i = 0; i <= kGreedy; ++i) {
        clients.push_back(connect_raw((*listener)->endpoint().port));
        auto server = co_await (*listener)->accept();
        DLOG_ASSERT(server.has_value());
        servers.push_back(*std::move(server));
    }
    answered->modest_fd = clients[0];
    for (int i = 1; i <= kGreedy; ++i) {
        const ssize_t sent =
            ::send(clients[static_cast<std::size_t>(i)], messages.data(), messages.size(), 0);
        DLOG_ASSERT(sent == static_cast<ssize_t>(messages.size()));
    }
    for (int i = 0; i <= kGreedy; ++i) {
        ports->spawn.spawn(answer_each_byte(servers[static_cast<std::size_t>(i)].get(), i, answered,
                                            gate.enter()));
    }
    while (answered->clients.size() < kGreedy * kMessages + 1) {
        co_await port::yield(ports->spawn);
    }
    for (const int fd : clients) ::close(fd);
    co_await drain(&gate);
}

}  // namespace

TEST_CASE("a connection that asks little is answered before those that ask all the time") {
    Answered answered;
    Reactor reactor({.core_count = 1});
    reactor.run_and_wait(
        CoreId(0), [&](port::Ports& ports) { return serve_greedy_and_modest(&ports, &answered); });
    const auto modest = std::find(answered.clients.begin(), answered.clients.end(), 0);
    REQUIRE(modest != answered.clients.end());
    // The rest of one turn; all the others' turns would be hundreds of messages.
    CHECK(modest - answered.clients.begin() < 1000 + 2 * kGreedy);
    // And those share evenly: when half of all is answered, half of each is.
    std::vector<int> count(kGreedy + 1);
    for (std::size_t i = 0; i < kGreedy * kMessages / 2; ++i) {
        ++count[static_cast<std::size_t>(answered.clients[i])];
    }
    for (int i = 1; i <= kGreedy; ++i) {
        CAPTURE(i);
        CHECK(count[static_cast<std::size_t>(i)] >= static_cast<int>(kMessages / 2) - 50);
        CHECK(count[static_cast<std::size_t>(i)] <= static_cast<int>(kMessages / 2) + 50);
    }
}

TEST_CASE("two cores share an endpoint, take turns and echo many connections") {
    const std::size_t descriptors_before = open_descriptor_count();
    {
        Reactor reactor({.core_count = 2});
        std::atomic<int> port_number = 0;
        std::atomic<int> listening = 0;
        int accepted[2] = {0, 0};
        for (const std::uint32_t core : {0U, 1U}) {
            reactor.run(CoreId(core), [&, core](port::Ports& ports) {
                return serve_echo(&ports, &port_number, &accepted[core], &listening);
            });
        }
        while (listening < 2) listening.wait(listening.load());
        int equal = 0;
        reactor.run_and_wait(CoreId(0), [&](port::Ports& ports) {
            return talk_on_many(&ports, static_cast<std::uint16_t>(port_number.load()), 100,
                                &equal);
        });
        reactor.stop();
        CHECK(equal == 100 * 20);
        CHECK(accepted[0] + accepted[1] == 100);
        CHECK(accepted[0] > 10);
        CHECK(accepted[1] > 10);
    }
    CHECK(open_descriptor_count() == descriptors_before);
}

TEST_CASE("bytes arrive whole and in order, whatever the sizes of the writes and the reads") {
    Reactor reactor({.core_count = 1});
    reactor.run_and_wait(CoreId(0), [](port::Ports& ports) { return send_in_pieces(&ports); });
}

TEST_CASE("file ranges are sent between buffers, from memory and from the device") {
    const TempFolder folder;
    Reactor reactor({.core_count = 1});
    for (const bool is_cold : {false, true}) {
        reactor.run_and_wait(CoreId(0), [&](port::Ports& ports) {
            return send_file_parts(&ports, folder.file("ranges"), is_cold);
        });
    }
}

TEST_CASE("a file range that reaches past the file's end fails the write") {
    const TempFolder folder;
    Reactor reactor({.core_count = 1});
    reactor.run_and_wait(CoreId(0), [&](port::Ports& ports) {
        return send_past_the_end(&ports, folder.file("short"));
    });
}

TEST_CASE("closing a connection ends its pending read and write in a later turn") {
    Reactor reactor({.core_count = 1});
    reactor.run_and_wait(CoreId(0), [](port::Ports& ports) { return close_while_pending(&ports); });
}

TEST_CASE("a peer that finishes is read to its end, and one that is gone resets a write") {
    Reactor reactor({.core_count = 1});
    reactor.run_and_wait(CoreId(0), [](port::Ports& ports) { return finish_and_reset(&ports); });
}

TEST_CASE("connecting and listening fail with the reason") {
    Reactor reactor({.core_count = 1});
    reactor.run_and_wait(CoreId(0), [](port::Ports& ports) { return connect_in_vain(&ports); });
}

TEST_CASE("accept waits, warns once and goes on when descriptors are free again") {
    WarningSink sink;
    Reactor reactor({.core_count = 1, .log = &sink});
    reactor.run_and_wait(
        CoreId(0), [&](port::Ports& ports) { return accept_without_descriptors(&ports, &sink); });
}
