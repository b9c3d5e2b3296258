/// A connection to one broker that speaks Kafka's protocol: any request struct in, its response
/// out, in the newest version that both sides know.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/buffer.h"
#include "base/result.h"
#include "base/time.h"
#include "client/channel.h"
#include "client/error.h"
#include "port/net.h"
#include "port/ports.h"
#include "port/task.h"
#include "protocol/api.h"
#include "protocol/frame.h"

namespace dlog::client {

struct ConnectionConfig {
    std::string client_id = "dlog";
    /// For connecting and asking for the broker's versions.
    Duration connect_timeout = seconds(10);
};

/// A response together with the frame that its `bytes` and `records` fields view.
template <class Message>
struct Answer {
    Message message;
    Buffer frame;
    std::int16_t version = 0;

    [[nodiscard]] const Message* operator->() const { return &message; }
    [[nodiscard]] Message* operator->() { return &message; }
};

/// How one request is sent.
struct CallOptions {
    Instant deadline = kNever;
    /// Never use a version above this one.
    std::int16_t version_max = INT16_MAX;
    /// The buffers behind the request's `Records::external(size, token)`, by token.
    std::vector<Buffer> externals;
};

/// Belongs to one core. Calls may overlap: each is sent at once, answers come in order.
class Connection {
  public:
    [[nodiscard]] static port::Task<Result<std::shared_ptr<Connection>>> open(
        const port::Ports* ports, port::Endpoint endpoint, ConnectionConfig config);
    explicit Connection(std::shared_ptr<Channel> channel, std::string client_id)
        : channel_(std::move(channel)), client_id_(std::move(client_id)) {}
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;
    ~Connection() {
        channel_->close({.kind = ErrorKind::kDisconnected, .detail = channel_->peer()});
    }

    /// The version that `Request` is sent in; an error when the broker does not serve any that we
    /// know.
    template <class Request>
    [[nodiscard]] Result<std::int16_t> version_of(std::int16_t version_max = INT16_MAX) const {
        const std::int16_t highest =
            std::min(version_max, protocol::api_info(Request::kKey).highest_stable_version());
        return choose_version(Request::kKey, Request::kLowestVersion, highest);
    }

    template <class Request>
    [[nodiscard]] port::Task<Result<Answer<typename Request::Response>>> call(Request request,
                                                                              CallOptions options) {
        using Response = typename Request::Response;
        DLOG_CO_TRY_ASSIGN(const std::int16_t version, version_of<Request>(options.version_max));
        const std::shared_ptr<Channel> channel = channel_;
        const std::int32_t id = channel->next_correlation_id();
        DLOG_CO_TRY_ASSIGN(auto parts, encode(request, version, id, options.externals));
        DLOG_CO_TRY_ASSIGN(Buffer frame,
                           co_await channel->exchange(id, std::move(parts), options.deadline));
        protocol::Reader reader(frame.view());
        const auto header = protocol::decode_response_header(reader, Request::kKey, version);
        if (!header) co_return unexpected(bad_response(Request::kKey, header.error()));
        auto message = protocol::decode_body<Response>(reader, version);
        if (!message) co_return unexpected(bad_response(Request::kKey, message.error()));
        co_return Answer<Response>{*std::move(message), std::move(frame), version};
    }

    /// Sends a request that the broker does not answer (Produce with acks=0).
    template <class Request>
    [[nodiscard]] port::Task<Result<void>> send(Request request, CallOptions options) {
        DLOG_CO_TRY_ASSIGN(const std::int16_t version, version_of<Request>(options.version_max));
        const std::shared_ptr<Channel> channel = channel_;
        const std::int32_t id = channel->next_correlation_id();
        DLOG_CO_TRY_ASSIGN(auto parts, encode(request, version, id, options.externals));
        co_return co_await channel->send(std::move(parts));
    }

    /// Ends every call under way with kClosed.
    void close() { channel_->close({.kind = ErrorKind::kClosed, .detail = channel_->peer()}); }
    [[nodiscard]] bool is_open() const { return channel_->is_open(); }
    [[nodiscard]] const std::string& peer() const { return channel_->peer(); }

  private:
    struct ServedApi {
        std::int16_t key = 0;
        std::int16_t lowest = 0;
        std::int16_t highest = 0;
    };

    template <class Request>
    [[nodiscard]] Result<std::vector<port::OutPart>> encode(
        const Request& request, std::int16_t version, std::int32_t correlation_id,
        std::span<const Buffer> externals) const {
        protocol::Writer writer;
        const auto encoded =
            protocol::encode_request_frame(writer, version, correlation_id, client_id_, request);
        if (!encoded) return unexpected(bad_request(encoded.error()));
        return join(writer, externals);
    }
    /// What was written, with the external buffers in their places.
    [[nodiscard]] static std::vector<port::OutPart> join(protocol::Writer& writer,
                                                         std::span<const Buffer> externals);
    [[nodiscard]] static Error bad_request(const protocol::Error& error);
    [[nodiscard]] Error bad_response(protocol::ApiKey key, const protocol::Error& error) const;
    [[nodiscard]] Result<std::int16_t> choose_version(protocol::ApiKey key, std::int16_t lowest,
                                                      std::int16_t highest) const;
    port::Task<Result<void>> ask_versions(Instant deadline);
    port::Task<Result<bool>> ask_versions_in(std::int16_t version, Instant deadline);

    std::shared_ptr<Channel> channel_;
    const std::string client_id_;
    std::vector<ServedApi> served_;
};

using ConnectionPtr = std::shared_ptr<Connection>;

}  // namespace dlog::client
