/// Every job is performed once, on few threads, until the pool stops.
#include "reactor/pool.h"

#include <doctest/doctest.h>

#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <vector>

using namespace dlog::reactor;

namespace {

struct CountingJob : PoolJob {
    explicit CountingJob(std::atomic<int>* total) : count(total) {
        perform = [](PoolJob& job) { ++*static_cast<CountingJob&>(job).count; };
    }
    std::atomic<int>* count;
};

/// Lets the thread that performs it go on only when the test says so.
struct BlockingJob : PoolJob {
    BlockingJob() {
        perform = [](PoolJob& job) {
            auto& self = static_cast<BlockingJob&>(job);
            self.is_running = true;
            self.is_running.notify_all();
            self.may_go.wait(false);
        };
    }
    std::atomic<bool> is_running = false;
    std::atomic<bool> may_go = false;
};

}  // namespace

TEST_CASE("jobs of many batches are each performed once before the pool has stopped") {
    std::atomic<int> count = 0;
    std::vector<std::unique_ptr<CountingJob>> jobs;
    WorkerPool pool("test", 3);
    for (int batch = 0; batch < 1'000; ++batch) {
        JobList list;
        for (int i = 0; i < batch % 7; ++i) {
            jobs.push_back(std::make_unique<CountingJob>(&count));
            list.push(*jobs.back());
        }
        CHECK(list.size() == static_cast<std::size_t>(batch % 7));
        CHECK(pool.submit(list));
        CHECK(list.is_empty());
    }
    pool.stop();
    CHECK(count == static_cast<int>(jobs.size()));
}

TEST_CASE("threads in the background give way to others, and those of other pools do not") {
    struct AskingJob : PoolJob {
        AskingJob() {
            perform = [](PoolJob& job) {
                static_cast<AskingJob&>(job).nice = ::getpriority(PRIO_PROCESS, 0);
            };
        }
        int nice = -100;
    };
    const int here = ::getpriority(PRIO_PROCESS, 0);
    AskingJob normal;
    AskingJob background;
    WorkerPool quick("test", 1);
    WorkerPool slow("test", 1, WorkerPool::Priority::kBackground);
    CHECK(quick.submit(normal));
    CHECK(slow.submit(background));
    quick.stop();
    slow.stop();
    CHECK(normal.nice == here);
    CHECK(background.nice == std::max(here, 10));
}

TEST_CASE("a job does not wait behind one that blocks while threads are free") {
    WorkerPool pool("test", 2);
    BlockingJob slow;
    CHECK(pool.submit(slow));
    slow.is_running.wait(false);
    std::vector<std::unique_ptr<BlockingJob>> quick_jobs;
    for (int i = 0; i < 100; ++i) {
        quick_jobs.push_back(std::make_unique<BlockingJob>());
        quick_jobs.back()->may_go = true;
        CHECK(pool.submit(*quick_jobs.back()));
        quick_jobs.back()->is_running.wait(false);
    }
    slow.may_go = true;
    slow.may_go.notify_all();
    pool.stop();
}

TEST_CASE("a pool that has stopped takes nothing and leaves the jobs where they are") {
    std::atomic<int> count = 0;
    WorkerPool pool("test", 2);
    pool.stop();
    CountingJob job(&count);
    JobList list;
    list.push(job);
    CHECK(!pool.submit(list));
    CHECK(list.pop() == &job);
    pool.stop();
    CHECK(count == 0);
}
