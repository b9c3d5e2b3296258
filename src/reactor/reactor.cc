#include "reactor/reactor.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "base/log.h"
#include "port/teardown.h"
#include "reactor/disk.h"
#include "reactor/entropy.h"
#include "reactor/loop.h"
#include "reactor/net.h"
#include "reactor/spawn.h"

namespace dlog::reactor {

namespace {

/// Everything of one core but its thread.
struct Core {
    Core(CoreId id, LogSink& log, DrainBoard& board, const std::vector<Loop*>& loops,
         std::shared_ptr<WorkerPool> io_pool, WorkerPool& compute_pool, Syncer& syncer,
         ListenRegistry& registry)
        : loop(id, log, *io_pool, board),
          disk(loop, io_pool, syncer),
          net(loop, compute_pool, registry),
          spawn(id, loops, compute_pool),
          ports{loop.clock(), disk, net, spawn, entropy, log} {}

    Loop loop;
    CoreDisk disk;
    CoreNet net;
    CoreSpawn spawn;
    CoreEntropy entropy;
    port::Ports ports;
};

/// Waits until every core has reported that it is idle.
class Quiet final : public DrainBoard {
  public:
    explicit Quiet(std::vector<Loop*>& loops) : loops_(loops) {}

    void report(CoreId core, bool is_idle) override {
        const std::lock_guard lock(mutex_);
        is_idle_.resize(loops_.size());
        is_idle_[core.value] = is_idle;
        // A core that posts to another is not idle yet when its message lies in the other's
        // mailbox; a core that takes a message has taken its report back first. So nothing can be
        // under way between them here.
        is_quiet_ = std::all_of(loops_.begin(), loops_.end(), [this](Loop* loop) {
            return is_idle_[loop->core().value] && loop->has_empty_mailbox();
        });
        if (is_quiet_) became_quiet_.notify_all();
    }
    bool wait(Duration limit) {
        std::unique_lock lock(mutex_);
        return became_quiet_.wait_for(lock, std::chrono::nanoseconds(limit.ns),
                                      [this] { return is_quiet_; });
    }

  private:
    std::vector<Loop*>& loops_;
    std::mutex mutex_;
    std::condition_variable became_quiet_;
    std::vector<bool> is_idle_;
    bool is_quiet_ = false;
};

/// The signals that ask a node to stop, as events of a loop.
class SignalSource final : public Pollable {
  public:
    using Handler = std::move_only_function<void(int)>;
    SignalSource(Loop& loop, const sigset_t& signals, Handler handler)
        : loop_(loop),
          fd_(::signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC)),
          handler_(std::move(handler)) {
        DLOG_ASSERT(fd_ >= 0, errno);
    }
    ~SignalSource() override {
        on_stop();
        ::close(fd_);
    }
    void start() { is_watched_ = loop_.watch(*this, fd_, EPOLLIN); }
    void on_events(std::uint32_t) override {
        signalfd_siginfo info{};
        while (::read(fd_, &info, sizeof(info)) == static_cast<ssize_t>(sizeof(info))) {
            handler_(static_cast<int>(info.ssi_signo));
        }
    }
    void on_stop() override {
        if (std::exchange(is_watched_, false)) loop_.unwatch(*this, fd_);
    }

  private:
    Loop& loop_;
    const int fd_;
    bool is_watched_ = false;
    Handler handler_;
};

std::uint32_t usable_processors() {
    cpu_set_t set;
    CPU_ZERO(&set);
    if (::sched_getaffinity(0, sizeof(set), &set) != 0) return 1;
    return static_cast<std::uint32_t>(std::max(CPU_COUNT(&set), 1));
}

sigset_t stop_signals() {
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    return signals;
}

/// What a thread that is no core waits for.
struct Latch {
    std::mutex mutex;
    std::condition_variable changed;
    bool is_open = false;

    void open() {
        const std::lock_guard lock(mutex);
        is_open = true;
        changed.notify_all();
    }
    void wait() {
        std::unique_lock lock(mutex);
        changed.wait(lock, [this] { return is_open; });
    }
};

port::Task<void> run_started(port::Ports* ports, Reactor::Start start) {
    co_await start(*ports);
}

/// Opens the latch when the task has ended or was destroyed.
port::Task<void> run_and_open(port::Ports* ports, Reactor::Start start, Latch* latch) {
    const std::unique_ptr<Latch, void (*)(Latch*)> opener(latch, [](Latch* held) { held->open(); });
    Reactor::Start held_start = std::move(start);
    co_await held_start(*ports);
}

port::Task<void> start_source(SignalSource* source) {
    source->start();
    co_return;
}

}  // namespace

class Reactor::Body {
  public:
    explicit Body(Options options)
        : options_(options),
          io_pool_(std::make_shared<WorkerPool>("dlog-io", options.io_threads)),
          compute_pool_("dlog-compute", options.compute_threads, WorkerPool::Priority::kBackground),
          quiet_(loops_) {
        // sendfile has no flag against SIGPIPE, and a file at its size limit raises SIGXFSZ: both
        // come as errors.
        if (options_.ignores_signals) {
            ::signal(SIGPIPE, SIG_IGN);
            ::signal(SIGXFSZ, SIG_IGN);
        }
        if (options_.handles_signals) {
            const sigset_t signals = stop_signals();
            ::pthread_sigmask(SIG_BLOCK, &signals, &signals_before_);
        }
        LogSink& log = options_.log != nullptr ? *options_.log : null_log();
        for (std::uint32_t i = 0; i < options_.core_count; ++i) {
            cores_.push_back(std::make_unique<Core>(CoreId(i), log, quiet_, loops_, io_pool_,
                                                    compute_pool_, syncer_, registry_));
            loops_.push_back(&cores_.back()->loop);
        }
        for (const auto& core : cores_) threads_.emplace_back(&Body::run_core, core.get());
    }

    void post(CoreId core, port::Task<void> task) {
        DLOG_ASSERT(core.value < cores_.size(), core, cores_.size());
        Core& target = *cores_[core.value];
        target.loop.post(target.spawn.roots().start(std::move(task)));
    }

    [[nodiscard]] std::uint32_t core_count() const { return options_.core_count; }
    [[nodiscard]] port::Ports& ports(CoreId core) {
        DLOG_ASSERT(core.value < cores_.size(), core, cores_.size());
        return cores_[core.value]->ports;
    }
    [[nodiscard]] Latch& stop_wanted() { return stop_wanted_; }

    void watch_signals(SignalSource::Handler handler) {
        DLOG_ASSERT(options_.handles_signals && signals_ == nullptr);
        signals_ = std::make_unique<SignalSource>(cores_.front()->loop, stop_signals(),
                                                  std::move(handler));
        post(CoreId(0), start_source(signals_.get()));
    }

    void stop() {
        DLOG_ASSERT(Loop::current() == nullptr);
        if (std::exchange(is_stopped_, true)) return;
        for (Loop* const loop : loops_) loop->begin_drain();
        const bool is_quiet = quiet_.wait(options_.drain_limit);
        if (!is_quiet) {
            cores_.front()->loop.log().warn("stopping although cores still have work to do");
        }
        for (Loop* const loop : loops_) loop->finish();
        for (std::thread& thread : threads_) thread.join();
        io_pool_->stop();
        compute_pool_.stop();
        signals_.reset();
        for (Loop* const loop : loops_) loop->forget_queued();
        const port::Teardown teardown;
        for (auto core = cores_.rbegin(); core != cores_.rend(); ++core) {
            (*core)->spawn.roots().destroy_all();
        }
        for (Loop* const loop : loops_) loop->forget_queued();
        if (options_.handles_signals) {
            ::pthread_sigmask(SIG_SETMASK, &signals_before_, nullptr);
        }
    }

  private:
    static void run_core(Core* core) {
        block_signals_here();
        const std::string name = "dlog-core-" + std::to_string(core->loop.core().value);
        pthread_setname_np(pthread_self(), name.c_str());
        core->loop.run();
    }

    const Options options_;
    std::shared_ptr<WorkerPool> io_pool_;
    WorkerPool compute_pool_;
    Syncer syncer_;
    ListenRegistry registry_;
    std::vector<Loop*> loops_;
    Quiet quiet_;
    std::vector<std::unique_ptr<Core>> cores_;
    std::unique_ptr<SignalSource> signals_;
    Latch stop_wanted_;
    std::vector<std::thread> threads_;
    sigset_t signals_before_{};
    bool is_stopped_ = false;
};

namespace {

Options with_defaults(Options options) {
    if (options.core_count == 0) options.core_count = usable_processors();
    if (options.compute_threads == 0) options.compute_threads = options.core_count;
    DLOG_ASSERT(options.io_threads > 0);
    return options;
}

}  // namespace

Reactor::Reactor(Options options) : body_(std::make_unique<Body>(with_defaults(options))) {}

Reactor::~Reactor() {
    stop();
}

std::uint32_t Reactor::core_count() const {
    return body_->core_count();
}

port::Ports& Reactor::ports(CoreId core) {
    return body_->ports(core);
}

void Reactor::run(CoreId core, Start start) {
    body_->post(core, run_started(&ports(core), std::move(start)));
}

void Reactor::run_and_wait(CoreId core, Start start) {
    DLOG_ASSERT(Loop::current() == nullptr);
    Latch latch;
    body_->post(core, run_and_open(&ports(core), std::move(start), &latch));
    latch.wait();
}

void Reactor::on_signal(std::move_only_function<void(int)> handler) {
    body_->watch_signals(std::move(handler));
}

void Reactor::request_stop() {
    body_->stop_wanted().open();
}

void Reactor::wait() {
    body_->stop_wanted().wait();
}

void Reactor::stop() {
    body_->stop();
}

}  // namespace dlog::reactor
