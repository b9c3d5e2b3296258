/// The connections of one core to all other nodes.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <vector>

#include "base/buffer.h"
#include "base/ids.h"
#include "base/time.h"
#include "consensus/raft/journal.h"
#include "consensus/raft/liveness.h"
#include "consensus/raft/message.h"
#include "peers/call_error.h"
#include "peers/metrics.h"
#include "port/task.h"

namespace dlog::peers {

namespace raft = consensus::raft;

struct Desk;

/// Owned by its core, made by the Mesh. Before its start and after its stop whatever is sent is
/// dropped and calls fail with kStopping.
class Links {
  public:
    explicit Links(Desk& desk) : desk_(desk) {}
    Links(const Links&) = delete;
    Links& operator=(const Links&) = delete;

    /// Never waits. `records`, at most kFrameRecordsMax together and only beside an Append, are not
    /// copied: they stay as they are until they are sent. Messages of one turn of the loop to one
    /// node leave together. To a node that is none of the cluster's: dropped and counted.
    void send(NodeId to, const raft::GroupId& group, raft::Message message,
              std::vector<Buffer> records);

    /// Asks `to`, whose handler answers. `body` has at most kCallBodyMax bytes. Ends by `deadline`.
    [[nodiscard]] port::Task<std::expected<Buffer, CallError>> call(NodeId to, std::uint16_t kind,
                                                                    Buffer body, Instant deadline);
    /// Tells `to`, which may never hear of it. Calls and notices of one core come in order as long
    /// as the connection stands.
    void notify(NodeId to, std::uint16_t kind, Buffer body);

    /// This core's copy of what is known of the other nodes.
    [[nodiscard]] const raft::Peers& peers() const;
    [[nodiscard]] Metrics metrics() const;

  private:
    Desk& desk_;
};

}  // namespace dlog::peers
