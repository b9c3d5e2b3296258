/// The records that the controller's state is folded from, and their bytes in the metadata log. The
/// structs are generated from schema/metadata_records.kafka.
#pragma once

#include <string>
#include <variant>

#include "base/buffer.h"
#include "base/bytes.h"
#include "metadata/messages/metadata_records.h"
#include "protocol/types.h"

namespace dlog::metadata {

using Record =
    std::variant<ClusterRecord, NodeRecord, TopicRecord, PartitionRecord, TopicConfigRecord,
                 RemoveTopicRecord, ProducerIdsRecord, BrokerConfigRecord, ClientQuotaRecord,
                 GroupConfigRecord, FeatureLevelRecord>;

/// The value of a record in the log: the record's id and version as unsigned varints, then its
/// fields.
[[nodiscard]] protocol::Result<Buffer> encode_record(const Record& record);

/// kUnsupportedVersion for a record that this program does not know.
[[nodiscard]] protocol::Result<Record> decode_record(ByteView bytes);

}  // namespace dlog::metadata
