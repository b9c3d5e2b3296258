#include "client/connection.h"

#include "base/assert.h"
#include "port/clock.h"
#include "protocol/messages/api_versions.h"

namespace dlog::client {

namespace {

/// Version 4 only changes what the broker says of features, 5 asks which cluster is meant.
constexpr std::int16_t kVersionsVersion = 3;

std::string fault_text(protocol::ApiKey key, const protocol::Error& error) {
    return std::string(protocol::api_name(key)) + ": " + error.text();
}

}  // namespace

port::Task<Result<std::shared_ptr<Connection>>> Connection::open(const port::Ports* ports,
                                                                 port::Endpoint endpoint,
                                                                 ConnectionConfig config) {
    const Instant deadline = ports->clock.now() + config.connect_timeout;
    DLOG_CO_TRY_ASSIGN(auto channel, co_await Channel::open(ports, std::move(endpoint), deadline));
    auto connection = std::make_shared<Connection>(std::move(channel), std::move(config.client_id));
    DLOG_CO_TRY(co_await connection->ask_versions(deadline));
    co_return connection;
}

/// A broker that does not know the version asked for answers in version 0 and with the versions
/// that it knows (KIP-511).
port::Task<Result<void>> Connection::ask_versions(Instant deadline) {
    DLOG_CO_TRY_ASSIGN(const bool is_done, co_await ask_versions_in(kVersionsVersion, deadline));
    if (is_done) co_return Result<void>();
    DLOG_CO_TRY_ASSIGN(const bool is_done_now, co_await ask_versions_in(0, deadline));
    if (is_done_now) co_return Result<void>();
    co_return unexpected(
        Error{.kind = ErrorKind::kUnsupported,
              .detail = channel_->peer() + " does not answer ApiVersions; is it a Kafka broker?"});
}

/// False when the broker asks for another version.
port::Task<Result<bool>> Connection::ask_versions_in(std::int16_t version, Instant deadline) {
    protocol::ApiVersionsRequest request;
    request.client_software_name = version >= 3 ? "dlog" : "";
    request.client_software_version = version >= 3 ? "1" : "";
    const std::int32_t id = channel_->next_correlation_id();
    DLOG_CO_TRY_ASSIGN(auto parts, encode(request, version, id, {}));
    DLOG_CO_TRY_ASSIGN(const Buffer frame,
                       co_await channel_->exchange(id, std::move(parts), deadline));
    constexpr std::size_t kHeaderBytes = 4;  // header version 0, whatever the request's version
    const ByteView body = frame.view().subspan(kHeaderBytes);
    const bool is_refused =
        body.size() >= 2 && load_big_endian<std::int16_t>(body.data()) ==
                                static_cast<std::int16_t>(protocol::ErrorCode::kUnsupportedVersion);
    if (is_refused) co_return false;
    protocol::Reader reader(body);
    const auto response = protocol::decode_body<protocol::ApiVersionsResponse>(reader, version);
    if (!response) co_return unexpected(bad_response(request.kKey, response.error()));
    if (response->error_code != protocol::ErrorCode::kNone) {
        co_return unexpected(broker_error(response->error_code, channel_->peer()));
    }
    served_.clear();
    for (const auto& api : response->api_keys) {
        served_.push_back({api.api_key, api.min_version, api.max_version});
    }
    co_return true;
}

Result<std::int16_t> Connection::choose_version(protocol::ApiKey key, std::int16_t lowest,
                                                std::int16_t highest) const {
    for (const ServedApi& api : served_) {
        if (api.key != static_cast<std::int16_t>(key)) continue;
        const std::int16_t version = std::min(highest, api.highest);
        if (version >= lowest && version >= api.lowest) return version;
        return unexpected(Error{.kind = ErrorKind::kUnsupported,
                                .detail = std::string(protocol::api_name(key)) +
                                          ": no version of it is known to both sides"});
    }
    return unexpected(
        Error{.kind = ErrorKind::kUnsupported,
              .detail = std::string(protocol::api_name(key)) + " is not served by " + peer()});
}

std::vector<port::OutPart> Connection::join(protocol::Writer& writer,
                                            std::span<const Buffer> externals) {
    const std::vector<protocol::Splice> splices = writer.splices();
    const Buffer written = writer.take();
    std::vector<port::OutPart> parts;
    std::size_t position = 0;
    for (const protocol::Splice& splice : splices) {
        DLOG_ASSERT(splice.token < externals.size(), splice.token, externals.size());
        DLOG_ASSERT(externals[splice.token].size() == splice.size);
        if (splice.position > position) {
            parts.emplace_back(written.slice(position, splice.position - position));
        }
        parts.emplace_back(externals[splice.token]);
        position = splice.position;
    }
    if (position < written.size()) {
        parts.emplace_back(written.slice(position, written.size() - position));
    }
    return parts;
}

Error Connection::bad_request(const protocol::Error& error) {
    return {.kind = ErrorKind::kBadRequest, .detail = error.text()};
}

Error Connection::bad_response(protocol::ApiKey key, const protocol::Error& error) const {
    return {.kind = ErrorKind::kBadResponse,
            .detail = fault_text(key, error) + " (from " + peer() + ")"};
}

}  // namespace dlog::client
