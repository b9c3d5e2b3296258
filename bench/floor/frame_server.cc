#include "floor/frame_server.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "load/wire.h"

namespace dlog::floor {

void die(const char* what) {
    ::perror(what);
    ::exit(1);
}

Client::~Client() {
    ::close(fd);
}

void Client::answer(std::string bytes) {
    const std::size_t size = bytes.size();
    out_.push_back({.bytes = std::move(bytes), .size = size});
}

void Client::answer_file(int file, std::uint64_t position, std::size_t size) {
    out_.push_back({.file = file, .position = position, .size = size});
}

/// False when the client has gone. What the socket does not take waits for the next event.
bool Client::flush() {
    while (!out_.empty()) {
        const Piece& piece = out_.front();
        ssize_t count = 0;
        if (piece.file >= 0) {
            off_t position = static_cast<off_t>(piece.position + sent_);
            count = ::sendfile(fd, piece.file, &position, piece.size - sent_);
        } else {
            const int more = out_.size() > 1 ? MSG_MORE : 0;
            count = ::send(fd, piece.bytes.data() + sent_, piece.size - sent_, MSG_NOSIGNAL | more);
        }
        if (count < 0) return errno == EAGAIN;
        sent_ += static_cast<std::size_t>(count);
        if (sent_ == piece.size) {
            out_.pop_front();
            sent_ = 0;
        }
    }
    return true;
}

bool Server::receive(Client& client) {
    for (;;) {
        const std::size_t room = client.in.size() - client.end_;
        const ssize_t count = ::recv(client.fd, client.in.data() + client.end_, room, 0);
        if (count < 0) return errno == EAGAIN;
        if (count == 0) return false;
        client.end_ += static_cast<std::size_t>(count);
        std::size_t wanted = 4;
        while (client.end_ - client.begin_ >= 4) {
            const auto length = static_cast<std::size_t>(
                load::load_big<std::uint32_t>(client.in.data() + client.begin_));
            wanted = length + 4;
            if (client.end_ - client.begin_ < wanted) break;
            on_frame(client, std::string_view(client.in).substr(client.begin_ + 4, length));
            client.begin_ += wanted;
        }
        ::memmove(client.in.data(), client.in.data() + client.begin_, client.end_ - client.begin_);
        client.end_ -= client.begin_;
        client.begin_ = 0;
        if (wanted > client.in.size()) client.in.resize(wanted);
        if (static_cast<std::size_t>(count) < room) return true;
    }
}

void Server::serve(std::uint16_t port) {
    const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    const int one = 1;
    ::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::bind(listener, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0 ||
        ::listen(listener, 128) != 0) {
        die("listen");
    }
    const int epoll_fd = ::epoll_create1(0);
    epoll_event event{.events = EPOLLIN, .data = {.ptr = nullptr}};
    ::epoll_ctl(epoll_fd, EPOLL_CTL_ADD, listener, &event);
    ::printf("listening on 127.0.0.1:%u\n", unsigned{port});
    ::fflush(stdout);
    std::vector<std::unique_ptr<Client>> clients;
    std::array<epoll_event, 64> events;
    for (;;) {
        const int count = ::epoll_wait(epoll_fd, events.data(), 64, -1);
        std::vector<Client*> gone;
        for (int i = 0; i < count; ++i) {
            const epoll_event& ready = events[static_cast<std::size_t>(i)];
            auto* const client = static_cast<Client*>(ready.data.ptr);
            if (client == nullptr) {
                const int fd = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK);
                if (fd < 0) continue;
                ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
                clients.push_back(std::make_unique<Client>(fd));
                epoll_event wanted{.events = EPOLLIN | EPOLLOUT | EPOLLET,
                                   .data = {.ptr = clients.back().get()}};
                ::epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &wanted);
            } else if ((ready.events & EPOLLIN) != 0 && !receive(*client)) {
                gone.push_back(client);
            }
        }
        end_round();
        for (int i = 0; i < count; ++i) {
            auto* const client = static_cast<Client*>(events[static_cast<std::size_t>(i)].data.ptr);
            if (client != nullptr && !client->flush()) gone.push_back(client);
        }
        std::erase_if(clients, [&](const std::unique_ptr<Client>& client) {
            return std::find(gone.begin(), gone.end(), client.get()) != gone.end();
        });
    }
}

}  // namespace dlog::floor
