/// A bounded pool of threads for calls that block: file I/O in one pool, long computations and
/// names in another.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace dlog::reactor {

/// A piece of work, embedded in whatever waits for it. It belongs to the pool from `submit` until
/// `perform` is called, which may hand its memory back to another thread before it returns.
struct PoolJob {
    PoolJob* next = nullptr;
    void (*perform)(PoolJob& self) = nullptr;
};

/// Jobs in the order they came; owns none of them.
class JobList {
  public:
    void push(PoolJob& job);
    void append(JobList& other);
    [[nodiscard]] PoolJob* pop();
    [[nodiscard]] bool is_empty() const { return first_ == nullptr; }
    [[nodiscard]] std::size_t size() const { return size_; }

  private:
    PoolJob* first_ = nullptr;
    PoolJob* last_ = nullptr;
    std::size_t size_ = 0;
};

/// Used from any thread. Threads are started as jobs need them, `threads_max` at most, and stay.
class WorkerPool {
  public:
    WorkerPool(std::string name, std::uint32_t threads_max);
    WorkerPool(const WorkerPool&) = delete;
    WorkerPool& operator=(const WorkerPool&) = delete;
    ~WorkerPool() { stop(); }

    /// Takes all jobs of `batch`. False, and `batch` keeps them, when the pool has stopped.
    bool submit(JobList& batch);
    bool submit(PoolJob& job);
    /// Performs what was submitted, then joins the threads.
    void stop();

  private:
    void work();
    void start_thread();

    const std::string name_;
    const std::uint32_t threads_max_;
    std::mutex mutex_;
    std::condition_variable wake_;
    JobList queue_;
    std::vector<std::thread> threads_;
    std::size_t idle_ = 0;  // threads that wait, or start: each will look at the queue
    bool is_stopping_ = false;
};

/// Makes the calling thread and those it starts deaf to every signal that is not its own fault.
void block_signals_here();

}  // namespace dlog::reactor
