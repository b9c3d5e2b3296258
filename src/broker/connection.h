/// One client's connection: reads its requests, has them handled, and writes the responses in the
/// order of the requests.
#pragma once

#include <coroutine>
#include <cstdint>
#include <deque>
#include <optional>
#include <string_view>

#include "base/time.h"
#include "broker/admission.h"
#include "broker/affinity.h"
#include "broker/client_throttle.h"
#include "broker/fetch_session.h"
#include "broker/frame_reader.h"
#include "broker/metrics.h"
#include "broker/request.h"
#include "port/clock.h"
#include "port/net.h"
#include "port/sync.h"
#include "port/task.h"

namespace dlog::broker {

class ClientConnection;

/// The obligation to answer one pipelined request. Used on the connection's core; exactly one call
/// of `send`.
class ReplyTo {
  public:
    ReplyTo(ClientConnection& connection, std::uint64_t sequence, std::size_t request_bytes,
            port::Gate& gate)
        : connection_(&connection),
          sequence_(sequence),
          request_bytes_(request_bytes),
          hold_(gate.enter()) {}
    ReplyTo(ReplyTo&&) = default;

    void send(Response response);

  private:
    ClientConnection* connection_;
    std::uint64_t sequence_;
    std::size_t request_bytes_;
    port::Gate::Hold hold_;
};

/// A connection on its way to a core, with what it takes along: from the listener, or from a core
/// where it was.
struct Arrival {
    port::ConnectionPtr connection;
    Buffer unread;                  ///< Came already and is not handled yet.
    FetchSessionPtr fetch_session;  ///< May be null.
    Admission admission;
};

/// Belongs to the core that runs it. Requests are handled one after another, except that a
/// Produce lets the next request be read as soon as it has been handed to its partitions, up to the
/// configured number and bytes in flight; any other request waits until those are answered. Output
/// that the peer does not take, a frame that stops coming, and idleness all end the connection
/// after a time. A client over its quota is answered at once and then not listened to (KIP-219).
/// One whose partitions lie on another core moves there between two requests.
class ClientConnection {
  public:
    ClientConnection(Core& core, Arrival arrival);
    ClientConnection(const ClientConnection&) = delete;
    ClientConnection& operator=(const ClientConnection&) = delete;

    /// Serves until either side closes, or it belongs on the core that is returned. Nothing of this
    /// connection is under way afterwards.
    [[nodiscard]] port::Task<std::optional<CoreId>> run();
    /// For the core that `run` named.
    [[nodiscard]] Arrival depart();
    /// Ends `run` soon.
    void close();
    [[nodiscard]] std::string_view peer() const { return connection_->peer(); }

  private:
    friend class ReplyTo;

    struct Slot {
        Response response;
        bool is_ready = false;
        RequestQuota quota;
        LatencyHistogram* latencies = nullptr;
        Instant received;
    };

    /// Wakes up now and then and closes a connection that has not moved.
    class Watchdog final : public port::Timer {
      public:
        explicit Watchdog(ClientConnection& owner) : owner_(owner) {}
        void fired() override { owner_.look_after(); }

      private:
        ClientConnection& owner_;
    };

    /// Where the writer waits for something to write.
    struct WriterIdle {
        ClientConnection& owner;
        [[nodiscard]] bool await_ready() const {
            return owner.has_ready_response() || owner.is_closing_;
        }
        void await_suspend(std::coroutine_handle<> handle) const { owner.writer_ = handle; }
        void await_resume() const {}
    };

    [[nodiscard]] port::Task<void> serve();
    [[nodiscard]] port::Task<bool> prepare_to_move();
    [[nodiscard]] port::Task<bool> serve_one(Request request);
    [[nodiscard]] port::Task<void> rest_while_muted();
    void begin_apart(Request request, RequestQuota begun);
    [[nodiscard]] port::Task<void> write_responses();
    [[nodiscard]] std::optional<Request> parse(Frame frame);
    void log_end(FrameEnd end);
    void close_because(std::string_view why, const Request* request);

    [[nodiscard]] std::uint64_t reserve_slot(const Request& request);
    void fill_slot(std::uint64_t sequence, Response response);
    [[nodiscard]] bool has_ready_response() const {
        return !slots_.empty() && slots_.front().is_ready;
    }
    [[nodiscard]] bool has_window() const;
    [[nodiscard]] std::vector<port::OutPart> take_output();
    void wake_writer(bool at_once);
    void watch_again();
    void look_after();

    Core& core_;
    Admission admission_;
    port::ConnectionPtr connection_;
    FrameReader reader_;
    Affinity affinity_;
    std::int32_t fetch_session_id_ = 0;
    std::optional<CoreId> next_home_;
    std::deque<Slot> slots_;
    std::uint64_t first_sequence_ = 0;  // of slots_.front()
    std::size_t produce_in_flight_ = 0;
    std::size_t produce_bytes_in_flight_ = 0;
    port::Gate gate_;
    /// Signalled when a response was filled in or written, and at the close.
    port::Notifier changed_;
    std::coroutine_handle<> writer_;
    bool is_closing_ = false;
    bool is_writing_ = false;

    ClientThrottle throttle_;
    /// No request is begun before this time; zero most of the time.
    Instant muted_until_;

    Watchdog watchdog_;
    Duration watch_period_;
    std::uint64_t watched_moves_ = 0;
    std::uint64_t moves_ = 0;  // requests begun and writes finished
    Duration unmoved_;
};

}  // namespace dlog::broker
