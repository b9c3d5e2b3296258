/// Whole frames: a header and a message behind a length.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>

#include "base/bytes.h"
#include "protocol/api.h"
#include "protocol/messages/header.h"
#include "protocol/reader.h"
#include "protocol/types.h"
#include "protocol/writer.h"

namespace dlog::protocol {

/// The eight bytes that every request begins with, whatever its API and version.
struct RequestStart {
    std::int16_t api_key = 0;
    std::int16_t api_version = 0;
    std::int32_t correlation_id = 0;

    bool operator==(const RequestStart&) const = default;
};

/// `frame` is what follows the length.
[[nodiscard]] Result<RequestStart> read_request_start(ByteView frame);

/// Reads the header in the version that its API and version ask for; kUnsupportedVersion for an
/// unknown API. The request's own version may be one that the schema lacks.
[[nodiscard]] Result<RequestHeader> decode_request_header(Reader& reader);
[[nodiscard]] Result<ResponseHeader> decode_response_header(Reader& reader, ApiKey key,
                                                            std::int16_t version);

void encode_request_header(Writer& writer, ApiKey key, std::int16_t version,
                           std::int32_t correlation_id,
                           const std::optional<std::string>& client_id);
void encode_response_header(Writer& writer, ApiKey key, std::int16_t version,
                            std::int32_t correlation_id);

/// Appends a whole frame with its length to the writer.
template <class Request>
[[nodiscard]] Result<void> encode_request_frame(Writer& writer, std::int16_t version,
                                                std::int32_t correlation_id,
                                                const std::optional<std::string>& client_id,
                                                const Request& request) {
    const std::size_t begin = writer.begin_frame();
    encode_request_header(writer, Request::kKey, version, correlation_id, client_id);
    static_cast<void>(request.encode(writer, version));
    writer.end_frame(begin);
    return writer.finish();
}
template <class Response>
[[nodiscard]] Result<void> encode_response_frame(Writer& writer, std::int16_t version,
                                                 std::int32_t correlation_id,
                                                 const Response& response) {
    const std::size_t begin = writer.begin_frame();
    encode_response_header(writer, Response::kKey, version, correlation_id);
    static_cast<void>(response.encode(writer, version));
    writer.end_frame(begin);
    return writer.finish();
}

/// Decodes what is left of a frame after its header. Bytes left over are ignored, as Kafka's
/// brokers and clients do; `reader.finish()` refuses them.
template <class Message>
[[nodiscard]] Result<Message> decode_body(Reader& reader, std::int16_t version) {
    return Message::decode(reader, version);
}

}  // namespace dlog::protocol
