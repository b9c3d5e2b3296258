/// The records of __consumer_offsets and their bytes, which are Kafka's. The structs are generated
/// from schema/group_records.kafka.
#pragma once

#include <cstdint>
#include <expected>
#include <string>

#include "base/assert.h"
#include "base/bytes.h"
#include "base/result.h"
#include "coordination/group/input.h"
#include "coordination/messages/group_records.h"
#include "protocol/reader.h"
#include "protocol/writer.h"

namespace dlog::coordination {

/// In the versions that Kafka 4.3 writes: a commit that expires at a time of its own needs an old
/// one.
inline constexpr std::int16_t kOffsetCommitVersion = 4;
inline constexpr std::int16_t kExpiringOffsetCommitVersion = 1;
inline constexpr std::int16_t kGroupMetadataVersion = 3;

template <class Key>
[[nodiscard]] Buffer encode_key(const Key& key) {
    protocol::Writer writer;
    writer.write(Key::kId);
    const auto encoded = key.encode(writer, Key::kHighestVersion);
    // Strings that came in a message are short enough for a record.
    DLOG_ASSERT(encoded.has_value(), Key::kId);
    return writer.take();
}

template <class Key>
[[nodiscard]] GroupRecord tombstone(const Key& key) {
    return {.key = encode_key(key), .value = Buffer(), .is_tombstone = true};
}

template <class Key, class Value>
[[nodiscard]] GroupRecord make_record(const Key& key, const Value& value,
                                      std::int16_t version = Value::kHighestVersion) {
    protocol::Writer writer;
    writer.write(version);
    const auto encoded = value.encode(writer, version);
    DLOG_ASSERT(encoded.has_value(), Key::kId, version);
    return {.key = encode_key(key), .value = writer.take(), .is_tombstone = false};
}

/// What follows the record type in a key.
template <class Key>
[[nodiscard]] std::expected<Key, std::string> decode_key(ByteView fields) {
    protocol::Reader reader(fields);
    auto key = Key::decode(reader, Key::kHighestVersion);
    if (!key) return std::unexpected(key.error().text());
    if (const auto end = reader.finish(); !end) return std::unexpected(end.error().text());
    return *std::move(key);
}

/// The views in the result point into `bytes`.
template <class Value>
[[nodiscard]] std::expected<Value, std::string> decode_value(ByteView bytes) {
    protocol::Reader reader(bytes);
    std::int16_t version = 0;
    reader.read(version);
    if (!reader.ok()) return std::unexpected(reader.error().text());
    auto value = Value::decode(reader, version);
    if (!value) return std::unexpected(value.error().text());
    if (const auto end = reader.finish(); !end) return std::unexpected(end.error().text());
    return *std::move(value);
}

}  // namespace dlog::coordination
