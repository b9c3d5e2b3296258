#include "protocol/api.h"

#include <algorithm>
#include <iterator>

#include "base/assert.h"
#include "protocol/messages/api_table.h"

namespace dlog::protocol {

std::span<const ApiInfo> all_apis() {
    return kApis;
}

const ApiInfo* find_api(std::int16_t key) {
    const auto* const found = std::lower_bound(
        std::begin(kApis), std::end(kApis), key, [](const ApiInfo& api, std::int16_t wanted) {
            return static_cast<std::int16_t>(api.key) < wanted;
        });
    if (found == std::end(kApis) || static_cast<std::int16_t>(found->key) != key) return nullptr;
    return found;
}

const ApiInfo& api_info(ApiKey key) {
    const ApiInfo* const found = find_api(static_cast<std::int16_t>(key));
    DLOG_ASSERT(found != nullptr, key);
    return *found;
}

std::string_view api_name(ApiKey key) {
    const ApiInfo* const found = find_api(static_cast<std::int16_t>(key));
    return found == nullptr ? "Unknown" : found->name;
}

std::int16_t lowest_advertised_version(ApiKey key) {
    return key == ApiKey::kProduce ? std::int16_t{0} : api_info(key).lowest_version;
}

std::int16_t request_header_version(ApiKey key, std::int16_t version) {
    return version >= api_info(key).first_flexible_version ? 2 : 1;
}

std::int16_t response_header_version(ApiKey key, std::int16_t version) {
    if (key == ApiKey::kApiVersions) return 0;
    return version >= api_info(key).first_flexible_version ? 1 : 0;
}

}  // namespace dlog::protocol
