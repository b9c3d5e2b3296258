/// One node: the broker on all its cores over their ports. The server runs it on the reactor, tests
/// on the simulator.
#pragma once

#include <expected>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "broker/node_config.h"
#include "port/net.h"
#include "port/ports.h"
#include "port/task.h"

namespace dlog::broker {

/// Made, started, stopped and destroyed on core 0, which is also the controller's. `cores` has the
/// ports of each core in order; their bodies outlive the node.
class Node {
  public:
    Node(std::span<const port::Ports> cores, NodeConfig config);
    Node(const Node&) = delete;
    Node& operator=(const Node&) = delete;
    ~Node();

    /// Opens the data folder, recovers all partitions, folds the metadata log and listens. Returns
    /// when clients are served, or the reason in words for the operator.
    [[nodiscard]] port::Task<std::expected<void, std::string>> start();

    /// Takes no more connections, ends those there are, makes everything durable and writes
    /// checkpoints. Also after a failed start.
    [[nodiscard]] port::Task<void> stop();

    /// True from the end of `start` to the beginning of `stop`. May be asked on any core.
    [[nodiscard]] bool is_ready() const;
    /// The address that clients connect to, with its real port.
    [[nodiscard]] port::Endpoint endpoint() const;
    /// The metrics of all cores as Prometheus reads them.
    [[nodiscard]] port::Task<std::string> metrics_text();

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace dlog::broker
