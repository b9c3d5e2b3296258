#include "reactor/pool.h"

#include <pthread.h>
#include <signal.h>

#include <algorithm>
#include <utility>

#include "base/assert.h"

namespace dlog::reactor {

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

WorkerPool::WorkerPool(std::string name, std::uint32_t threads_max)
    : name_(std::move(name)), threads_max_(threads_max) {
    DLOG_ASSERT(threads_max > 0);
    DLOG_ASSERT(name_.size() < 16, name_);  // what pthread_setname_np takes
}

bool WorkerPool::submit(JobList& batch) {
    std::size_t wake_count = 0;
    {
        const std::lock_guard lock(mutex_);
        if (is_stopping_) return false;
        wake_count = std::min(batch.size(), idle_);
        queue_.append(batch);
        while (queue_.size() > idle_ && threads_.size() < threads_max_) start_thread();
    }
    for (std::size_t i = 0; i < wake_count; ++i) wake_.notify_one();
    return true;
}

bool WorkerPool::submit(PoolJob& job) {
    JobList batch;
    batch.push(job);
    return submit(batch);
}

void WorkerPool::stop() {
    std::vector<std::thread> threads;
    {
        const std::lock_guard lock(mutex_);
        is_stopping_ = true;
        threads.swap(threads_);
    }
    wake_.notify_all();
    for (std::thread& thread : threads) thread.join();
}

void WorkerPool::start_thread() {
    ++idle_;
    threads_.emplace_back([this] {
        block_signals_here();
        pthread_setname_np(pthread_self(), name_.c_str());
        work();
    });
}

void WorkerPool::work() {
    std::unique_lock lock(mutex_);
    for (;;) {
        --idle_;
        while (PoolJob* const job = queue_.pop()) {
            lock.unlock();
            job->perform(*job);
            lock.lock();
        }
        ++idle_;
        if (is_stopping_) return;
        wake_.wait(lock, [this] { return !queue_.is_empty() || is_stopping_; });
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
