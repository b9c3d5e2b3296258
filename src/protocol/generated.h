/// What every generated codec needs besides the messages themselves. Only generated sources include
/// this.
#pragma once

#include <type_traits>
#include <utility>

#include "protocol/reader.h"
#include "protocol/types.h"
#include "protocol/writer.h"

namespace dlog::protocol {

template <class Message>
[[nodiscard]] bool has_version(std::int16_t version) {
    return version >= Message::kLowestVersion && version <= Message::kHighestVersion;
}

template <class Message>
[[nodiscard]] Result<Message> decode_message(Reader& reader, std::int16_t version,
                                             std::type_identity_t<Reader::Decode<Message>> decode) {
    Result<Message> result;
    if (has_version<Message>(version)) {
        decode(reader, version, *result);
    } else {
        reader.fail(Fault::kUnsupportedVersion);
    }
    if (!reader.ok()) result = std::unexpected(reader.error());
    return result;
}

template <class Message>
[[nodiscard]] Result<void> encode_message(Writer& writer, std::int16_t version,
                                          const Message& message,
                                          std::type_identity_t<Writer::Encode<Message>> encode) {
    if (has_version<Message>(version)) {
        encode(writer, version, message);
    } else {
        writer.fail(Fault::kUnsupportedVersion, Message::kName);
    }
    return writer.finish();
}

}  // namespace dlog::protocol
