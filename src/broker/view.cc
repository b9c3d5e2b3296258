#include "broker/view.h"

#include <utility>

#include "base/assert.h"
#include "metadata/topic_name.h"

namespace dlog::broker {

namespace {

TopicViewPtr make_topic_view(const metadata::TopicPtr& topic, const metadata::ConfigMap& settings,
                             std::uint32_t core_count) {
    auto view = std::make_shared<TopicView>();
    view->topic = topic;
    view->config = metadata::effective_topic_config(topic->configs, settings);
    view->log_config = log_config_of(view->config);
    view->limits.batch_bytes_max = static_cast<std::size_t>(view->config.max_message_bytes);
    view->limits.needs_keys = view->config.cleanup_compact;
    view->is_internal = metadata::is_internal_topic(topic->name);
    view->core_count = core_count;
    view->first_core = static_cast<std::uint32_t>(IdHash{}(topic->id) % core_count);
    return view;
}

}  // namespace

View::View(metadata::Image image, metadata::BrokerConfigs broker, std::uint32_t core_count,
           const View* previous)
    : image_(std::move(image)),
      version_(previous == nullptr ? 1 : previous->version_ + 1),
      broker_(std::move(broker)),
      broker_effective_(broker_.effective()) {
    DLOG_ASSERT(core_count > 0);
    by_id_.reserve(image_->topics().size());
    by_name_.reserve(image_->topics().size());
    // A topic's view depends on the broker's settings too.
    if (previous != nullptr && previous->broker_effective_ != broker_effective_) previous = nullptr;
    for (const auto& [name, topic] : image_->topics()) {
        TopicViewPtr view;
        if (previous != nullptr) {
            const auto old = previous->by_id_.find(topic->id);
            if (old != previous->by_id_.end() && old->second->topic == topic) view = old->second;
        }
        if (view == nullptr) view = make_topic_view(topic, broker_effective_, core_count);
        by_name_.emplace(view->topic->name, view.get());
        by_id_.emplace(topic->id, std::move(view));
    }
}

const TopicView* View::find(std::string_view name) const {
    const auto found = by_name_.find(name);
    return found == by_name_.end() ? nullptr : found->second;
}

const TopicView* View::find(TopicId id) const {
    const auto found = by_id_.find(id);
    return found == by_id_.end() ? nullptr : found->second.get();
}

storage::LogConfig log_config_of(const metadata::TopicConfig& config) {
    storage::LogConfig log;
    log.segment_bytes = config.segment_bytes;
    log.segment_ms = config.segment_ms;
    log.segment_jitter_ms = config.segment_jitter_ms;
    log.index_interval_bytes = config.index_interval_bytes;
    log.segment_index_bytes = config.segment_index_bytes;
    log.retention_ms = config.retention_ms;
    log.retention_bytes = config.retention_bytes;
    log.deletes_old = config.cleanup_delete;
    log.compacts = config.cleanup_compact;
    log.delete_retention_ms = config.delete_retention_ms;
    log.min_compaction_lag_ms = config.min_compaction_lag_ms;
    log.max_compaction_lag_ms = config.max_compaction_lag_ms;
    log.min_cleanable_dirty_ratio = config.min_cleanable_dirty_ratio;
    log.flush_messages = config.flush_messages;
    log.flush_bytes = config.flush_bytes;
    log.flush_ms = config.flush_ms;
    log.write_caching = config.write_caching;
    log.max_message_bytes = config.max_message_bytes;
    log.timestamp_type = config.message_timestamp_type == metadata::TimestampType::kLogAppendTime
                             ? storage::TimestampType::kLogAppendTime
                             : storage::TimestampType::kCreateTime;
    return log;
}

}  // namespace dlog::broker
