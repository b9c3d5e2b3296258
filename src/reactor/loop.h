/// One core's event loop: epoll, a mailbox, timers, and the turn that runs them.
#pragma once

#include <sys/epoll.h>

#include <atomic>
#include <coroutine>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "base/ids.h"
#include "port/sync.h"
#include "reactor/clock.h"
#include "reactor/fair_line.h"
#include "reactor/mailbox.h"
#include "reactor/pool.h"

namespace dlog {
class LogSink;
}

namespace dlog::reactor {

/// What a loop watches a file descriptor for. It is told to stop when the loop stops.
class Pollable : public port::detail::WaitLink {
  public:
    Pollable() = default;
    virtual ~Pollable() { unlink(); }
    /// Epoll's event bits. `this` may be destroyed by what this resumes, so resuming comes last.
    virtual void on_events(std::uint32_t events) = 0;
    /// Ends what is pending with kClosed. Called once.
    virtual void on_stop() = 0;
};

/// Where loops that are draining say that they have nothing left to do, and learn that all of them
/// say so.
class DrainBoard {
  public:
    virtual ~DrainBoard() = default;
    virtual void report(CoreId core, bool is_idle) = 0;
};

/// File writes of one turn, performed one after another by one thread of the pool. The page cache
/// takes most writes in a few microseconds: waking a thread for each, and the loop after each,
/// would cost more than they do.
class WriteRun;

/// A write that waits for its turn in a `WriteRun`, which resumes `waiter` after all of them.
struct WriteJob {
    WriteJob* next = nullptr;
    void (*perform)(WriteJob& self) = nullptr;
    std::coroutine_handle<> waiter;
};

/// Owned by one core's thread, which alone calls everything that is not marked otherwise.
/// A turn: wait for events (or for a timer, or the mailbox) and handle them, resume what became
/// ready, let some connections through, fire what is due, hand this turn's messages to the other
/// cores and its file operations to the I/O pool, each in one batch: a wake costs more than most of
/// what it is for.
class Loop {
  public:
    Loop(CoreId core, LogSink& log, WorkerPool& io_pool, DrainBoard& board);
    Loop(const Loop&) = delete;
    Loop& operator=(const Loop&) = delete;
    ~Loop();

    /// Runs turns on this thread until `finish`.
    void run();
    /// Any thread: stop every pollable, refuse new ones, report to the board when idle; keep
    /// running.
    void begin_drain();
    /// Any thread: leave `run` after this turn.
    void finish();
    /// After `run` has returned: forgets what is still queued.
    void forget_queued();

    /// Any thread.
    [[nodiscard]] bool has_empty_mailbox() { return mailbox_.is_empty(); }

    /// Any thread: resume `handle` on this loop, after what was posted before from the same thread.
    /// From another loop's thread it goes at the end of that loop's turn, with all that goes here.
    void post(std::coroutine_handle<> handle);
    void post_all(std::span<const std::coroutine_handle<>> handles);
    /// This thread: resume `handle` in the next turn.
    void make_ready(std::coroutine_handle<> handle) { ready_.push_back(handle); }
    /// This thread: where connections wait for their turn.
    [[nodiscard]] FairLine& line() { return line_; }
    void use(FairLine::Share& share, std::uint64_t cost) {
        share.use(cost);
        used_in_turn_ += cost;
    }

    /// Watches `fd` edge-triggered. False when the system has no room for it (errno says why).
    [[nodiscard]] bool watch(Pollable& pollable, int fd, std::uint32_t events);
    /// Forgets `fd`, which is still open, and events for it that were fetched but not handled yet.
    void unwatch(Pollable& pollable, int fd);

    /// Queues a job for the I/O pool at this turn's end; `outstanding` counts it until `job_done`.
    void submit_io(PoolJob& job);
    void submit(WorkerPool& pool, PoolJob& job);
    /// Queues a write of `size_bytes` for this turn's end, together with the others of the turn.
    void submit_write(WriteJob& job, std::size_t size_bytes);
    void job_done() { --outstanding_; }

    /// A block of 4 KiB for bytes that were read ahead; a few are kept for the next borrower.
    [[nodiscard]] std::unique_ptr<std::uint8_t[]> borrow_block();
    void return_block(std::unique_ptr<std::uint8_t[]> block);

    [[nodiscard]] CoreId core() const { return core_; }
    [[nodiscard]] CoreClock& clock() { return clock_; }
    [[nodiscard]] LogSink& log() { return log_; }
    [[nodiscard]] bool is_stopping() const { return is_stopping_; }
    /// The loop that runs on the calling thread, or null.
    [[nodiscard]] static Loop* current();

  private:
    void turn();
    /// True when there is nothing to do before the next event or timer.
    bool prepare_to_sleep();
    int wait_for_events(Instant deadline);
    void dispatch(int count);
    void run_ready();
    void run_line();
    void stop_pollables();
    void flush_io();
    void leave_for(Loop& target, std::coroutine_handle<> handle);
    void flush_outboxes();

    static constexpr int kEventsPerTurn = 256;
    /// Turns with work at hand that go by before the sockets are asked again.
    static constexpr std::uint32_t kPollsSkippedMax = 2;
    /// Steps of connections (`FairLine`) after which the sockets are asked who else has come: about
    /// 100 µs of small requests.
    static constexpr std::uint64_t kStepsPerPoll = 16;
    /// Steps after which a turn ends even when more wait: what a turn hands over goes in batches,
    /// which are worth more the longer it is.
    static constexpr std::uint64_t kStepsPerTurn = 128;
    static constexpr std::size_t kBlockBytes = 4096;
    static constexpr std::size_t kSpareBlocksMax = 64;
    /// So many messages go out before the turn's end: another core need not wait for a long one.
    static constexpr std::size_t kOutboxMax = 16;

    const CoreId core_;
    LogSink& log_;
    WorkerPool& io_pool_;
    DrainBoard& board_;
    const int epoll_fd_;
    const int wake_fd_;
    CoreClock clock_;
    Mailbox mailbox_;
    struct Outbox {
        Loop* target = nullptr;
        std::vector<std::coroutine_handle<>> handles;
    };
    std::vector<Outbox> outboxes_;  ///< For the other cores that this one has ever posted to.
    JobList io_batch_;
    std::unique_ptr<WriteRun> write_run_;
    std::uint64_t outstanding_ = 0;
    std::uint32_t polls_skipped_ = 0;
    bool is_stopping_ = false;
    std::vector<std::coroutine_handle<>> ready_;
    std::vector<std::coroutine_handle<>> running_;
    FairLine line_;
    std::uint64_t used_in_turn_ = 0;
    port::detail::WaitLink pollables_;
    std::vector<std::unique_ptr<std::uint8_t[]>> spare_blocks_;
    int event_next_ = 0;  // the events in [next, count) of this turn are not handled yet
    int event_count_ = 0;
    std::vector<epoll_event> events_;
    std::atomic<bool> is_drain_wanted_ = false;
    std::atomic<bool> is_finish_wanted_ = false;
};

/// `auto result = co_await BlockingCall(loop, pool, [&] { … })`: runs the closure on a pool's
/// thread and continues on `loop`, which runs now. The closure lives in the awaiting frame; no
/// memory is allocated.
template <class Work>
class BlockingCall final : private PoolJob {
  public:
    using Result = decltype(std::declval<Work&>()());
    /// `pool` null is the loop's I/O pool, in the batch of this turn.
    BlockingCall(Loop& loop, WorkerPool* pool, Work work)
        : loop_(loop), pool_(pool), work_(std::move(work)) {}
    BlockingCall(const BlockingCall&) = delete;
    BlockingCall& operator=(const BlockingCall&) = delete;

    [[nodiscard]] bool await_ready() const { return false; }
    void await_suspend(std::coroutine_handle<> waiter) {
        waiter_ = waiter;
        perform = &run;
        if (pool_ == nullptr) {
            loop_.submit_io(*this);
        } else {
            loop_.submit(*pool_, *this);
        }
    }
    Result await_resume() {
        loop_.job_done();
        DLOG_ASSERT(result_.has_value());
        return *std::move(result_);
    }

  private:
    static void run(PoolJob& job) {
        auto& self = static_cast<BlockingCall&>(job);
        self.result_.emplace(self.work_());
        // From the post on, the frame that holds `self` may be gone.
        self.loop_.post(self.waiter_);
    }

    Loop& loop_;
    WorkerPool* pool_;
    Work work_;
    std::coroutine_handle<> waiter_;
    std::optional<Result> result_;
};

/// `auto result = co_await BlockingWrite(loop, size_bytes, [&] { … })`: like BlockingCall, in the
/// turn's WriteRun.
template <class Work>
class BlockingWrite final : private WriteJob {
  public:
    using Result = decltype(std::declval<Work&>()());
    BlockingWrite(Loop& loop, std::size_t size_bytes, Work work)
        : loop_(loop), size_bytes_(size_bytes), work_(std::move(work)) {}
    BlockingWrite(const BlockingWrite&) = delete;
    BlockingWrite& operator=(const BlockingWrite&) = delete;

    [[nodiscard]] bool await_ready() const { return false; }
    void await_suspend(std::coroutine_handle<> handle) {
        waiter = handle;
        perform = [](WriteJob& job) {
            auto& self = static_cast<BlockingWrite&>(job);
            self.result_.emplace(self.work_());
        };
        loop_.submit_write(*this, size_bytes_);
    }
    Result await_resume() {
        loop_.job_done();
        DLOG_ASSERT(result_.has_value());
        return *std::move(result_);
    }

  private:
    Loop& loop_;
    const std::size_t size_bytes_;
    Work work_;
    std::optional<Result> result_;
};

}  // namespace dlog::reactor
