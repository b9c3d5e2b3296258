/// One stream to a broker that carries frames: requests go out without waiting for earlier answers,
/// answers come back in order and find their requests by correlation id.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "base/time.h"
#include "client/error.h"
#include "port/net.h"
#include "port/ports.h"
#include "port/sync.h"
#include "port/task.h"

namespace dlog::client {

/// Belongs to one core. Held by shared_ptr: the coroutines that read and write keep it alive until
/// the stream has ended. Limits: an answer is at most `kFrameBytesMax`; a request that is not
/// answered by its deadline ends the stream, as in Kafka's clients, since answers behind it are
/// late as well.
class Channel : public std::enable_shared_from_this<Channel> {
  public:
    static constexpr std::size_t kFrameBytesMax = std::size_t{256} << 20;

    [[nodiscard]] static port::Task<Result<std::shared_ptr<Channel>>> open(const port::Ports* ports,
                                                                           port::Endpoint endpoint,
                                                                           Instant deadline);
    Channel(const port::Ports& ports, port::ConnectionPtr connection, std::string peer)
        : ports_(ports), connection_(std::move(connection)), peer_(std::move(peer)) {}
    Channel(const Channel&) = delete;
    Channel& operator=(const Channel&) = delete;

    /// The id to put into the next request's header.
    [[nodiscard]] std::int32_t next_correlation_id() { return next_correlation_id_++; }

    /// Sends a whole frame (its length included) and returns the answer from its correlation id on.
    [[nodiscard]] port::Task<Result<Buffer>> exchange(std::int32_t correlation_id,
                                                      std::vector<port::OutPart> frame,
                                                      Instant deadline);
    /// Sends a frame that is not answered (produce with acks=0). Returns when it has been handed to
    /// the system.
    [[nodiscard]] port::Task<Result<void>> send(std::vector<port::OutPart> frame);

    /// Ends every exchange under way with `why`.
    void close(Error why);
    [[nodiscard]] bool is_open() const { return !is_closed_; }
    [[nodiscard]] const std::string& peer() const { return peer_; }
    [[nodiscard]] std::size_t in_flight() const { return pending_.size(); }

  private:
    /// A request that waits for its answer.
    struct Pending {
        std::int32_t correlation_id = 0;
        bool is_done = false;
        Result<Buffer> result{Buffer()};
        port::Notifier done;
    };

    static port::Task<void> read_loop(std::shared_ptr<Channel> self);
    static port::Task<void> write_loop(std::shared_ptr<Channel> self);
    port::Task<Result<Buffer>> read_frame();
    [[nodiscard]] bool deliver(Buffer frame);
    void enqueue(std::vector<port::OutPart> frame);
    [[nodiscard]] Error error_of(port::NetError error) const;

    const port::Ports& ports_;
    port::ConnectionPtr connection_;
    const std::string peer_;
    std::int32_t next_correlation_id_ = 0;
    std::deque<std::shared_ptr<Pending>> pending_;
    std::vector<port::OutPart> unsent_;
    std::uint64_t enqueued_frames_ = 0;
    std::uint64_t sent_frames_ = 0;
    port::Notifier sent_;
    bool is_writing_ = false;
    bool is_closed_ = false;
    Error closed_by_;
};

}  // namespace dlog::client
