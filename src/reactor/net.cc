#include "reactor/net.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utility>

#include "base/assert.h"
#include "reactor/connection.h"

namespace dlog::reactor {

using port::ConnectionPtr;
using port::Endpoint;
using port::ListenerPtr;
using port::NetError;
using port::NetResult;
using port::Task;

namespace {

/// How long each address of a host may take to answer.
constexpr Duration kConnectTimeout = seconds(10);

/// A socket that is connecting: `co_await` it, then take the descriptor or the error.
class Connecting final : private Pollable, private port::Timer {
  public:
    Connecting(Loop& loop, int fd) : loop_(loop), fd_(fd) {}
    ~Connecting() override {
        end();
        if (fd_ >= 0) ::close(fd_);
    }

    [[nodiscard]] bool await_ready() const { return false; }
    bool await_suspend(std::coroutine_handle<> self) {
        waiter_ = self;
        if (!loop_.watch(*this, fd_, EPOLLOUT)) {
            error_ = net_error_of(errno);
            return false;
        }
        is_watched_ = true;
        loop_.clock().arm(*this, loop_.clock().now() + kConnectTimeout);
        return true;
    }
    NetResult<int> await_resume() {
        if (error_) return std::unexpected(*error_);
        return std::exchange(fd_, -1);
    }

  private:
    void on_events(std::uint32_t) override {
        int error = 0;
        socklen_t size = sizeof(error);
        const int status = ::getsockopt(fd_, SOL_SOCKET, SO_ERROR, &error, &size);
        DLOG_ASSERT(status == 0, errno);
        if (error != 0) error_ = net_error_of(error);
        end();
        waiter_.resume();
    }
    void on_stop() override {
        error_ = NetError::kClosed;
        end();
        loop_.make_ready(waiter_);
    }
    void fired() override {
        error_ = NetError::kTimedOut;
        end();
        waiter_.resume();
    }
    void end() {
        if (std::exchange(is_watched_, false)) loop_.unwatch(*this, fd_);
        loop_.clock().disarm(*this);
    }

    Loop& loop_;
    int fd_;
    bool is_watched_ = false;
    std::coroutine_handle<> waiter_;
    std::optional<NetError> error_;
};

}  // namespace

Task<std::vector<SocketAddress>> CoreNet::find(Endpoint endpoint) {
    std::vector<SocketAddress> addresses = resolve(endpoint, Resolve::kNumericOnly);
    if (addresses.empty()) {
        addresses = co_await BlockingCall(
            loop_, &name_pool_, [&endpoint] { return resolve(endpoint, Resolve::kNames); });
    }
    co_return addresses;
}

Task<NetResult<ListenerPtr>> CoreNet::listen(Endpoint endpoint) {
    const std::vector<SocketAddress> addresses = co_await find(endpoint);
    if (addresses.empty()) co_return std::unexpected(NetError::kUnknownHost);
    if (loop_.is_stopping()) co_return std::unexpected(NetError::kClosed);
    auto group = registry_.join(loop_.core(), endpoint, addresses.front());
    if (!group) co_return std::unexpected(group.error());
    auto listener = std::make_unique<CoreListener>(loop_, *std::move(group));
    if (!listener->start()) co_return std::unexpected(net_error_of(errno));
    co_return listener;
}

Task<NetResult<ConnectionPtr>> CoreNet::connect(Endpoint endpoint) {
    const std::vector<SocketAddress> addresses = co_await find(endpoint);
    NetError error = NetError::kUnknownHost;
    for (const SocketAddress& address : addresses) {
        if (loop_.is_stopping()) co_return std::unexpected(NetError::kClosed);
        NetResult<ConnectionPtr> connection = co_await connect_to(address);
        if (connection) co_return connection;
        error = connection.error();
    }
    co_return std::unexpected(error);
}

bool CoreNet::adopt(port::Connection& connection) {
    // Connections of this program are all of this kind.
    return static_cast<TcpConnection&>(connection).join(loop_);
}

Task<NetResult<ConnectionPtr>> CoreNet::connect_to(SocketAddress address) {
    int fd = ::socket(address.storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) co_return std::unexpected(net_error_of(errno));
    set_stream_options(fd);
    if (::connect(fd, address.get(), address.length) != 0) {
        if (errno != EINPROGRESS) {
            const NetError error = net_error_of(errno);
            ::close(fd);
            co_return std::unexpected(error);
        }
        NetResult<int> connected = co_await Connecting(loop_, fd);
        if (!connected) co_return std::unexpected(connected.error());
        fd = *connected;
    }
    ConnectionPtr connection = TcpConnection::adopt(loop_, fd, address.endpoint().text());
    if (connection == nullptr) co_return std::unexpected(net_error_of(errno));
    co_return connection;
}

}  // namespace dlog::reactor
