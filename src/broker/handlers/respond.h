/// From a request's bytes to a message, and from a message to a response's bytes.
#pragma once

#include <string>
#include <utility>

#include "broker/client_throttle.h"
#include "broker/request.h"
#include "protocol/frame.h"
#include "protocol/reader.h"
#include "protocol/writer.h"

namespace dlog::broker {

/// What one request may take in memory once decoded.
inline constexpr std::size_t kDecodedBytesMax = std::size_t{64} << 20;

template <class Message>
[[nodiscard]] protocol::Result<Message> decode_request(const Request& request) {
    protocol::Reader reader(request.body, kDecodedBytesMax);
    return protocol::decode_body<Message>(reader, request.version);
}

/// The connection is closed with the fault in its log line.
[[nodiscard]] Response undecodable(const Request& request, const protocol::Error& error);
[[nodiscard]] Response unencodable(const Request& request, const protocol::Error& error);

/// Says in `message` how long the client is throttled, where the message has a place for it.
template <class Message>
[[nodiscard]] Response respond(const Request& request, Message& message) {
    if constexpr (requires { message.throttle_time_ms; }) {
        message.throttle_time_ms = throttle_ms(request);
    }
    protocol::Writer writer;
    const auto encoded =
        protocol::encode_response_frame(writer, request.version, request.correlation_id, message);
    if (!encoded) return unencodable(request, encoded.error());
    Response response;
    response.parts.emplace_back(writer.take());
    return response;
}

}  // namespace dlog::broker
