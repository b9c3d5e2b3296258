#include "peers/call_error.h"

namespace dlog::peers {

std::string_view call_error_name(CallError error) {
    switch (error) {
        case CallError::kUnreachable:
            return "the node cannot be reached";
        case CallError::kLost:
            return "the connection broke before the answer came";
        case CallError::kTimedOut:
            return "no answer in time";
        case CallError::kOverloaded:
            return "too many calls are under way";
        case CallError::kUnknownKind:
            return "the node does not know this call";
        case CallError::kRefused:
            return "the node refused";
        case CallError::kTooLarge:
            return "the body is too large";
        case CallError::kStopping:
            return "a node is stopping";
    }
    return "unknown error of a call";
}

}  // namespace dlog::peers
