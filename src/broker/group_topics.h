/// A core's view of the topics as group coordinators see it.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "broker/view.h"
#include "coordination/group/input.h"
#include "metadata/group_config.h"

namespace dlog::broker {

class ViewTopics final : public coordination::Topics {
  public:
    /// `view` outlives this.
    explicit ViewTopics(const View& view) : view_(view) {}

    [[nodiscard]] bool find(std::string_view name, Topic& found) const override {
        return describe(view_.find(name), found);
    }
    [[nodiscard]] bool find(TopicId id, Topic& found) const override {
        return describe(view_.find(id), found);
    }
    [[nodiscard]] std::vector<Topic> all() const override {
        std::vector<Topic> topics;
        for (const auto& [name, state] : view_.state().topics()) {
            Topic& topic = topics.emplace_back();
            (void)describe(view_.find(state->id), topic);
        }
        return topics;
    }
    [[nodiscard]] std::uint64_t version() const override { return view_.version(); }
    [[nodiscard]] coordination::OwnSettings own_settings(std::string_view group_id) const override {
        const metadata::ConfigMap& configs = view_.state().group_configs(group_id);
        return {.consumer_session_timeout = ms_of(configs, metadata::kGroupSessionTimeout),
                .consumer_heartbeat_interval = ms_of(configs, metadata::kGroupHeartbeatInterval)};
    }

  private:
    static std::optional<Duration> ms_of(const metadata::ConfigMap& configs,
                                         std::string_view name) {
        const auto found = configs.find(name);
        if (found == configs.end()) return std::nullopt;
        return metadata::parse_integer(found->second).transform(milliseconds);
    }
    static bool describe(const TopicView* topic, Topic& found) {
        if (topic == nullptr) return false;
        found = {.id = topic->topic->id,
                 .name = topic->topic->name,
                 .partition_count = topic->partition_count()};
        return true;
    }

    const View& view_;
};

}  // namespace dlog::broker
