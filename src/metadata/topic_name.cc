#include "metadata/topic_name.h"

#include <algorithm>

#include "base/assert.h"

namespace dlog::metadata {

namespace {

bool is_legal(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
}

}  // namespace

std::expected<void, std::string> check_topic_name(std::string_view name) {
    if (name.empty()) return std::unexpected("A topic name cannot be empty.");
    if (name == "." || name == "..") {
        return std::unexpected("A topic name cannot be \".\" or \"..\".");
    }
    if (name.size() > kTopicNameLengthMax) {
        return std::unexpected("A topic name has at most " + std::to_string(kTopicNameLengthMax) +
                               " characters; this one has " + std::to_string(name.size()) + ".");
    }
    if (!std::ranges::all_of(name, is_legal)) {
        return std::unexpected(
            "A topic name has only ASCII letters, digits, '.', '_' and '-'; this one has others.");
    }
    if (name == kMetadataTopicName) {
        return std::unexpected("The name " + std::string(name) + " is the controller's own.");
    }
    return {};
}

bool may_collide(std::string_view name) {
    return name.find_first_of("._") != std::string_view::npos;
}

std::string collision_key(std::string_view name) {
    std::string key(name);
    std::ranges::replace(key, '.', '_');
    DLOG_ASSERT(key.size() == name.size(), key.size());
    return key;
}

bool is_internal_topic(std::string_view name) {
    return name == "__consumer_offsets" || name == "__transaction_state" ||
           name == "__share_group_state" || name == kMetadataTopicName;
}

}  // namespace dlog::metadata
