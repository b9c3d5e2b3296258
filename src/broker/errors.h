/// The one table from the rooms' errors to Kafka's codes.
#pragma once

#include <string_view>

#include "protocol/error_code.h"
#include "record/error.h"
#include "replication/partition.h"

namespace dlog::broker {

[[nodiscard]] protocol::ErrorCode error_code_of(replication::Error error);
[[nodiscard]] protocol::ErrorCode error_code_of(record::Error error);

}  // namespace dlog::broker
