/// The codec room's errors in this room's terms. For this room alone.
#pragma once

#include "codec/error.h"
#include "record/error.h"

namespace dlog::record {

[[nodiscard]] Error from_codec(codec::Error error);

}  // namespace dlog::record
