/// Between the public words and those of the rooms below.
#pragma once

#include <cstdint>
#include <optional>

#include "base/bytes.h"
#include "base/time.h"
#include "client/error.h"
#include "dlog/record.h"
#include "dlog/result.h"
#include "dlog/time.h"

namespace dlog::sdk {

[[nodiscard]] Error public_error(const client::Error& error);
[[nodiscard]] Error error_of(ErrorKind kind, std::string_view text);

/// Beyond a year it is one: nobody waits that long, and no deadline overflows.
[[nodiscard]] Duration duration_of(TimeSpan span);

[[nodiscard]] inline std::optional<ByteView> view_of(const Bytes& bytes) {
    if (bytes.is_null()) return std::nullopt;
    return as_bytes(bytes.text());
}
[[nodiscard]] inline Bytes bytes_of(const std::optional<ByteView>& view) {
    if (!view) return {};
    return {reinterpret_cast<const char*>(view->data()), view->size()};
}

/// The clocks as any thread may read them; the client's thread has its own.
[[nodiscard]] Instant monotonic_now();
[[nodiscard]] Timestamp wall_now();

}  // namespace dlog::sdk
