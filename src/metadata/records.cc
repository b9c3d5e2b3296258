#include "metadata/records.h"

#include "base/result.h"
#include "protocol/record_variant.h"

namespace dlog::metadata {

protocol::Result<Buffer> encode_record(const Record& record) {
    protocol::Writer writer;
    DLOG_TRY(protocol::write_record(writer, record));
    return writer.take();
}

protocol::Result<Record> decode_record(ByteView bytes) {
    return protocol::read_record<Record>(bytes);
}

}  // namespace dlog::metadata
