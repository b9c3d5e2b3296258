#include "reactor/listener.h"

#include <errno.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "base/log.h"
#include "reactor/connection.h"

namespace dlog::reactor {

using port::Endpoint;
using port::NetError;
using port::NetResult;

namespace {

/// How long a core waits after accept failed for want of descriptors or memory.
constexpr Duration kAcceptPause = milliseconds(100);

struct AcceptWait {
    ListenGroup& group;
    ListenGroup::Waiter& waiter;
    [[nodiscard]] bool await_ready() const { return false; }
    bool await_suspend(std::coroutine_handle<> self) const {
        waiter.handle = self;
        const int error = group.accept(waiter);
        if (error != 0 && error != EAGAIN) waiter.listener->pause(error);
        return error != 0;
    }
    void await_resume() const {}
};

}  // namespace

ListenGroup::Waiter::~Waiter() {
    if (fd >= 0) ::close(fd);
}

ListenGroup::~ListenGroup() {
    DLOG_ASSERT(waiting_.empty() && members_.empty(), waiting_.size(), members_.size());
    ::close(fd_);
}

bool ListenGroup::serves(const Endpoint& endpoint) const {
    return endpoint.host == asked_.host &&
           (endpoint.port == asked_.port || endpoint.port == bound_.port);
}

bool ListenGroup::join(CoreId core) {
    const std::lock_guard lock(mutex_);
    if (std::find(members_.begin(), members_.end(), core) != members_.end()) return false;
    members_.push_back(core);
    return true;
}

void ListenGroup::leave(CoreId core, CoreListener& listener) {
    const std::lock_guard lock(mutex_);
    std::erase(members_, core);
    std::erase_if(waiting_, [&](Waiter* waiter) {
        if (waiter->listener != &listener) return false;
        listener.loop().make_ready(waiter->handle);
        return true;
    });
}

int ListenGroup::accept(Waiter& waiter) {
    const std::lock_guard lock(mutex_);
    // Connections may have come while nobody waited, when their event found nobody to give them to.
    const int error = waiting_.empty() ? take(waiter) : EAGAIN;
    if (error != 0) waiting_.push_back(&waiter);
    return error;
}

int ListenGroup::pump() {
    const std::lock_guard lock(mutex_);
    while (!waiting_.empty()) {
        Waiter& waiter = *waiting_.front();
        const int error = take(waiter);
        if (error != 0) return error;
        waiting_.pop_front();
        // From the post on, the waiter belongs to its core.
        waiter.listener->loop().post(waiter.handle);
    }
    return EAGAIN;
}

int ListenGroup::take(Waiter& waiter) {
    for (;;) {
        waiter.peer.length = sizeof(waiter.peer.storage);
        waiter.fd =
            ::accept4(fd_, waiter.peer.get(), &waiter.peer.length, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (waiter.fd >= 0) return 0;
        // Errors of the one connection that was next are not the listener's (accept(2)).
        const bool is_its_own = errno == ECONNABORTED || errno == EINTR || errno == EPROTO ||
                                errno == ENOPROTOOPT || errno == EHOSTDOWN || errno == ENONET ||
                                errno == EHOSTUNREACH || errno == ENETUNREACH || errno == ENETDOWN;
        if (!is_its_own) return errno;
    }
}

NetResult<std::shared_ptr<ListenGroup>> ListenRegistry::join(CoreId core, const Endpoint& endpoint,
                                                             const SocketAddress& address) {
    const std::lock_guard lock(mutex_);
    std::erase_if(groups_, [](const auto& group) { return group.expired(); });
    for (const auto& weak : groups_) {
        std::shared_ptr<ListenGroup> group = weak.lock();
        if (group != nullptr && group->serves(endpoint) && group->join(core)) return group;
    }
    const int fd = open_listening_socket(address);
    if (fd < 0) return std::unexpected(net_error_of(errno));
    Endpoint bound = endpoint;
    if (bound.port == 0) bound.port = local_port(fd);
    auto group = std::make_shared<ListenGroup>(endpoint, bound, fd);
    const bool is_first = group->join(core);
    DLOG_ASSERT(is_first);
    groups_.push_back(group);
    return group;
}

CoreListener::CoreListener(Loop& loop, std::shared_ptr<ListenGroup> group)
    : loop_(loop), group_(std::move(group)), retry_(*this) {}

CoreListener::~CoreListener() {
    close();
}

bool CoreListener::start() {
    // One core at a time is woken for a connection.
    return loop_.watch(*this, group_->fd(), EPOLLIN | EPOLLEXCLUSIVE);
}

void CoreListener::close() {
    if (std::exchange(is_closed_, true)) return;
    loop_.clock().disarm(retry_);
    loop_.unwatch(*this, group_->fd());
    group_->leave(loop_.core(), *this);
    // An event for this core may have been a connection for another.
    (void)group_->pump();
}

port::Task<NetResult<port::ConnectionPtr>> CoreListener::accept() {
    for (;;) {
        if (is_closed_) co_return std::unexpected(NetError::kClosed);
        ListenGroup::Waiter waiter{.listener = this};
        co_await AcceptWait(*group_, waiter);
        if (waiter.fd < 0) continue;
        if (is_closed_) continue;
        has_complained_ = false;
        port::ConnectionPtr connection = TcpConnection::adopt(loop_, std::exchange(waiter.fd, -1),
                                                              waiter.peer.endpoint().text());
        if (connection != nullptr) co_return connection;
        pause(errno);
    }
}

void CoreListener::on_events(std::uint32_t) {
    const int error = group_->pump();
    if (error != EAGAIN) pause(error);
}

void CoreListener::pause(int error) {
    if (!std::exchange(has_complained_, true)) {
        loop_.log().warn("cannot accept connections; trying again every 100 ms",
                         {{"endpoint", group_->bound().text()}, {"error", std::strerror(error)}});
    }
    if (!retry_.is_armed()) loop_.clock().arm(retry_, loop_.clock().now() + kAcceptPause);
}

void CoreListener::Retry::fired() {
    listener_.on_events(EPOLLIN);
}

}  // namespace dlog::reactor
