/// One question to a node's HTTP port.
#pragma once

#include <expected>
#include <string>

#include "base/time.h"
#include "port/net.h"
#include "port/ports.h"
#include "port/task.h"

namespace dlog::cli {

inline constexpr std::size_t kHttpBytesMax = 8 << 20;

/// The body of a 200 answer, or in words why there is none. Takes no longer than `timeout`, and no
/// more than kHttpBytesMax.
[[nodiscard]] port::Task<std::expected<std::string, std::string>> http_get(const port::Ports* ports,
                                                                           port::Endpoint endpoint,
                                                                           std::string path,
                                                                           Duration timeout);

/// The body of a whole HTTP/1.x response that is not chunked (RFC 9112), or what is wrong with it.
[[nodiscard]] std::expected<std::string, std::string> http_body(std::string response);

}  // namespace dlog::cli
