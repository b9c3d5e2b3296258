/// The one table of the APIs that a node serves. ApiVersions answers from it, connections dispatch
/// by it, and docs/kafka-compatibility.md is generated from it.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "broker/request.h"
#include "port/task.h"

namespace dlog::broker {

class ReplyTo;

/// Answers a request; the connection waits for it.
using Handler = port::Task<Response> (*)(Request request);
/// Answers through `reply`, later; the connection goes on as soon as the handler first suspends.
using PipelinedHandler = port::Task<void> (*)(Request request, ReplyTo reply);

struct ApiEntry {
    std::int16_t key = -1;
    std::string_view name;
    std::int16_t version_min = 0;
    std::int16_t version_max = -1;
    /// The lowest version that ApiVersions advertises when that is not version_min.
    std::int16_t version_min_advertised = -1;
    /// From this version on, headers and messages have tagged fields (KIP-482).
    std::int16_t flexible_from = 0;
    Handler handler = nullptr;
    PipelinedHandler pipelined = nullptr;
    /// What of Kafka's behaviour is not served, for the documentation.
    std::string_view limits;

    [[nodiscard]] bool serves(std::int16_t version) const {
        return version >= version_min && version <= version_max;
    }
    [[nodiscard]] bool is_flexible(std::int16_t version) const { return version >= flexible_from; }
    [[nodiscard]] std::int16_t advertised_min() const {
        return version_min_advertised >= 0 ? version_min_advertised : version_min;
    }
};

inline constexpr std::int16_t kProduceKey = 0;
inline constexpr std::int16_t kApiVersionsKey = 18;

/// In order of key.
[[nodiscard]] std::span<const ApiEntry> api_table();

/// Null when the API is not served.
[[nodiscard]] const ApiEntry* find_api(std::int16_t key);

}  // namespace dlog::broker
