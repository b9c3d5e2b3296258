/// A node's connections to all other nodes of its cluster, on all its cores.
#pragma once

#include <expected>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/ids.h"
#include "peers/config.h"
#include "peers/handler.h"
#include "peers/links.h"
#include "peers/metrics.h"
#include "port/net.h"
#include "port/ports.h"
#include "port/task.h"

namespace dlog::peers {

/// Made, started, stopped and destroyed on core 0, which also keeps the pulse. `cores` has the
/// ports of each core in order; their bodies and `owners` outlive the mesh.
class Mesh {
  public:
    Mesh(std::span<const port::Ports> cores, Config config, const Owners& owners);
    Mesh(const Mesh&) = delete;
    Mesh& operator=(const Mesh&) = delete;
    ~Mesh();

    /// Listens and begins to send pulses; `handlers` by core, which may be called from here on.
    /// Fails, in words for the operator, when the address cannot be listened on.
    [[nodiscard]] port::Task<std::expected<void, std::string>> start(
        std::vector<Handler*> handlers);
    /// Closes all connections and returns when nothing is under way: no handler is called any more.
    /// Calls that wait end with kStopping. Also after a failed start.
    [[nodiscard]] port::Task<void> stop();

    /// Of one core, to be used there.
    [[nodiscard]] Links& at(CoreId core);
    /// Where other nodes find this one, with the real port.
    [[nodiscard]] port::Endpoint endpoint() const;
    /// Of all cores together.
    [[nodiscard]] port::Task<Metrics> metrics();

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace dlog::peers
