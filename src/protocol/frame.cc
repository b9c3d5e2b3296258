#include "protocol/frame.h"

namespace dlog::protocol {

Result<RequestStart> read_request_start(ByteView frame) {
    Reader reader(frame);
    RequestStart start;
    reader.read(start.api_key);
    reader.read(start.api_version);
    reader.read(start.correlation_id);
    if (!reader.ok()) return std::unexpected(reader.error());
    return start;
}

Result<RequestHeader> decode_request_header(Reader& reader) {
    const Result<RequestStart> start = read_request_start(reader.rest());
    const ApiInfo* const api = start ? find_api(start->api_key) : nullptr;
    if (!start) {
        reader.fail(start.error().fault);
    } else if (api == nullptr || api->is_removed()) {
        reader.fail(Fault::kUnsupportedVersion);
    }
    if (!reader.ok()) return std::unexpected(reader.error());
    return RequestHeader::decode(reader, request_header_version(api->key, start->api_version));
}

Result<ResponseHeader> decode_response_header(Reader& reader, ApiKey key, std::int16_t version) {
    return ResponseHeader::decode(reader, response_header_version(key, version));
}

void encode_request_header(Writer& writer, ApiKey key, std::int16_t version,
                           std::int32_t correlation_id,
                           const std::optional<std::string>& client_id) {
    const RequestHeader header{.request_api_key = static_cast<std::int16_t>(key),
                               .request_api_version = version,
                               .correlation_id = correlation_id,
                               .client_id = client_id};
    static_cast<void>(header.encode(writer, request_header_version(key, version)));
}

void encode_response_header(Writer& writer, ApiKey key, std::int16_t version,
                            std::int32_t correlation_id) {
    const ResponseHeader header{.correlation_id = correlation_id};
    static_cast<void>(header.encode(writer, response_header_version(key, version)));
}

}  // namespace dlog::protocol
