#include "reactor/pool.h"

#include <linux/futex.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <utility>

#include "base/assert.h"

namespace dlog::reactor {

namespace {

/// A tenth of what a thread of nice 0 gets while both want to run.
constexpr int kBackgroundNice = 10;

}  // namespace

void JobList::push(PoolJob& job) {
    DLOG_ASSERT(job.next == nullptr && job.perform != nullptr);
    (last_ != nullptr ? last_->next : first_) = &job;
    last_ = &job;
    ++size_;
}

void JobList::append(JobList& other) {
    if (other.first_ == nullptr) return;
    (last_ != nullptr ? last_->next : first_) = other.first_;
    last_ = other.last_;
    size_ += other.size_;
    other = JobList();
}

PoolJob* JobList::pop() {
    PoolJob* const job = first_;
    if (job == nullptr) return nullptr;
    first_ = std::exchange(job->next, nullptr);
    if (first_ == nullptr) last_ = nullptr;
    --size_;
    return job;
}

WorkerPool::WorkerPool(std::string name, std::uint32_t threads_max, Priority priority)
    : name_(std::move(name)), threads_max_(threads_max), priority_(priority) {
    DLOG_ASSERT(threads_max > 0);
    DLOG_ASSERT(name_.size() < 16, name_);  // what pthread_setname_np takes
}

void WorkerPool::Worker::wait() {
    while (is_woken.load(std::memory_order_acquire) == 0) {
        // Returns at once when the word is not 0 any more.
        ::syscall(SYS_futex, &is_woken, FUTEX_WAIT_PRIVATE, 0, nullptr, nullptr, 0);
    }
    is_woken.store(0, std::memory_order_relaxed);
}

void WorkerPool::Worker::wake() {
    is_woken.store(1, std::memory_order_release);
    ::syscall(SYS_futex, &is_woken, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
}

bool WorkerPool::submit(JobList& batch) {
    Worker* woken = nullptr;
    {
        const std::lock_guard lock(mutex_);
        if (is_stopping_) return false;
        queue_.append(batch);
        while (queue_.size() > coming_ && idle_ != nullptr) {
            Worker* const worker = std::exchange(idle_, idle_->next_idle);
            worker->next_idle = std::exchange(woken, worker);
            ++coming_;
        }
        while (queue_.size() > coming_ && workers_.size() < threads_max_) start_worker();
    }
    while (woken != nullptr) {
        // Once awake it may link itself elsewhere.
        Worker* const next = woken->next_idle;
        woken->wake();
        woken = next;
    }
    return true;
}

bool WorkerPool::submit(PoolJob& job) {
    JobList batch;
    batch.push(job);
    return submit(batch);
}

void WorkerPool::stop() {
    {
        const std::lock_guard lock(mutex_);
        is_stopping_ = true;
        for (; idle_ != nullptr; idle_ = idle_->next_idle) {
            ++coming_;
            idle_->wake();
        }
    }
    for (const auto& worker : workers_) {
        if (worker->thread.joinable()) worker->thread.join();
    }
}

void WorkerPool::start_worker() {
    ++coming_;
    Worker& worker = *workers_.emplace_back(std::make_unique<Worker>());
    worker.thread = std::thread([this, &worker] {
        block_signals_here();
        pthread_setname_np(pthread_self(), name_.c_str());
        // Linux has it for each thread. Never refused: it is no more than the thread has.
        if (priority_ == Priority::kBackground &&
            ::getpriority(PRIO_PROCESS, 0) < kBackgroundNice) {
            ::setpriority(PRIO_PROCESS, 0, kBackgroundNice);
        }
        work(worker);
    });
}

void WorkerPool::work(Worker& self) {
    std::unique_lock lock(mutex_);
    for (;;) {
        DLOG_ASSERT(coming_ > 0);
        --coming_;
        while (PoolJob* const job = queue_.pop()) {
            lock.unlock();
            job->perform(*job);
            lock.lock();
        }
        if (is_stopping_) return;
        self.next_idle = std::exchange(idle_, &self);
        lock.unlock();
        self.wait();
        lock.lock();
    }
}

void block_signals_here() {
    sigset_t blocked;
    sigfillset(&blocked);
    for (const int own_fault : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT, SIGTRAP, SIGPROF}) {
        sigdelset(&blocked, own_fault);
    }
    const int status = pthread_sigmask(SIG_BLOCK, &blocked, nullptr);
    DLOG_ASSERT(status == 0, status);
}

}  // namespace dlog::reactor
