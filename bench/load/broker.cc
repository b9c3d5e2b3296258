#include "load/broker.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <string_view>

namespace dlog::load {

int connect_to(const Options& o) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (::getaddrinfo(o.host.c_str(), o.port.c_str(), &hints, &found) != 0) die("unknown host");
    const int fd = ::socket(found->ai_family, SOCK_STREAM, 0);
    if (fd < 0 || ::connect(fd, found->ai_addr, found->ai_addrlen) != 0) {
        die("cannot connect to " + o.host + ":" + o.port + ": " + ::strerror(errno));
    }
    ::freeaddrinfo(found);
    const int one = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    return fd;
}

Writer request(Api api, std::int16_t version, std::int32_t correlation) {
    Writer w;
    w.i32(0).i16(api).i16(version).i32(correlation).string("kload");
    return w;
}

void set_length(std::string& frame, std::size_t more) {
    store_big(frame.data(), static_cast<std::int32_t>(frame.size() - 4 + more));
}

namespace {

void send_whole(int fd, const char* bytes, std::size_t size) {
    while (size > 0) {
        const ssize_t count = ::send(fd, bytes, size, MSG_NOSIGNAL);
        if (count <= 0) die("the broker closed the connection");
        bytes += count;
        size -= static_cast<std::size_t>(count);
    }
}

void receive_whole(int fd, char* bytes, std::size_t size) {
    while (size > 0) {
        const ssize_t count = ::recv(fd, bytes, size, 0);
        if (count <= 0) die("the broker closed the connection");
        bytes += count;
        size -= static_cast<std::size_t>(count);
    }
}

/// One request and its response, waiting for it. The response begins after the correlation id.
std::string call(int fd, Writer w) {
    set_length(w.out);
    send_whole(fd, w.out.data(), w.out.size());
    std::array<char, 4> length{};
    receive_whole(fd, length.data(), length.size());
    std::string response(static_cast<std::size_t>(load_big<std::int32_t>(length.data())), '\0');
    receive_whole(fd, response.data(), response.size());
    return response.substr(4);
}

/// How many partitions of the topic have a leader.
std::int32_t count_leaders(int fd, const Options& o) {
    Writer w = request(kMetadata, 4, 1);
    w.i32(1).string(o.topic).i8(0);
    const std::string response = call(fd, std::move(w));
    Reader r(response);
    r.i32();
    for (std::int32_t left = r.i32(); left > 0 && r.ok; --left) {
        r.i32();
        r.string();
        r.i32();
        r.string();
    }
    r.string();
    r.i32();
    if (r.i32() != 1 || r.i16() != 0) return 0;
    r.string();
    r.i8();
    std::int32_t led = 0;
    for (std::int32_t left = r.i32(); left > 0 && r.ok; --left) {
        const bool is_well = r.i16() == 0;
        r.i32();
        led += is_well && r.i32() >= 0;
        for (int list = 0; list < 2; ++list) r.bytes(std::int64_t{r.i32()} * 4);
    }
    return led;
}

}  // namespace

void create_topic(int fd, const Options& o) {
    Writer w = request(kCreateTopics, 4, 1);
    w.i32(1).string(o.topic).i32(o.partitions).i16(1).i32(0);
    w.i32(static_cast<std::int32_t>(o.configs.size()));
    for (const std::string& config : o.configs) {
        const std::size_t equals = config.find('=');
        if (equals == std::string::npos) die("expected KEY=VALUE, got " + config);
        w.string(config.substr(0, equals)).string(config.substr(equals + 1));
    }
    w.i32(30'000).i8(0);
    const std::string response = call(fd, std::move(w));
    Reader r(response);
    r.i32();
    r.i32();
    r.string();
    const std::int16_t error = r.i16();
    constexpr std::int16_t kAlreadyExists = 36;
    if (!r.ok || (error != 0 && error != kAlreadyExists)) {
        die("cannot create " + o.topic + ": error " + std::to_string(error));
    }
}

void delete_topic(int fd, const Options& o) {
    Writer w = request(kDeleteTopics, 1, 1);
    w.i32(1).string(o.topic).i32(30'000);
    const std::string response = call(fd, std::move(w));
    Reader r(response);
    r.i32();
    r.i32();
    r.string();
    const std::int16_t error = r.i16();
    if (!r.ok || error != 0) die("cannot delete " + o.topic + ": error " + std::to_string(error));
}

void wait_for_leaders(int fd, const Options& o) {
    for (int attempt = 0; attempt < 1'500; ++attempt) {
        if (count_leaders(fd, o) >= o.partitions) return;
        ::usleep(20'000);
    }
    die("the topic " + o.topic + " has not got " + std::to_string(o.partitions) + " partitions");
}

std::pair<std::int64_t, std::int16_t> init_producer(int fd) {
    std::int16_t error = 0;
    for (int attempt = 0; attempt < 100; ++attempt) {
        Writer w = request(kInitProducerId, 1, 1);
        w.i16(-1).i32(60'000);
        const std::string response = call(fd, std::move(w));
        Reader r(response);
        r.i32();
        error = r.i16();
        const std::int64_t id = r.i64();
        if (error == 0 && r.ok) return {id, r.i16()};
        constexpr std::int16_t kCoordinatorLoading = 14;  // a broker that has just started
        if (error != kCoordinatorLoading) break;
        ::usleep(50'000);
    }
    die("InitProducerId: error " + std::to_string(error));
}

std::vector<std::int64_t> list_end_offsets(int fd, const Options& o) {
    Writer w = request(kListOffsets, 1, 1);
    w.i32(-1).i32(1).string(o.topic).i32(o.partitions);
    for (std::int32_t p = 0; p < o.partitions; ++p) w.i32(p).i64(-1);
    const std::string response = call(fd, std::move(w));
    Reader r(response);
    r.i32();
    r.string();
    std::vector<std::int64_t> offsets(static_cast<std::size_t>(o.partitions));
    for (std::int32_t left = r.i32(); left > 0 && r.ok; --left) {
        const auto partition = static_cast<std::size_t>(r.i32());
        r.i16();
        r.i64();
        const std::int64_t offset = r.i64();
        if (partition < offsets.size()) offsets[partition] = offset;
    }
    return offsets;
}

}  // namespace dlog::load
