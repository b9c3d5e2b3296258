#include "sdk/convert.h"

#include <time.h>

#include <algorithm>

#include "base/assert.h"

namespace dlog::sdk {

namespace {

ErrorKind public_kind(client::ErrorKind kind) {
    switch (kind) {
        case client::ErrorKind::kUnreachable:
            return ErrorKind::kUnreachable;
        case client::ErrorKind::kDisconnected:
            return ErrorKind::kDisconnected;
        case client::ErrorKind::kTimedOut:
            return ErrorKind::kTimedOut;
        case client::ErrorKind::kBroker:
            return ErrorKind::kBroker;
        case client::ErrorKind::kUnsupported:
            return ErrorKind::kUnsupported;
        case client::ErrorKind::kBadResponse:
            return ErrorKind::kBadResponse;
        case client::ErrorKind::kBadRequest:
            return ErrorKind::kBadRequest;
        case client::ErrorKind::kCorrupt:
            return ErrorKind::kCorrupt;
        case client::ErrorKind::kClosed:
            return ErrorKind::kClosed;
    }
    DLOG_UNREACHABLE();
}

std::int64_t read_ns(clockid_t clock) {
    timespec time{};
    const int status = ::clock_gettime(clock, &time);
    DLOG_ASSERT(status == 0, status);
    return time.tv_sec * 1'000'000'000 + time.tv_nsec;
}

}  // namespace

Error public_error(const client::Error& error) {
    return {.kind = public_kind(error.kind),
            .code = static_cast<std::int16_t>(error.code),
            .is_retriable = error.is_retriable(),
            .text = error.text()};
}

Error error_of(ErrorKind kind, std::string_view text) {
    return {.kind = kind,
            .is_retriable = kind == ErrorKind::kTimedOut || kind == ErrorKind::kWouldBlock,
            .text = text};
}

Duration duration_of(TimeSpan span) {
    constexpr std::int64_t kYearNs = std::int64_t{365} * 86'400 * 1'000'000'000;
    return {std::clamp<std::int64_t>(span.ns, 0, kYearNs)};
}

Instant monotonic_now() {
    return Instant{read_ns(CLOCK_MONOTONIC)};
}

Timestamp wall_now() {
    return Timestamp{read_ns(CLOCK_REALTIME) / 1'000'000};
}

}  // namespace dlog::sdk
