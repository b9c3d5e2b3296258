/// What is done to topics. Not part of <dlog/client.h>. Calls block until the broker has answered
/// or `ClientOptions` gives up.
///
///     dlog::Admin admin = client.admin();
///     if (auto made = admin.create_topic({.name = "orders", .partitions = 6}); !made) …
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dlog/result.h"
#include "dlog/time.h"

namespace dlog {

namespace sdk {
class Core;
}

struct ConfigEntry {
    std::string name;
    std::optional<std::string> value;  ///< None: null, or kept secret.
    bool is_default = true;            ///< Not set for this topic.
};

struct NewTopic {
    std::string name;
    std::int32_t partitions = -1;          ///< -1: the broker's num.partitions
    std::int16_t replication_factor = -1;  ///< -1: the broker's default.replication.factor
    std::vector<ConfigEntry> configs = {};
};

struct PartitionDescription {
    std::int32_t partition = 0;
    std::int32_t leader = -1;  ///< The leader's node id; -1 when there is none at the moment.
    std::int32_t leader_epoch = -1;
};

struct TopicDescription {
    std::string name;
    bool is_internal = false;
    std::vector<PartitionDescription> partitions;
};

/// A setting to change: to `value`, or back to the broker's default without one.
struct ConfigChange {
    std::string name;
    std::optional<std::string> value;
};

struct PartitionOffset {
    std::int32_t partition = 0;
    /// -1 when no record is at the time asked for or later.
    std::int64_t offset = -1;
    TimePoint timestamp;
};

/// Any thread may call it. It holds on to its client's connections, not to the `Client` object.
class Admin {
  public:
    Admin(Admin&& other) noexcept;
    Admin& operator=(Admin&& other) noexcept;
    ~Admin();

    [[nodiscard]] Result<void> create_topic(NewTopic topic);
    [[nodiscard]] Result<void> delete_topic(std::string_view name);
    /// All topics, by name; internal ones too.
    [[nodiscard]] Result<std::vector<TopicDescription>> list_topics();
    [[nodiscard]] Result<TopicDescription> describe_topic(std::string_view name);
    /// Grows a topic to `count` partitions in all.
    [[nodiscard]] Result<void> create_partitions(std::string_view topic, std::int32_t count);

    [[nodiscard]] Result<std::vector<ConfigEntry>> describe_configs(std::string_view topic);
    [[nodiscard]] Result<void> alter_configs(std::string_view topic,
                                             std::span<const ConfigChange> changes);

    /// For each partition the first offset, the next offset to be written, or the first record at
    /// `time` or later.
    [[nodiscard]] Result<std::vector<PartitionOffset>> first_offsets(std::string_view topic);
    [[nodiscard]] Result<std::vector<PartitionOffset>> end_offsets(std::string_view topic);
    [[nodiscard]] Result<std::vector<PartitionOffset>> offsets_at(std::string_view topic,
                                                                  TimePoint time);

  private:
    friend class Client;
    explicit Admin(sdk::Core* core);
    sdk::Core* core_ = nullptr;
};

}  // namespace dlog
