/// The words for this room's errors.
#include "codec/error.h"

#include "base/assert.h"

namespace dlog::codec {

std::string_view error_text(Error error) {
    switch (error) {
        case Error::kUnknownCodec:
            return "unknown compression codec";
        case Error::kTruncated:
            return "the compressed bytes end too early";
        case Error::kCorrupt:
            return "the compressed bytes are corrupt";
        case Error::kTooLarge:
            return "the decompressed bytes exceed their limit";
        case Error::kNoMemory:
            return "no memory for the decompressor";
    }
    DLOG_UNREACHABLE();
}

}  // namespace dlog::codec
