/// A client's connection to the node, in Kafka's protocol and nothing more: no retries of its own.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/buffer.h"
#include "port/clock.h"
#include "port/net.h"
#include "port/ports.h"
#include "protocol/frame.h"

namespace dlog::simtest {

template <class Message>
struct Reply {
    Message message;
    Buffer frame;  ///< What the message's views point into.
};

/// One at a time uses it. An answer that does not come within the time limit ends the connection,
/// as it does in Kafka's clients.
class Wire {
  public:
    static constexpr Duration kAnswerLimit = seconds(8);

    Wire(const port::Ports& ports, port::Endpoint endpoint)
        : ports_(ports), endpoint_(std::move(endpoint)), alarm_(*this) {}
    Wire(const Wire&) = delete;
    Wire& operator=(const Wire&) = delete;

    [[nodiscard]] bool is_open() const { return connection_ != nullptr; }
    [[nodiscard]] const port::Ports& ports() const { return ports_; }
    void drop() { connection_.reset(); }

    /// Connects unless it is connected.
    static port::Task<bool> open(Wire& self) {
        if (self.is_open()) co_return true;
        auto connected = co_await self.ports_.net.connect(self.endpoint_);
        if (!connected) co_return false;
        self.connection_ = *std::move(connected);
        self.correlation_id_ = 0;
        self.answered_ = 0;
        co_return true;
    }

    /// False when the connection ended; it is dropped then.
    template <class Request>
    static port::Task<bool> send(Wire& self, std::int16_t version, Request request) {
        protocol::Writer writer;
        const auto encoded = protocol::encode_request_frame(writer, version, ++self.correlation_id_,
                                                            std::string("simulation"), request);
        DLOG_ASSERT(encoded.has_value());
        std::vector<port::OutPart> parts;
        parts.emplace_back(writer.take());
        self.ports_.clock.arm(self.alarm_, self.ports_.clock.now() + kAnswerLimit);
        const auto written = co_await self.connection_->write(std::move(parts));
        self.ports_.clock.disarm(self.alarm_);
        if (!written) self.drop();
        co_return written.has_value();
    }

    /// The answer to the oldest request that has none; nothing when the connection ended, or when
    /// what came is no such answer, which `is_garbled` tells.
    template <class Response>
    static port::Task<std::optional<Reply<Response>>> receive(Wire& self, std::int16_t version) {
        std::uint8_t length[4];
        std::optional<Buffer> frame;
        self.ports_.clock.arm(self.alarm_, self.ports_.clock.now() + kAnswerLimit);
        const auto has_length = co_await port::read_exactly(*self.connection_, length);
        if (has_length && *has_length) {
            frame = Buffer::allocate(load_big_endian<std::uint32_t>(length));
            const auto has_frame =
                co_await port::read_exactly(*self.connection_, frame->mutable_view());
            if (!has_frame || !*has_frame) frame.reset();
        }
        self.ports_.clock.disarm(self.alarm_);
        if (!frame) {
            self.drop();
            co_return std::nullopt;
        }
        protocol::Reader reader(frame->view());
        const auto header = protocol::decode_response_header(reader, Response::kKey, version);
        if (header && header->correlation_id == ++self.answered_) {
            auto body = protocol::decode_body<Response>(reader, version);
            if (body) co_return Reply<Response>{*std::move(body), *std::move(frame)};
        }
        self.is_garbled_ = true;
        self.drop();
        co_return std::nullopt;
    }

    template <class Request>
    static port::Task<std::optional<Reply<typename Request::Response>>> call(Wire& self,
                                                                             std::int16_t version,
                                                                             Request request) {
        if (!co_await open(self)) co_return std::nullopt;
        if (!co_await send(self, version, std::move(request))) co_return std::nullopt;
        co_return co_await receive<typename Request::Response>(self, version);
    }

    /// An answer came that was none: the node is wrong.
    [[nodiscard]] bool is_garbled() const { return is_garbled_; }

  private:
    class Alarm final : public port::Timer {
      public:
        explicit Alarm(Wire& owner) : owner_(owner) {}
        void fired() override {
            if (owner_.connection_ != nullptr) owner_.connection_->close();
        }

      private:
        Wire& owner_;
    };

    const port::Ports& ports_;
    port::Endpoint endpoint_;
    port::ConnectionPtr connection_;
    std::int32_t correlation_id_ = 0;
    std::int32_t answered_ = 0;
    bool is_garbled_ = false;
    Alarm alarm_;
};

}  // namespace dlog::simtest
