/// Records of several kinds in one stream: the kind's id and version as unsigned varints, then its
/// fields. The kinds are the alternatives of a std::variant of generated structs.
#pragma once

#include <cstdint>
#include <type_traits>
#include <utility>
#include <variant>

#include "base/buffer.h"
#include "base/bytes.h"
#include "base/result.h"
#include "protocol/reader.h"
#include "protocol/types.h"
#include "protocol/writer.h"

namespace dlog::protocol {

/// Appends `record`, in the highest version of its kind.
template <class Variant>
[[nodiscard]] Result<void> write_record(Writer& writer, const Variant& record) {
    const auto write = [&writer](const auto& known) {
        using Known = std::decay_t<decltype(known)>;
        writer.unsigned_varint(static_cast<std::uint32_t>(Known::kId));
        writer.unsigned_varint(static_cast<std::uint32_t>(Known::kHighestVersion));
        return known.encode(writer, Known::kHighestVersion);
    };
    return std::visit(write, record);
}

/// Tries the alternatives one after the other until one has `id`.
template <class Variant, std::size_t kIndex = 0>
[[nodiscard]] Result<Variant> read_known_record(Reader& reader, std::uint32_t id,
                                                std::int16_t version) {
    if constexpr (kIndex == std::variant_size_v<Variant>) {
        reader.fail(Fault::kUnsupportedVersion);
        return std::unexpected(reader.error());
    } else {
        using Candidate = std::variant_alternative_t<kIndex, Variant>;
        if (id != static_cast<std::uint32_t>(Candidate::kId)) {
            return read_known_record<Variant, kIndex + 1>(reader, id, version);
        }
        DLOG_TRY_ASSIGN(Candidate record, Candidate::decode(reader, version));
        DLOG_TRY(reader.finish());
        return Variant(std::move(record));
    }
}

/// All of `bytes` is one record. kUnsupportedVersion for a kind or a version that is not known.
template <class Variant>
[[nodiscard]] Result<Variant> read_record(ByteView bytes) {
    Reader reader(bytes);
    std::uint32_t id = 0;
    std::uint32_t version = 0;
    reader.unsigned_varint(id);
    reader.unsigned_varint(version);
    if (reader.ok() && version > INT16_MAX) reader.fail(Fault::kUnsupportedVersion);
    if (!reader.ok()) return std::unexpected(reader.error());
    return read_known_record<Variant>(reader, id, static_cast<std::int16_t>(version));
}

}  // namespace dlog::protocol
