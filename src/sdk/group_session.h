/// A consumer's membership of a group, between the client's thread, where the member lives, and the
/// user's, which takes part in rebalances within `poll`.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "client/committed.h"
#include "client/group_member.h"
#include "dlog/consumer.h"
#include "port/sync.h"
#include "port/task.h"
#include "sdk/core.h"

namespace dlog::sdk {

[[nodiscard]] client::GroupMemberConfig member_config(const GroupOptions& options);
[[nodiscard]] inline client::Isolation isolation_of(const ConsumerOptions& options) {
    return static_cast<client::Isolation>(options.isolation);
}

class GroupSession final : public client::GroupListener {
  public:
    /// One step of a rebalance, for the user's thread to take.
    struct Event {
        enum class Kind : std::uint8_t { kAssigned, kRevoked, kLost } kind = Kind::kAssigned;
        client::TopicPartitions partitions;
        /// Of those assigned, where they begin; one that is missing has no offset to begin at.
        std::map<std::pair<std::string, std::int32_t>, Offset> starts;
    };

    /// `ring` is called, on the client's thread, when there is an event; `tell` with errors.
    GroupSession(client::Cluster& cluster, const ConsumerOptions& options,
                 std::function<void()> ring, std::function<void(const client::Error&)> tell);

    // The client's thread.
    [[nodiscard]] client::GroupMember& member() { return member_; }
    /// `take`, `finish` or `cancel` was called.
    void hear() { heard_.notify_all(); }
    port::Task<void> revoked(client::TopicPartitions partitions) override;
    port::Task<void> lost(client::TopicPartitions partitions) override;
    port::Task<void> assigned(client::TopicPartitions added) override;
    void failed(client::Error error) override { tell_(error); }
    [[nodiscard]] Instant last_poll() const override { return Instant{last_poll_ns_.load()}; }

    // Any thread.
    /// True when the poll before was too long ago, so that the member waits for this one.
    bool polled(Instant now);
    [[nodiscard]] std::optional<Event> take();
    void finish();
    /// From now on nobody takes events: what waits goes on as if somebody had.
    void cancel();

  private:
    port::Task<void> pass(Event event);
    [[nodiscard]] bool is_over();
    port::Task<void> find_starts(Event* event);
    port::Task<client::Result<void>> find_committed(Event* event);
    port::Task<client::Result<void>> find_missing(Event* event);

    client::Cluster& cluster_;
    const client::GroupMemberConfig config_;
    const MissingOffset on_missing_offset_;
    const client::Isolation isolation_;
    const std::function<void()> ring_;
    const std::function<void(const client::Error&)> tell_;
    std::atomic<std::int64_t> last_poll_ns_;
    port::Notifier heard_;

    std::mutex mutex_;
    std::optional<Event> event_;
    bool is_under_way_ = false;
    bool is_cancelled_ = false;

    client::GroupMember member_;
};

}  // namespace dlog::sdk
