// The canary's verify_crc, under the name that trust_crc.h gives it.
#include "record/batch.h"

namespace dlog::record {

Result<void> trust_crc(ByteView /*batch*/);
Result<void> trust_crc(ByteView /*batch*/) {
    return {};
}

}  // namespace dlog::record
