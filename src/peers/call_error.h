/// Why a call to another node failed.
#pragma once

#include <cstdint>
#include <string_view>

namespace dlog::peers {

/// On the wire as its number: values stay as they are.
enum class CallError : std::uint8_t {
    kUnreachable = 1,  ///< No connection: the request did not leave this node.
    kLost = 2,         ///< The connection broke: the other node may have done what was asked.
    kTimedOut = 3,     ///< No answer by the deadline; the same may be true.
    kOverloaded = 4,   ///< Too much under way here or there: nothing was done, ask again later.
    kUnknownKind = 5,  ///< The other node does not know what is asked of it.
    kRefused = 6,      ///< The other node would not do it; what it says more is its own protocol.
    kTooLarge = 7,     ///< A body above kCallBodyMax, here or there.
    kStopping = 8,     ///< This node, or the other one, is stopping; it may have been done.
};

[[nodiscard]] std::string_view call_error_name(CallError error);

}  // namespace dlog::peers
