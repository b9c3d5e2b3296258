/// Calls and notices of one core to one node.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <expected>
#include <map>
#include <optional>

#include "base/buffer.h"
#include "base/time.h"
#include "peers/call_error.h"
#include "peers/cargo.h"
#include "peers/metrics.h"
#include "port/clock.h"
#include "port/sync.h"
#include "port/task.h"

namespace dlog::peers {

/// Answers come back on the connection that carried the requests, in any order. When it breaks
/// every call under way fails.
class Calls final : public Cargo {
  public:
    struct Limits {
        std::size_t calls = 0;
        std::size_t queue_bytes = 0;
        /// What goes out in one write.
        std::size_t write_bytes = 0;
    };
    using Result = std::expected<Buffer, CallError>;

    Calls(Limits limits, port::Clock& clock, NodeMetrics& metrics)
        : limits_(limits), clock_(clock), metrics_(metrics) {}

    /// Under way from now until its `wait` has ended; destroying it takes it back.
    class Pending {
      public:
        Pending(Calls& owner, std::uint64_t number) : owner_(owner), number_(number) {
            owner_.pending_.emplace(number, this);
        }
        Pending(const Pending&) = delete;
        Pending& operator=(const Pending&) = delete;
        ~Pending() { owner_.pending_.erase(number_); }
        [[nodiscard]] port::Task<Result> wait(Instant deadline);

      private:
        friend class Calls;
        Calls& owner_;
        std::uint64_t number_;
        bool is_sent_ = false;
        std::optional<Result> result_;
        port::Notifier done_;
    };

    /// Whether one more may begin, and with what error not.
    [[nodiscard]] std::optional<CallError> refusal(const Buffer& body) const;
    /// Queues a request; its number is for `Pending`.
    [[nodiscard]] std::uint64_t request(std::uint16_t kind, const Buffer& body);
    void notice(std::uint16_t kind, const Buffer& body);
    [[nodiscard]] std::size_t size_bytes() const { return size_bytes_; }

    [[nodiscard]] bool is_empty() const override { return queue_.empty(); }
    [[nodiscard]] Load take() override;
    void drop() override;
    void stop() override;
    [[nodiscard]] bool came(Frame frame) override;

  private:
    /// `number` 0 for a notice.
    struct Entry {
        std::uint64_t number = 0;
        Buffer frame;
    };
    void clear();
    /// Ends every call under way: with `error`, or with what is true of each.
    void fail_all(std::optional<CallError> error);

    Limits limits_;
    port::Clock& clock_;
    NodeMetrics& metrics_;
    std::deque<Entry> queue_;
    std::size_t size_bytes_ = 0;
    std::map<std::uint64_t, Pending*> pending_;
    std::uint64_t next_number_ = 1;
};

}  // namespace dlog::peers
