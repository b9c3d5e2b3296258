#include "protocol/types.h"

#include "base/assert.h"

namespace dlog::protocol {

std::string_view fault_name(Fault fault) {
    switch (fault) {
        case Fault::kNone:
            return "no fault";
        case Fault::kTruncated:
            return "the bytes end inside a field";
        case Fault::kBadLength:
            return "a length or count is impossible";
        case Fault::kBadVarint:
            return "a varint is too long";
        case Fault::kUnexpectedNull:
            return "null where none is allowed";
        case Fault::kBadTag:
            return "a tagged field has the wrong size";
        case Fault::kTooMuchMemory:
            return "the message would take too much memory";
        case Fault::kTrailingBytes:
            return "bytes are left over after the message";
        case Fault::kUnsupportedVersion:
            return "there is no such version of the message";
        case Fault::kFieldNotInVersion:
            return "a field is set that this version of the message cannot carry";
        case Fault::kTooLong:
            return "a value is too long to be encoded";
    }
    DLOG_UNREACHABLE();
}

std::string Error::text() const {
    std::string result(fault_name(fault));
    result += " at byte " + std::to_string(position);
    if (!field.empty()) result.append(" (").append(field).append(")");
    return result;
}

}  // namespace dlog::protocol
