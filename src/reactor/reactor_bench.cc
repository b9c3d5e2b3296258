/// What the reactor costs: an echo, a stream, a hop, a write with its sync beside the bare system
/// calls. Prints one line for each; CPU is that of the loop's thread.
#include "reactor/reactor.h"

#include <fcntl.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <string>
#include <vector>

#include "base/assert.h"
#include "port/disk.h"
#include "port/net.h"
#include "port/spawn.h"

using namespace dlog;

namespace {

std::int64_t read_ns(clockid_t clock) {
    timespec time{};
    ::clock_gettime(clock, &time);
    return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

std::int64_t median(std::vector<std::int64_t> values) {
    const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
    std::nth_element(values.begin(), middle, values.end());
    return *middle;
}

port::Task<void> echo_one(port::ConnectionPtr connection) {
    Buffer block = Buffer::allocate(64 * 1024);
    for (;;) {
        const auto count = co_await connection->read(block.mutable_view());
        if (!count || *count == 0) co_return;
        std::vector<port::OutPart> parts;
        parts.emplace_back(block.slice(0, *count));
        if (!co_await connection->write(std::move(parts))) co_return;
    }
}

/// Sends 1 MiB for each byte that it gets.
port::Task<void> stream_one(port::ConnectionPtr connection) {
    const Buffer block = Buffer::allocate(1 << 20);
    for (;;) {
        std::uint8_t byte = 0;
        const auto count = co_await connection->read({&byte, 1});
        if (!count || *count == 0) co_return;
        std::vector<port::OutPart> parts;
        parts.emplace_back(block);
        if (!co_await connection->write(std::move(parts))) co_return;
    }
}

port::Task<void> accept_one(port::ListenerPtr listener, bool is_stream) {
    auto connection = co_await listener->accept();
    DLOG_ASSERT(connection.has_value());
    co_await (is_stream ? stream_one(*std::move(connection)) : echo_one(*std::move(connection)));
}

port::Task<void> serve(port::Ports* ports, std::uint16_t* port_number, bool is_stream) {
    auto listener = co_await ports->net.listen({.host = "127.0.0.1", .port = 0});
    DLOG_ASSERT(listener.has_value());
    *port_number = (*listener)->endpoint().port;
    ports->spawn.spawn(accept_one(*std::move(listener), is_stream));
}

port::Task<void> read_cpu(std::int64_t* cpu_ns) {
    *cpu_ns = read_ns(CLOCK_THREAD_CPUTIME_ID);
    co_return;
}

int connect_to(std::uint16_t port_number) {
    const int fd = ::socket(AF_INET, SOCK_STREAM, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port_number);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int status = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address));
    DLOG_ASSERT(status == 0);
    const int one = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return fd;
}

void measure_net(const char* name, bool is_stream, std::size_t rounds) {
    reactor::Reactor reactor({.core_count = 1});
    std::uint16_t port_number = 0;
    reactor.run_and_wait(
        CoreId(0), [&](port::Ports& ports) { return serve(&ports, &port_number, is_stream); });
    const int fd = connect_to(port_number);
    std::vector<std::uint8_t> bytes(1 << 20);
    const std::size_t sent = is_stream ? 1 : 100;
    const std::size_t wanted = is_stream ? bytes.size() : 100;
    std::vector<std::int64_t> trips;
    std::int64_t cpu_begin = 0;
    std::int64_t cpu_end = 0;
    reactor.run_and_wait(CoreId(0), [&](port::Ports&) { return read_cpu(&cpu_begin); });
    for (std::size_t i = 0; i < rounds; ++i) {
        const std::int64_t begin = read_ns(CLOCK_MONOTONIC);
        DLOG_ASSERT(::send(fd, bytes.data(), sent, 0) == static_cast<ssize_t>(sent));
        for (std::size_t got = 0; got < wanted;) {
            const ssize_t count = ::recv(fd, bytes.data(), wanted - got, 0);
            DLOG_ASSERT(count > 0);
            got += static_cast<std::size_t>(count);
        }
        trips.push_back(read_ns(CLOCK_MONOTONIC) - begin);
    }
    reactor.run_and_wait(CoreId(0), [&](port::Ports&) { return read_cpu(&cpu_end); });
    ::close(fd);
    printf("%-28s median %9.1f us   loop CPU %8.2f us each\n", name,
           static_cast<double>(median(trips)) * 1e-3,
           static_cast<double>(cpu_end - cpu_begin) * 1e-3 / static_cast<double>(rounds));
}

port::Task<void> hop_about(reactor::Reactor* reactor, std::size_t rounds) {
    for (std::size_t i = 0; i < rounds; ++i) {
        co_await port::hop(reactor->ports(CoreId(0)).spawn, CoreId(1));
        co_await port::hop(reactor->ports(CoreId(1)).spawn, CoreId(0));
    }
}

void measure_hops(std::size_t rounds) {
    reactor::Reactor reactor({.core_count = 2});
    const std::int64_t begin = read_ns(CLOCK_MONOTONIC);
    reactor.run_and_wait(CoreId(0), [&](port::Ports&) { return hop_about(&reactor, rounds); });
    const std::int64_t end = read_ns(CLOCK_MONOTONIC);
    printf("%-28s mean   %9.1f us\n", "hop there and back",
           static_cast<double>(end - begin) * 1e-3 / static_cast<double>(rounds));
}

port::Task<void> write_often(port::Ports* ports, std::string path, std::size_t rounds,
                             bool is_synced, std::vector<std::int64_t>* trips) {
    const auto file = co_await ports->disk.open(path, port::OpenMode::kCreate);
    DLOG_ASSERT(file.has_value());
    const Buffer bytes = Buffer::allocate(1000);
    for (std::size_t i = 0; i < rounds; ++i) {
        const std::int64_t begin = read_ns(CLOCK_MONOTONIC);
        std::vector<Buffer> parts;
        parts.push_back(bytes);
        (void)co_await ports->disk.write(*file, i * 1000, std::move(parts));
        if (is_synced) {
            std::vector<port::FilePtr> files;
            files.push_back(*file);
            (void)co_await ports->disk.sync(std::move(files), {});
        }
        trips->push_back(read_ns(CLOCK_MONOTONIC) - begin);
    }
}

void write_bare(const std::string& path, std::size_t rounds, bool is_synced,
                std::vector<std::int64_t>* trips) {
    const int fd = ::open(path.c_str(), O_RDWR | O_CREAT, 0644);
    const std::vector<char> bytes(1000, 'x');
    for (std::size_t i = 0; i < rounds; ++i) {
        const std::int64_t begin = read_ns(CLOCK_MONOTONIC);
        DLOG_ASSERT(::pwrite(fd, bytes.data(), 1000, static_cast<off_t>(i * 1000)) == 1000);
        if (is_synced) ::fdatasync(fd);
        trips->push_back(read_ns(CLOCK_MONOTONIC) - begin);
    }
    ::close(fd);
}

void measure_disk(bool is_synced, std::size_t rounds) {
    std::string folder = std::filesystem::temp_directory_path() / "dlog-bench-XXXXXX";
    DLOG_ASSERT(::mkdtemp(folder.data()) != nullptr);
    std::vector<std::int64_t> bare;
    std::vector<std::int64_t> ours;
    {
        reactor::Reactor reactor({.core_count = 1});
        for (int pass = 0; pass < 5; ++pass) {  // alternately, so that both see the same disk
            write_bare(folder + "/bare" + std::to_string(pass), rounds / 5, is_synced, &bare);
            reactor.run_and_wait(CoreId(0), [&](port::Ports& ports) {
                return write_often(&ports, folder + "/ours" + std::to_string(pass), rounds / 5,
                                   is_synced, &ours);
            });
        }
    }
    std::filesystem::remove_all(folder);
    printf("%-28s median %9.1f us   bare system calls %9.1f us\n",
           is_synced ? "write 1 kB and sync" : "write 1 kB",
           static_cast<double>(median(ours)) * 1e-3, static_cast<double>(median(bare)) * 1e-3);
}

port::Task<void> accept_idle(port::Ports* ports, std::uint16_t* port_number,
                             std::vector<port::ConnectionPtr>* idle, std::size_t count) {
    auto listener = co_await ports->net.listen({.host = "127.0.0.1", .port = 0});
    DLOG_ASSERT(listener.has_value());
    *port_number = (*listener)->endpoint().port;
    idle->reserve(count);
    for (std::size_t i = 0; i < count; ++i) {
        auto client = co_await ports->net.connect((*listener)->endpoint());
        auto server = co_await (*listener)->accept();
        DLOG_ASSERT(client && server);
        ports->spawn.spawn(echo_one(*std::move(server)));
        idle->push_back(*std::move(client));
    }
}

/// The heap that a pair of connections takes, one of them waiting in a read with a block of its
/// own.
void measure_idle(std::size_t count) {
    reactor::Reactor reactor({.core_count = 1});
    std::vector<port::ConnectionPtr> idle;
    std::uint16_t port_number = 0;
    const std::size_t before = ::mallinfo2().uordblks;
    reactor.run_and_wait(CoreId(0), [&](port::Ports& ports) {
        return accept_idle(&ports, &port_number, &idle, count);
    });
    const std::size_t after = ::mallinfo2().uordblks;
    printf("%-28s heap   %9.0f bytes, without the reader's 64 KiB\n", "two ends of a connection",
           static_cast<double>(after - before) / static_cast<double>(count) - 65'536);
    reactor.stop();
    idle.clear();
}

}  // namespace

int main() {
    measure_idle(300);
    for (int pass = 0; pass < 3; ++pass) {
        measure_net("echo of 100 bytes", false, 20'000);
        measure_net("stream of 1 MiB", true, 1'000);
        measure_hops(20'000);
        measure_disk(false, 5'000);
        measure_disk(true, 1'000);
    }
}
