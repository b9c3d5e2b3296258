/// Expected failures: every function that can fail returns a `Result`, which is `std::expected`.
///
///     dlog::Result<dlog::Client> client = dlog::Client::connect("127.0.0.1:9092");
///     if (!client) return fail(client.error().text.c_str());
#pragma once

#include <cstdint>
#include <expected>

#include "dlog/text.h"

namespace dlog {

enum class ErrorKind : std::uint8_t {
    kUnreachable,   ///< No connection could be made.
    kDisconnected,  ///< The connection ended before the answer came.
    kTimedOut,      ///< The answer, or room for a record, did not come in time.
    kBroker,        ///< The broker refused with Kafka's error `code`.
    kUnsupported,   ///< The broker does not offer this.
    kBadResponse,   ///< The broker's bytes are not what the protocol says.
    kBadRequest,    ///< What was asked for cannot be: an option, a name, an offset.
    kCorrupt,       ///< Records came damaged.
    kClosed,        ///< The client was closed.
    kWouldBlock,    ///< `Producer::try_send`: there is no room for the record at the moment.
};

struct Error {
    ErrorKind kind = ErrorKind::kClosed;
    /// Kafka's error code with kBroker, else 0.
    std::int16_t code = 0;
    /// The same may succeed later.
    bool is_retriable = false;
    /// Nobody knows whether it was done: the answer was lost.
    bool is_unknown = false;
    /// What happened, in one sentence for a person, without a full stop.
    Text text;
};

template <class T>
using Result = std::expected<T, Error>;

}  // namespace dlog
