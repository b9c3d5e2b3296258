/// What can go wrong between a client and its brokers, in words for the person who reads it.
#pragma once

#include <cstdint>
#include <expected>
#include <string>

#include "protocol/error_code.h"

namespace dlog::client {

enum class ErrorKind : std::uint8_t {
    kUnreachable,   ///< No connection could be made.
    kDisconnected,  ///< The connection ended before the answer came: nobody knows what was done.
    kTimedOut,      ///< The answer did not come in time: nobody knows what was done.
    kBroker,        ///< The broker answered with `code`.
    kUnsupported,   ///< The broker does not serve the API, or no version of it that this client
                    ///< speaks.
    kBadResponse,   ///< The broker's bytes are not what the protocol says.
    kBadRequest,    ///< What the caller asked for cannot be sent.
    kCorrupt,       ///< Record batches came damaged.
    kClosed,        ///< This client was closed.
};

struct Error {
    ErrorKind kind = ErrorKind::kClosed;
    protocol::ErrorCode code = protocol::ErrorCode::kNone;
    /// What it was about: "127.0.0.1:9092", "topic orders", the broker's own words.
    std::string detail;

    /// One sentence, without a full stop.
    [[nodiscard]] std::string text() const;
    /// Whether the same request may succeed later, perhaps at another broker.
    [[nodiscard]] bool is_retriable() const;
};

template <class T>
using Result = std::expected<T, Error>;

[[nodiscard]] inline Error broker_error(protocol::ErrorCode code, std::string detail) {
    return {.kind = ErrorKind::kBroker, .code = code, .detail = std::move(detail)};
}

}  // namespace dlog::client
