/// A bounded pool of threads for calls that block: file I/O in one pool, long computations and
/// names in another.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
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

/// Used from any thread. Threads are started as jobs need them, `threads_max` at most, and stay. Of
/// the threads that wait the one that worked last is woken: its caches are warm.
class WorkerPool {
  public:
    /// Threads of a pool in the background run where others leave a processor idle, or little.
    enum class Priority : std::uint8_t { kNormal, kBackground };
    WorkerPool(std::string name, std::uint32_t threads_max, Priority priority = Priority::kNormal);
    WorkerPool(const WorkerPool&) = delete;
    WorkerPool& operator=(const WorkerPool&) = delete;
    ~WorkerPool() { stop(); }

    /// Takes all jobs of `batch`. False, and `batch` keeps them, when the pool has stopped.
    bool submit(JobList& batch);
    bool submit(PoolJob& job);
    /// Performs what was submitted, then joins the threads.
    void stop();

  private:
    struct Worker {
        std::thread thread;
        Worker* next_idle = nullptr;
        std::atomic<std::uint32_t> is_woken = 0;  // a futex word
        void wait();
        void wake();
    };
    void work(Worker& self);
    void start_worker();

    const std::string name_;
    const std::uint32_t threads_max_;
    const Priority priority_;
    std::mutex mutex_;
    JobList queue_;
    std::vector<std::unique_ptr<Worker>> workers_;
    Worker* idle_ = nullptr;  // a stack
    std::size_t coming_ =
        0;  // workers that were woken or started and have not looked at the queue yet
    bool is_stopping_ = false;
};

/// Makes the calling thread and those it starts deaf to every signal that is not its own fault.
void block_signals_here();

}  // namespace dlog::reactor
