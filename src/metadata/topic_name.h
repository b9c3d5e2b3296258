/// What a topic may be called.
#pragma once

#include <expected>
#include <string>
#include <string_view>

namespace dlog::metadata {

/// Kafka's limit; it leaves room for "-<partition>" and a suffix in a file name of 255 bytes.
inline constexpr std::size_t kTopicNameLengthMax = 249;

/// The partition that holds the controller's own records.
inline constexpr std::string_view kMetadataTopicName = "__cluster_metadata";

/// The reason in words when `name` is not a legal topic name.
[[nodiscard]] std::expected<void, std::string> check_topic_name(std::string_view name);

/// True when `name` has a '.' or a '_', which metric names cannot tell apart.
[[nodiscard]] bool may_collide(std::string_view name);

/// The name with every '.' as '_': two topics whose collision keys are equal may not exist
/// together.
[[nodiscard]] std::string collision_key(std::string_view name);

/// Topics that brokers keep for themselves and clients see flagged as internal.
[[nodiscard]] bool is_internal_topic(std::string_view name);

}  // namespace dlog::metadata
