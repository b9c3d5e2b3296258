/// ApiVersions: the table of what is served. A version that is not known is answered in version 0
/// (KIP-511).
#include <algorithm>

#include "broker/api_table.h"
#include "broker/handlers/handlers.h"
#include "broker/handlers/respond.h"
#include "protocol/messages/api_versions.h"

namespace dlog::broker {

namespace {

using protocol::ErrorCode;

/// KIP-511: what a client may call itself.
bool is_software_name(std::string_view text) {
    const auto is_plain = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    };
    return !text.empty() && is_plain(text.front()) && is_plain(text.back()) &&
           std::ranges::all_of(text, [&](char c) { return is_plain(c) || c == '-' || c == '.'; });
}

}  // namespace

port::Task<Response> handle_api_versions(Request request) {
    protocol::ApiVersionsResponse body;
    if (!request.api->serves(request.version)) {
        request.version = 0;
        body.error_code = ErrorCode::kUnsupportedVersion;
    } else {
        const auto asked = decode_request<protocol::ApiVersionsRequest>(request);
        if (!asked) co_return undecodable(request, asked.error());
        const bool names_itself =
            request.version < 3 || (is_software_name(asked->client_software_name) &&
                                    is_software_name(asked->client_software_version));
        if (!names_itself) body.error_code = ErrorCode::kInvalidRequest;
    }
    if (body.error_code != ErrorCode::kInvalidRequest) {
        for (const ApiEntry& api : api_table()) {
            body.api_keys.push_back({.api_key = api.key,
                                     .min_version = api.advertised_min(),
                                     .max_version = api.version_max});
        }
    }
    co_return respond(request, body);
}

}  // namespace dlog::broker
