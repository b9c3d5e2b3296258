/// The table of all APIs, and which version of the header stands before a request or a response.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "protocol/api_info.h"
#include "protocol/messages/api_key.h"

namespace dlog::protocol {

/// Every API in the order of the keys. `messages/api_table.h` has the same as a constant `kApis`.
[[nodiscard]] std::span<const ApiInfo> all_apis();
/// Null for a number that no API has. A removed API is found.
[[nodiscard]] const ApiInfo* find_api(std::int16_t key);
[[nodiscard]] const ApiInfo& api_info(ApiKey key);
/// "Fetch"; "Unknown" for a number that no API has.
[[nodiscard]] std::string_view api_name(ApiKey key);

/// The lowest version that ApiVersions names. It is that of the schema but for Produce, where Kafka
/// 4 names 0 although it serves 3 and above, because librdkafka before 2.10 else believes that
/// batches are not understood (KAFKA-18659).
[[nodiscard]] std::int16_t lowest_advertised_version(ApiKey key);

/// Defined for versions that the schema lacks too, so that a header can be read before the request
/// is refused.
[[nodiscard]] std::int16_t request_header_version(ApiKey key, std::int16_t version);
/// Always 0 for ApiVersions, whose answer must be readable by a client that does not know yet what
/// it talks to (KIP-511).
[[nodiscard]] std::int16_t response_header_version(ApiKey key, std::int16_t version);

}  // namespace dlog::protocol
