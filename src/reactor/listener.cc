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

/// Connections dealt to a core that it has not accepted yet.
constexpr std::size_t kDealtMax = 64;

/// `co_await`: a connection dealt to this core, or nothing when the wait has ended for another
/// reason.
struct AcceptWait {
    ListenGroup& group;
    CoreListener& listener;
    CoreId core;
    std::optional<ListenGroup::Taken> taken = std::nullopt;
    [[nodiscard]] bool await_ready() const { return false; }
    bool await_suspend(std::coroutine_handle<> self) {
        int error = EAGAIN;
        taken = group.accept(core, self, error);
        if (error != EAGAIN) listener.pause(error);
        return !taken;
    }
    std::optional<ListenGroup::Taken> await_resume() { return std::move(taken); }
};

}  // namespace

ListenGroup::Taken::~Taken() {
    if (fd >= 0) ::close(fd);
}

ListenGroup::~ListenGroup() {
    DLOG_ASSERT(members_.empty(), members_.size());
    ::close(fd_);
}

bool ListenGroup::serves(const Endpoint& endpoint) const {
    return endpoint.host == asked_.host &&
           (endpoint.port == asked_.port || endpoint.port == bound_.port);
}

bool ListenGroup::join(CoreId core) {
    const std::lock_guard lock(mutex_);
    for (const Member& member : members_) {
        if (member.core == core) return false;
    }
    members_.push_back({.core = core});
    return true;
}

void ListenGroup::attach(Loop& loop) {
    const std::lock_guard lock(mutex_);
    member(loop.core()).loop = &loop;
}

void ListenGroup::leave(Loop& loop) {
    const std::lock_guard lock(mutex_);
    Member leaving = std::move(member(loop.core()));
    std::erase_if(members_, [&](const Member& member) { return member.core == leaving.core; });
    if (leaving.waiter) loop.make_ready(leaving.waiter);
    for (Taken& taken : leaving.dealt) {
        Member* const heir = next_with_room();
        if (heir != nullptr) give(*heir, std::move(taken));
    }
}

std::optional<ListenGroup::Taken> ListenGroup::accept(CoreId core, std::coroutine_handle<> waiter,
                                                      int& error) {
    const std::lock_guard lock(mutex_);
    Member& mine = member(core);
    DLOG_ASSERT(!mine.waiter, core);  // one accept at a time
    // Connections may have come while nobody had room, when their event found nobody to give them
    // to.
    error = mine.dealt.empty() ? deal_all() : EAGAIN;
    if (mine.dealt.empty()) {
        mine.waiter = waiter;
        return std::nullopt;
    }
    std::optional<Taken> taken(std::move(mine.dealt.front()));
    mine.dealt.erase(mine.dealt.begin());
    return taken;
}

int ListenGroup::pump() {
    const std::lock_guard lock(mutex_);
    return deal_all();
}

int ListenGroup::deal_all() {
    while (Member* const member = next_with_room()) {
        Taken taken;
        const int error = take(taken);
        if (error != 0) return error;
        next_ = static_cast<std::size_t>(member - members_.data()) + 1;
        give(*member, std::move(taken));
    }
    return EAGAIN;
}

void ListenGroup::give(Member& member, Taken taken) {
    member.dealt.push_back(std::move(taken));
    if (member.waiter) member.loop->post(std::exchange(member.waiter, nullptr));
}

ListenGroup::Member* ListenGroup::next_with_room() {
    for (std::size_t i = 0; i < members_.size(); ++i) {
        Member& member = members_[(next_ + i) % members_.size()];
        if (member.loop != nullptr && member.dealt.size() < kDealtMax) return &member;
    }
    return nullptr;
}

ListenGroup::Member& ListenGroup::member(CoreId core) {
    const auto found = std::find_if(members_.begin(), members_.end(),
                                    [core](const Member& member) { return member.core == core; });
    DLOG_ASSERT(found != members_.end(), core);
    return *found;
}

int ListenGroup::take(Taken& taken) {
    for (;;) {
        taken.peer.length = sizeof(taken.peer.storage);
        taken.fd =
            ::accept4(fd_, taken.peer.get(), &taken.peer.length, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (taken.fd >= 0) return 0;
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
    group_->attach(loop_);
    // One core at a time is woken for a connection.
    return loop_.watch(*this, group_->fd(), EPOLLIN | EPOLLEXCLUSIVE);
}

void CoreListener::close() {
    if (std::exchange(is_closed_, true)) return;
    loop_.clock().disarm(retry_);
    loop_.unwatch(*this, group_->fd());
    group_->leave(loop_);
    // An event for this core may have been a connection for another.
    (void)group_->pump();
}

port::Task<NetResult<port::ConnectionPtr>> CoreListener::accept() {
    while (!is_closed_) {
        std::optional<ListenGroup::Taken> taken =
            co_await AcceptWait{.group = *group_, .listener = *this, .core = loop_.core()};
        if (!taken || is_closed_) continue;
        has_complained_ = false;
        port::ConnectionPtr connection = TcpConnection::adopt(loop_, std::exchange(taken->fd, -1),
                                                              taken->peer.endpoint().text());
        if (connection != nullptr) co_return connection;
        pause(errno);
    }
    co_return std::unexpected(NetError::kClosed);
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
