/// A request on its way to its handler, and the response on its way back.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/time.h"
#include "broker/frame_reader.h"
#include "port/net.h"

namespace dlog::broker {

class Affinity;
struct ApiEntry;
struct Core;
struct RequestQuota;

/// One request with the frame that its views point into. Its core is that of the connection.
struct Request {
    Core* core = nullptr;
    const ApiEntry* api = nullptr;
    std::int16_t version = 0;
    std::int32_t correlation_id = 0;
    std::string_view client_id;
    /// The peer's address; lives as long as the connection.
    std::string_view peer;
    ByteView body;
    Frame frame;
    /// When its last byte was there.
    Instant received;
    /// Of the connection, for the handler to fill in before it first waits.
    Affinity* affinity = nullptr;
    /// Where the handler of a Fetch leaves the id of its session; lives as long as the connection.
    std::int32_t* fetch_session_id = nullptr;
    /// What quotas say of this request; lives until it is answered.
    RequestQuota* quota = nullptr;
};

/// What is written back.
struct Response {
    std::vector<port::OutPart> parts;
    /// Why the request cannot be answered at all: the connection is closed with this in its log
    /// line.
    std::string broken;

    [[nodiscard]] std::size_t size_bytes() const;
};

[[nodiscard]] Response broken_request(std::string why);

}  // namespace dlog::broker
