/// What every core knows of the topics: the controller's image with the settings worked out and the
/// owner of each partition. Immutable and shared by all cores.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>

#include "base/ids.h"
#include "metadata/state.h"
#include "metadata/topic_config.h"
#include "record/validate.h"
#include "storage/log_config.h"

namespace dlog::broker {

struct TopicView {
    metadata::TopicPtr topic;
    metadata::TopicConfig config;
    storage::LogConfig log_config;
    record::ProduceLimits limits;
    std::uint32_t core_count = 1;
    /// One that the brokers write for themselves.
    bool is_internal = false;
    /// Partition 0's owner; the others follow round robin.
    std::uint32_t first_core = 0;

    [[nodiscard]] std::int32_t partition_count() const {
        return static_cast<std::int32_t>(topic->partitions.size());
    }
    [[nodiscard]] bool has(std::int32_t partition) const {
        return partition >= 0 && partition < partition_count();
    }
    [[nodiscard]] CoreId owner(std::int32_t partition) const {
        return CoreId((first_core + static_cast<std::uint32_t>(partition)) % core_count);
    }
};
using TopicViewPtr = std::shared_ptr<const TopicView>;

class View {
  public:
    /// `broker` are this node's settings, `previous` a view whose unchanged topics are taken over;
    /// it may be null.
    View(metadata::Image image, metadata::BrokerConfigs broker, std::uint32_t core_count,
         const View* previous);

    [[nodiscard]] const metadata::State& state() const { return *image_; }
    /// Counts the views of this start.
    [[nodiscard]] std::uint64_t version() const { return version_; }
    /// This node's settings, which the topics fall back on.
    [[nodiscard]] const metadata::BrokerConfigs& broker() const { return broker_; }
    [[nodiscard]] const metadata::ConfigMap& broker_effective() const { return broker_effective_; }
    [[nodiscard]] const TopicView* find(std::string_view name) const;
    [[nodiscard]] const TopicView* find(TopicId id) const;
    [[nodiscard]] const std::unordered_map<TopicId, TopicViewPtr, IdHash>& topics() const {
        return by_id_;
    }

  private:
    struct NameHash {
        using is_transparent = void;
        std::size_t operator()(std::string_view name) const {
            return std::hash<std::string_view>{}(name);
        }
    };

    metadata::Image image_;
    std::uint64_t version_;
    metadata::BrokerConfigs broker_;
    metadata::ConfigMap broker_effective_;
    std::unordered_map<TopicId, TopicViewPtr, IdHash> by_id_;
    /// The names live in the topics.
    std::unordered_map<std::string_view, const TopicView*, NameHash, std::equal_to<>> by_name_;
};
using ViewPtr = std::shared_ptr<const View>;

/// The part of a topic's settings that its logs work with.
[[nodiscard]] storage::LogConfig log_config_of(const metadata::TopicConfig& config);

}  // namespace dlog::broker
