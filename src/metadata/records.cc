#include "metadata/records.h"

#include <cstdint>
#include <utility>

#include "base/result.h"
#include "protocol/reader.h"
#include "protocol/writer.h"

namespace dlog::metadata {

namespace {

using protocol::Reader;
using protocol::Writer;

/// Tries the alternatives of Record one after the other until one has `id`.
template <std::size_t kIndex = 0>
protocol::Result<Record> decode_known(Reader& reader, std::uint32_t id, std::int16_t version) {
    if constexpr (kIndex == std::variant_size_v<Record>) {
        reader.fail(protocol::Fault::kUnsupportedVersion);
        return std::unexpected(reader.error());
    } else {
        using Candidate = std::variant_alternative_t<kIndex, Record>;
        if (id != static_cast<std::uint32_t>(Candidate::kId)) {
            return decode_known<kIndex + 1>(reader, id, version);
        }
        DLOG_TRY_ASSIGN(Candidate record, Candidate::decode(reader, version));
        DLOG_TRY(reader.finish());
        return Record(std::move(record));
    }
}

}  // namespace

protocol::Result<Buffer> encode_record(const Record& record) {
    Writer writer;
    const auto write = [&writer](const auto& known) {
        using Known = std::decay_t<decltype(known)>;
        writer.unsigned_varint(static_cast<std::uint32_t>(Known::kId));
        writer.unsigned_varint(static_cast<std::uint32_t>(Known::kHighestVersion));
        return known.encode(writer, Known::kHighestVersion);
    };
    DLOG_TRY(std::visit(write, record));
    return writer.take();
}

protocol::Result<Record> decode_record(ByteView bytes) {
    Reader reader(bytes);
    std::uint32_t id = 0;
    std::uint32_t version = 0;
    reader.unsigned_varint(id);
    reader.unsigned_varint(version);
    if (reader.ok() && version > INT16_MAX) reader.fail(protocol::Fault::kUnsupportedVersion);
    if (!reader.ok()) return std::unexpected(reader.error());
    return decode_known(reader, id, static_cast<std::int16_t>(version));
}

}  // namespace dlog::metadata
