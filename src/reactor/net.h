/// The real Net of one core.
#pragma once

#include "port/net.h"
#include "reactor/listener.h"
#include "reactor/loop.h"
#include "reactor/sockets.h"

namespace dlog::reactor {

/// Owned by one core. Host names are looked up on the pool for long work, numeric addresses at
/// once. An endpoint that several cores listen on is written the same way by all of them.
class CoreNet final : public port::Net {
  public:
    CoreNet(Loop& loop, WorkerPool& name_pool, ListenRegistry& registry)
        : loop_(loop), name_pool_(name_pool), registry_(registry) {}

    port::Task<port::NetResult<port::ListenerPtr>> listen(port::Endpoint endpoint) override;
    port::Task<port::NetResult<port::ConnectionPtr>> connect(port::Endpoint endpoint) override;
    [[nodiscard]] bool adopt(port::Connection& connection) override;

  private:
    port::Task<std::vector<SocketAddress>> find(port::Endpoint endpoint);
    port::Task<port::NetResult<port::ConnectionPtr>> connect_to(SocketAddress address);

    Loop& loop_;
    WorkerPool& name_pool_;
    ListenRegistry& registry_;
};

}  // namespace dlog::reactor
