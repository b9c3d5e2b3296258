/// The addresses of peers as text.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace dlog::broker {

/// An IPv4 or IPv6 address in its one shortest form (RFC 5952); IPv4 within IPv6 as IPv4. Nothing
/// when `text` is not an address.
[[nodiscard]] std::optional<std::string> canonical_address(std::string_view text);

/// "192.0.2.1:40312" -> "192.0.2.1", "[::1]:40312" -> "::1", in that form where it is an address.
[[nodiscard]] std::string address_of_peer(std::string_view peer);

}  // namespace dlog::broker
