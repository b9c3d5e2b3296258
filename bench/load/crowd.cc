#include "load/crowd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <utility>

#include "load/options.h"
#include "load/usage.h"
#include "load/wire.h"

namespace dlog::load {

namespace {

/// Half of the backlog that brokers listen with.
constexpr int kConnectingMax = 500;
constexpr std::uint64_t kInput = ~std::uint64_t{0};

}  // namespace

Crowd::Crowd(const CrowdOptions& options, OnFrame on_frame)
    : options_(options),
      on_frame_(std::move(on_frame)),
      epoll_fd_(::epoll_create1(EPOLL_CLOEXEC)),
      block_(std::size_t{256} << 10, '\0') {
    broker_.sin_family = AF_INET;
    broker_.sin_port = htons(static_cast<std::uint16_t>(::atoi(options.port.c_str())));
    if (::inet_pton(AF_INET, options.host.c_str(), &broker_.sin_addr) != 1) {
        die("expected an IPv4 address, got " + options.host);
    }
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < static_cast<rlim_t>(options.connections) + 16) {
        die(std::to_string(options.connections) + " connections need more descriptors than " +
            std::to_string(limit.rlim_cur) + " (ulimit -Hn)");
    }
}

Crowd::~Crowd() {
    for (const Client& client : clients_) {
        if (client.fd >= 0) ::close(client.fd);
    }
    ::close(epoll_fd_);
}

void Crowd::open() {
    clients_.resize(static_cast<std::size_t>(options_.connections));
    for (int number = 0; number < options_.connections; ++number) {
        while (connecting_ >= kConnectingMax) wait(now_ns() + 1'000'000'000);
        connect_one(number);
    }
    while (connecting_ > 0) wait(now_ns() + 1'000'000'000);
}

void Crowd::connect_one(int number) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) die(std::string("no socket: ") + ::strerror(errno));
    const int one = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
    if (options_.sources > 1) {
        // The port is chosen at connect, so that each source has all of them.
        ::setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one));
        sockaddr_in source{};
        source.sin_family = AF_INET;
        source.sin_addr.s_addr =
            htonl(INADDR_LOOPBACK + static_cast<std::uint32_t>(number % options_.sources));
        if (::bind(fd, reinterpret_cast<const sockaddr*>(&source), sizeof(source)) != 0) {
            die(std::string("no source address: ") + ::strerror(errno));
        }
    }
    clients_[static_cast<std::size_t>(number)].fd = fd;
    if (::connect(fd, reinterpret_cast<const sockaddr*>(&broker_), sizeof(broker_)) != 0 &&
        errno != EINPROGRESS) {
        die(std::string("cannot connect: ") + ::strerror(errno));
    }
    ++connecting_;
    watch(number, EPOLLOUT, true);
}

void Crowd::watch(int number, std::uint32_t events, bool is_new) {
    epoll_event event{.events = events, .data = {.u64 = static_cast<std::uint64_t>(number)}};
    ::epoll_ctl(epoll_fd_, is_new ? EPOLL_CTL_ADD : EPOLL_CTL_MOD,
                clients_[static_cast<std::size_t>(number)].fd, &event);
}

void Crowd::send(int client, std::string_view frames) {
    Client& one = clients_[static_cast<std::size_t>(client)];
    if (one.fd < 0) return;
    const bool was_empty = one.unsent.empty();
    one.unsent.append(frames);
    // What answers the frames of one read leaves together.
    if (!was_empty || client == receiving_) return;
    flush(one);
    if (!one.unsent.empty()) watch(client, EPOLLIN | EPOLLOUT, false);
}

void Crowd::flush(Client& client) {
    const ssize_t count =
        ::send(client.fd, client.unsent.data(), client.unsent.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (count > 0) {
        client.unsent.erase(0, static_cast<std::size_t>(count));
        if (client.unsent.empty()) client.unsent = {};  // Memory for thousands.
    } else if (errno != EAGAIN) {
        lose(client);
    }
}

void Crowd::lose(Client& client) {
    ::close(std::exchange(client.fd, -1));
    client = {};
    ++closed_;
}

bool Crowd::wait(std::int64_t deadline_ns, bool with_input) {
    if (with_input != is_watching_input_) {
        epoll_event event{.events = EPOLLIN, .data = {.u64 = kInput}};
        ::epoll_ctl(epoll_fd_, with_input ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, STDIN_FILENO, &event);
        is_watching_input_ = with_input;
    }
    std::array<epoll_event, 512> events;
    const std::int64_t left = std::max<std::int64_t>(deadline_ns - now_ns(), 0);
    const timespec timeout{.tv_sec = left / 1'000'000'000, .tv_nsec = left % 1'000'000'000};
    const int count = ::epoll_pwait2(epoll_fd_, events.data(), events.size(), &timeout, nullptr);
    bool has_input = false;
    for (int i = 0; i < count; ++i) {
        const epoll_event& event = events[static_cast<std::size_t>(i)];
        if (event.data.u64 == kInput) {
            has_input = true;
            continue;
        }
        const int number = static_cast<int>(event.data.u64);
        Client& client = clients_[static_cast<std::size_t>(number)];
        if (client.fd < 0) continue;
        if ((event.events & EPOLLOUT) != 0) {
            if (client.unsent.empty()) {
                --connecting_;
            } else {
                flush(client);
            }
            if (client.fd >= 0 && client.unsent.empty()) watch(number, EPOLLIN, false);
        }
        if ((event.events & ~static_cast<std::uint32_t>(EPOLLOUT)) != 0) receive(number);
    }
    return has_input;
}

void Crowd::receive(int number) {
    Client& client = clients_[static_cast<std::size_t>(number)];
    if (client.fd < 0) return;
    const std::size_t before = client.partial.size();
    std::copy(client.partial.begin(), client.partial.end(), block_.begin());
    const ssize_t count =
        ::recv(client.fd, block_.data() + before, block_.size() - before, MSG_DONTWAIT);
    if (count < 0 && errno == EAGAIN) return;
    if (count <= 0) return lose(client);
    client.partial = {};
    const bool was_empty = client.unsent.empty();
    receiving_ = number;
    take_frames(number,
                std::string_view(block_).substr(0, before + static_cast<std::size_t>(count)));
    receiving_ = -1;
    if (!was_empty || client.unsent.empty()) return;
    flush(client);
    if (!client.unsent.empty()) watch(number, EPOLLIN | EPOLLOUT, false);
}

void Crowd::take_frames(int number, std::string_view bytes) {
    while (bytes.size() >= 4) {
        const auto length = static_cast<std::size_t>(load_big<std::uint32_t>(bytes.data()));
        if (length + 4 > block_.size()) die("a response is too large");
        if (bytes.size() < length + 4) break;
        on_frame_(number, bytes.substr(4, length));
        bytes.remove_prefix(length + 4);
    }
    clients_[static_cast<std::size_t>(number)].partial = bytes;
}

}  // namespace dlog::load
