#include "reactor/loop.h"

#include <errno.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

#include "base/log.h"

namespace dlog::reactor {

namespace {

thread_local Loop* current_loop = nullptr;

constexpr std::int64_t kNsPerSecond = 1'000'000'000;

/// A run of this many bytes is handed over, and the next write begins another: a large one holds up
/// few small ones.
constexpr std::size_t kRunBytesMax = std::size_t{1} << 20;

}  // namespace

class WriteRun final : private PoolJob {
  public:
    explicit WriteRun(Loop& loop) : loop_(loop) {
        perform = [](PoolJob& job) {
            const std::unique_ptr<WriteRun> self(static_cast<WriteRun*>(&job));
            self->perform_all();
        };
    }
    void add(WriteJob& job, std::size_t size_bytes) {
        DLOG_ASSERT(job.next == nullptr && job.perform != nullptr && job.waiter);
        (last_ != nullptr ? last_->next : first_) = &job;
        last_ = &job;
        size_bytes_ += size_bytes;
    }
    [[nodiscard]] bool is_full() const { return size_bytes_ >= kRunBytesMax; }
    /// The pool frees it once it is performed.
    static PoolJob& release(std::unique_ptr<WriteRun> run) { return *run.release(); }

  private:
    void perform_all() {
        std::vector<std::coroutine_handle<>> waiters;
        for (WriteJob* job = first_; job != nullptr; job = job->next) {
            job->perform(*job);
            waiters.push_back(job->waiter);
        }
        // From here on the frames that hold the jobs may be gone.
        loop_.post_all(waiters);
    }

    Loop& loop_;
    WriteJob* first_ = nullptr;
    WriteJob* last_ = nullptr;
    std::size_t size_bytes_ = 0;
};

Loop* Loop::current() {
    return current_loop;
}

Loop::Loop(CoreId core, LogSink& log, WorkerPool& io_pool, DrainBoard& board)
    : core_(core),
      log_(log),
      io_pool_(io_pool),
      board_(board),
      epoll_fd_(::epoll_create1(EPOLL_CLOEXEC)),
      wake_fd_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)),
      events_(kEventsPerTurn) {
    DLOG_ASSERT(epoll_fd_ >= 0 && wake_fd_ >= 0, errno);
    // Edge-triggered, so that nobody needs to read the counter: each write is one event.
    epoll_event event{.events = EPOLLIN | EPOLLET, .data = {.ptr = nullptr}};
    const int status = ::epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, wake_fd_, &event);
    DLOG_ASSERT(status == 0, errno);
}

Loop::~Loop() {
    DLOG_ASSERT(pollables_.is_alone());
    ::close(wake_fd_);
    ::close(epoll_fd_);
}

void Loop::run() {
    current_loop = this;
    while (!is_finish_wanted_.load(std::memory_order_acquire)) turn();
    current_loop = nullptr;
}

void Loop::begin_drain() {
    is_drain_wanted_.store(true, std::memory_order_release);
    if (mailbox_.poke()) ::eventfd_write(wake_fd_, 1);
}

void Loop::finish() {
    is_finish_wanted_.store(true, std::memory_order_release);
    if (mailbox_.poke()) ::eventfd_write(wake_fd_, 1);
}

void Loop::forget_queued() {
    DLOG_ASSERT(is_finish_wanted_.load(std::memory_order_acquire));
    mailbox_.clear();
    ready_.clear();
    line_.clear();
    outboxes_.clear();
    write_run_.reset();
}

void Loop::post(std::coroutine_handle<> handle) {
    DLOG_ASSERT(handle);
    if (current_loop == this) {
        ready_.push_back(handle);
    } else if (current_loop != nullptr) {
        current_loop->leave_for(*this, handle);
    } else if (mailbox_.push(handle)) {
        const int status = ::eventfd_write(wake_fd_, 1);
        DLOG_ASSERT(status == 0, errno);
    }
}

void Loop::leave_for(Loop& target, std::coroutine_handle<> handle) {
    auto outbox = std::ranges::find(outboxes_, &target, &Outbox::target);
    if (outbox == outboxes_.end()) outbox = outboxes_.insert(outbox, {.target = &target});
    outbox->handles.push_back(handle);
    if (outbox->handles.size() < kOutboxMax) return;
    target.post_all(outbox->handles);
    outbox->handles.clear();
}

void Loop::flush_outboxes() {
    for (Outbox& outbox : outboxes_) {
        if (outbox.handles.empty()) continue;
        outbox.target->post_all(outbox.handles);
        outbox.handles.clear();
    }
}

void Loop::post_all(std::span<const std::coroutine_handle<>> handles) {
    DLOG_ASSERT(current_loop != this && !handles.empty());
    if (!mailbox_.push_all(handles)) return;
    const int status = ::eventfd_write(wake_fd_, 1);
    DLOG_ASSERT(status == 0, errno);
}

bool Loop::watch(Pollable& pollable, int fd, std::uint32_t events) {
    DLOG_ASSERT(pollable.is_alone());
    epoll_event event{.events = events | EPOLLET, .data = {.ptr = &pollable}};
    if (::epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event) != 0) return false;
    pollable.insert_before(pollables_);
    return true;
}

void Loop::unwatch(Pollable& pollable, int fd) {
    pollable.unlink();
    ::epoll_ctl(epoll_fd_, EPOLL_CTL_DEL, fd, nullptr);
    for (int i = event_next_; i < event_count_; ++i) {
        epoll_event& event = events_[static_cast<std::size_t>(i)];
        if (event.data.ptr == &pollable) event.data.ptr = nullptr;
    }
}

std::unique_ptr<std::uint8_t[]> Loop::borrow_block() {
    if (spare_blocks_.empty()) return std::make_unique_for_overwrite<std::uint8_t[]>(kBlockBytes);
    std::unique_ptr<std::uint8_t[]> block = std::move(spare_blocks_.back());
    spare_blocks_.pop_back();
    return block;
}

void Loop::return_block(std::unique_ptr<std::uint8_t[]> block) {
    if (spare_blocks_.size() < kSpareBlocksMax) spare_blocks_.push_back(std::move(block));
}

void Loop::submit_io(PoolJob& job) {
    // A loop that has finished drops the job: its frame is about to be destroyed.
    if (is_finish_wanted_.load(std::memory_order_acquire)) return;
    DLOG_ASSERT(current_loop == this);
    ++outstanding_;
    io_batch_.push(job);
}

void Loop::submit_write(WriteJob& job, std::size_t size_bytes) {
    // As for any other job.
    if (is_finish_wanted_.load(std::memory_order_acquire)) return;
    DLOG_ASSERT(current_loop == this);
    ++outstanding_;
    if (write_run_ == nullptr) write_run_ = std::make_unique<WriteRun>(*this);
    write_run_->add(job, size_bytes);
    if (write_run_->is_full()) io_batch_.push(WriteRun::release(std::move(write_run_)));
}

void Loop::submit(WorkerPool& pool, PoolJob& job) {
    ++outstanding_;
    // A pool that has stopped drops the job: its frame is about to be destroyed.
    if (!pool.submit(job)) --outstanding_;
}

void Loop::turn() {
    int event_count = 0;
    if (prepare_to_sleep()) {
        event_count = wait_for_events(clock_.next_deadline());
        polls_skipped_ = 0;
    } else if (++polls_skipped_ > kPollsSkippedMax || !line_.is_empty()) {
        event_count = wait_for_events(clock_.now());
        polls_skipped_ = 0;
    }
    clock_.refresh();
    // First the mailbox, then the flags: whoever sets one pokes the mailbox after it.
    (void)mailbox_.take(ready_, false);
    if (is_drain_wanted_.load(std::memory_order_acquire)) {
        board_.report(core_, false);
        if (!is_stopping_) stop_pollables();
    }
    dispatch(event_count);
    flush_outboxes();
    run_ready();
    run_line();
    clock_.refresh();
    clock_.fire_due();
    flush_outboxes();
    flush_io();
}

bool Loop::prepare_to_sleep() {
    const bool may_sleep = ready_.empty() && line_.is_empty() &&
                           clock_.next_deadline() > clock_.now() &&
                           !is_finish_wanted_.load(std::memory_order_acquire);
    if (!mailbox_.take(ready_, may_sleep)) return false;
    // The mailbox has marked this loop as asleep, so whatever comes from now on wakes it.
    if (is_stopping_) board_.report(core_, outstanding_ == 0);
    return true;
}

int Loop::wait_for_events(Instant deadline) {
    timespec timeout{};
    timespec* limit = &timeout;
    if (deadline == kNever) {
        limit = nullptr;
    } else if (deadline > clock_.now()) {
        const std::int64_t ns = (deadline - clock_.now()).ns;
        timeout = {.tv_sec = ns / kNsPerSecond, .tv_nsec = ns % kNsPerSecond};
    }
    int count = ::epoll_pwait2(epoll_fd_, events_.data(), kEventsPerTurn, limit, nullptr);
    if (count < 0 && errno == ENOSYS) {  // before Linux 5.11
        const std::int64_t ms = limit == nullptr
                                    ? -1
                                    : std::min<std::int64_t>(timeout.tv_sec, 3600) * 1000 +
                                          (timeout.tv_nsec + 999'999) / 1'000'000;
        count = ::epoll_wait(epoll_fd_, events_.data(), kEventsPerTurn, static_cast<int>(ms));
    }
    DLOG_ASSERT(count >= 0 || errno == EINTR, errno);
    return std::max(count, 0);
}

void Loop::dispatch(int count) {
    event_count_ = count;
    for (event_next_ = 0; event_next_ < event_count_;) {
        const epoll_event& event = events_[static_cast<std::size_t>(event_next_++)];
        auto* const pollable = static_cast<Pollable*>(event.data.ptr);
        if (pollable != nullptr) pollable->on_events(event.events);
    }
    event_next_ = 0;
    event_count_ = 0;
}

void Loop::run_ready() {
    running_.swap(ready_);
    for (const std::coroutine_handle<> handle : running_) handle.resume();
    running_.clear();
}

void Loop::run_line() {
    used_in_turn_ = 0;
    std::uint64_t next_poll = kStepsPerPoll;
    while (!line_.is_empty() && used_in_turn_ < kStepsPerTurn) {
        if (used_in_turn_ >= next_poll) {
            next_poll = used_in_turn_ + kStepsPerPoll;
            dispatch(wait_for_events(clock_.now()));
        }
        // Each counts, also one that does nothing.
        ++used_in_turn_;
        line_.next().resume();
    }
}

void Loop::stop_pollables() {
    is_stopping_ = true;
    while (!pollables_.is_alone()) {
        auto* const pollable = static_cast<Pollable*>(pollables_.next);
        pollable->on_stop();
        DLOG_ASSERT(pollable->is_alone());
    }
}

void Loop::flush_io() {
    if (write_run_ != nullptr) io_batch_.push(WriteRun::release(std::move(write_run_)));
    if (!io_batch_.is_empty()) io_pool_.submit(io_batch_);
}

}  // namespace dlog::reactor
