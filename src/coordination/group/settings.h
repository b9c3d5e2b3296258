/// What groups are configured with. Comments give Kafka's names.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/time.h"

namespace dlog::coordination {

/// Between the protocols while there are members (KIP-848).
enum class MigrationPolicy : std::uint8_t { kDisabled, kUpgrade, kDowngrade, kBidirectional };

struct GroupSettings {
    Duration initial_rebalance_delay = seconds(3);   ///< group.initial.rebalance.delay.ms
    Duration session_timeout_min = seconds(6);       ///< group.min.session.timeout.ms
    Duration session_timeout_max = seconds(1800);    ///< group.max.session.timeout.ms
    std::int32_t size_max = INT32_MAX;               ///< group.max.size
    std::int32_t metadata_bytes_max = 4096;          ///< offset.metadata.max.bytes
    Duration offsets_retention = seconds(604'800);   ///< offsets.retention.minutes
    Duration offsets_check_interval = seconds(600);  ///< offsets.retention.check.interval.ms

    Duration consumer_session_timeout = seconds(45);    ///< group.consumer.session.timeout.ms
    Duration consumer_heartbeat_interval = seconds(5);  ///< group.consumer.heartbeat.interval.ms
    std::int32_t consumer_size_max = INT32_MAX;         ///< group.consumer.max.size
    /// group.consumer.assignors; the first is the default.
    std::vector<std::string> consumer_assignors = {"uniform", "range"};
    /// group.consumer.migration.policy
    MigrationPolicy migration_policy = MigrationPolicy::kBidirectional;

    /// The largest record that may be written, in bytes. Kafka has the offsets topic's
    /// max.message.bytes instead, which all that a step writes must fit in.
    std::int64_t record_bytes_max = 16 << 20;
    [[nodiscard]] bool fits_record(std::size_t bytes) const {
        return bytes <= static_cast<std::size_t>(std::max<std::int64_t>(record_bytes_max, 0));
    }
    /// The most that one member may say of itself.
    [[nodiscard]] std::size_t member_bytes_max() const {
        constexpr std::int64_t kMemberBytesMax = 1 << 20;
        return static_cast<std::size_t>(
            std::clamp<std::int64_t>(record_bytes_max / 4, 0, kMemberBytesMax));
    }
    /// The most that all members of a classic group may say, whose record holds it all.
    [[nodiscard]] std::size_t group_bytes_max() const {
        return static_cast<std::size_t>(std::max<std::int64_t>(record_bytes_max / 2, 0));
    }

    [[nodiscard]] bool may_upgrade() const {
        return migration_policy == MigrationPolicy::kUpgrade ||
               migration_policy == MigrationPolicy::kBidirectional;
    }
    [[nodiscard]] bool may_downgrade() const {
        return migration_policy == MigrationPolicy::kDowngrade ||
               migration_policy == MigrationPolicy::kBidirectional;
    }
};

}  // namespace dlog::coordination
