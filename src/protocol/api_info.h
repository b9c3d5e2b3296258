/// What the schema files say about an API as a whole.
#pragma once

#include <cstdint>
#include <string_view>

#include "protocol/messages/api_key.h"

namespace dlog::protocol {

struct ApiInfo {
    ApiKey key{};
    std::string_view name;
    std::int16_t lowest_version = 0;
    std::int16_t highest_version = -1;
    /// 32767 when no version is flexible.
    std::int16_t first_flexible_version = 0;
    /// Kafka does not serve the highest version yet unless told to (unstable.api.versions.enable).
    bool is_highest_unstable = false;

    /// Only the key is left: Kafka 4 has no version of it.
    [[nodiscard]] constexpr bool is_removed() const { return highest_version < lowest_version; }
    [[nodiscard]] constexpr std::int16_t highest_stable_version() const {
        return static_cast<std::int16_t>(highest_version - (is_highest_unstable ? 1 : 0));
    }
};

}  // namespace dlog::protocol
