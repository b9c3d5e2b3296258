/// Tasks, timers, notifiers, gates and the helpers over Disk and Net, with small fakes.
#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "port/clock.h"
#include "port/disk.h"
#include "port/net.h"
#include "port/sync.h"
#include "port/task.h"
#include "port/teardown.h"

using namespace dlog;
using namespace dlog::port;

namespace {

/// Time that a test moves.
class FakeClock final : public Clock {
  public:
    [[nodiscard]] Instant now() const override { return now_; }
    [[nodiscard]] Timestamp wall_now() const override { return Timestamp{now_.ns / 1'000'000}; }
    void advance_to(Instant instant) {
        while (true) {
            const auto next =
                std::min_element(armed_.begin(), armed_.end(), [](const Timer* a, const Timer* b) {
                    return std::pair(a->deadline(), sequence_of(*a)) <
                           std::pair(b->deadline(), sequence_of(*b));
                });
            if (next == armed_.end() || (*next)->deadline() > instant) break;
            Timer& timer = **next;
            now_ = timer.deadline();
            armed_.erase(next);
            fire(timer);
        }
        now_ = instant;
    }
    [[nodiscard]] std::size_t armed_count() const { return armed_.size(); }

  protected:
    void insert(Timer& timer) override { armed_.push_back(&timer); }
    void erase(Timer& timer) override { std::erase(armed_, &timer); }

  private:
    Instant now_;
    std::vector<Timer*> armed_;
};

class CountingTimer final : public Timer {
  public:
    void fired() override { ++count; }
    int count = 0;
};

Task<std::unique_ptr<int>> make_number(int number) {
    co_return std::make_unique<int>(number);
}

Task<int> add(int a, int b) {
    const std::unique_ptr<int> left = co_await make_number(a);
    const std::unique_ptr<int> right = co_await make_number(b);
    co_return *left + *right;
}

Task<void> store_sum(int a, int b, int* sum) {
    *sum = co_await add(a, b);
}

/// Tells when it is destroyed.
class Witness {
  public:
    explicit Witness(std::vector<int>* log, int number) : log_(log), number_(number) {}
    Witness(Witness&& other) noexcept
        : log_(std::exchange(other.log_, nullptr)), number_(other.number_) {}
    Witness& operator=(Witness&&) = delete;
    ~Witness() {
        if (log_ != nullptr) log_->push_back(number_);
    }

  private:
    std::vector<int>* log_;
    int number_;
};

Task<void> inner_wait(Notifier* notifier, Witness) {
    co_await notifier->wait();
}
Task<void> outer_wait(Notifier* notifier, std::vector<int>* destroyed) {
    const Witness outer(destroyed, 1);
    co_await inner_wait(notifier, Witness(destroyed, 2));
}

/// A coroutine that its test can destroy while it waits.
struct Held {
    struct promise_type {
        Held get_return_object() {
            return Held{std::coroutine_handle<promise_type>::from_promise(*this)};
        }
        [[nodiscard]] std::suspend_never initial_suspend() const noexcept { return {}; }
        [[nodiscard]] std::suspend_always final_suspend() const noexcept { return {}; }
        void return_void() const noexcept {}
        void unhandled_exception() const noexcept { std::terminate(); }
    };
    explicit Held(std::coroutine_handle<promise_type> held) : handle(held) {}
    Held(Held&& other) noexcept : handle(std::exchange(other.handle, nullptr)) {}
    Held& operator=(Held&&) = delete;
    ~Held() { destroy(); }
    void destroy() {
        if (handle) std::exchange(handle, nullptr).destroy();
    }
    [[nodiscard]] bool is_done() const { return handle && handle.done(); }
    std::coroutine_handle<promise_type> handle;
};

Held hold(Task<void> task) {
    co_await std::move(task);
}

Task<void> wait_and_note(Notifier* notifier, int number, std::vector<int>* woken) {
    co_await notifier->wait();
    woken->push_back(number);
}

Task<void> wait_twice(Notifier* notifier, std::vector<int>* woken) {
    co_await notifier->wait();
    woken->push_back(1);
    co_await notifier->wait();
    woken->push_back(2);
}

Task<void> wait_then_notify(Notifier* notifier, std::vector<int>* woken) {
    co_await notifier->wait();
    woken->push_back(10);
    notifier->notify_all();
    woken->push_back(11);
}

Task<void> wait_then_destroy(Notifier* notifier, Held* victim) {
    co_await notifier->wait();
    victim->destroy();
}

Task<void> wait_then_drop(std::unique_ptr<Notifier>* notifier, std::vector<int>* woken) {
    co_await (*notifier)->wait();
    notifier->reset();
    woken->push_back(1);
}

Task<void> wait_for_raw(Notifier* notifier, std::vector<int>* woken) {
    co_await notifier->wait();
    woken->push_back(2);
}

Task<void> wait_with_deadline(Notifier* notifier, Clock* clock, Instant deadline,
                              std::vector<int>* results) {
    const bool was_notified = co_await notifier->wait_until(*clock, deadline);
    results->push_back(was_notified ? 1 : 0);
}

Task<void> time_out_then_notify(Notifier* notifier, Clock* clock, Instant deadline,
                                std::vector<int>* results) {
    const bool was_notified = co_await notifier->wait_until(*clock, deadline);
    results->push_back(was_notified ? 11 : 10);
    notifier->notify_all();
}

Task<void> wait_until_left(Gate* gate, bool* is_empty) {
    while (gate->held() > 0) co_await gate->left().wait();
    *is_empty = true;
}

Task<void> sleep_and_count(Clock* clock, Duration span, int* count) {
    co_await sleep_for(*clock, span);
    ++*count;
}

// ---- fakes of Net and Disk

/// Gives what it holds in pieces of a fixed size, then `end`.
class FakeConnection final : public Connection {
  public:
    FakeConnection(std::string bytes, std::size_t piece, NetResult<std::size_t> end)
        : bytes_(std::move(bytes)), piece_(piece), end_(end) {}
    Task<NetResult<std::size_t>> read(MutableBytes into) override {
        if (position_ == bytes_.size()) co_return end_;
        const std::size_t count = std::min({piece_, into.size(), bytes_.size() - position_});
        std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(position_), count, into.begin());
        position_ += count;
        co_return count;
    }
    Task<NetResult<void>> write(std::vector<OutPart>) override {
        co_return std::unexpected(NetError::kClosed);
    }
    void close() override {}
    void leave() override {}
    [[nodiscard]] const std::string& peer() const override { return bytes_; }

  private:
    std::string bytes_;
    std::size_t piece_;
    NetResult<std::size_t> end_;
    std::size_t position_ = 0;
};

Task<void> read_five(FakeConnection* connection, std::string* into, NetResult<bool>* result) {
    into->assign(5, '.');
    *result = co_await read_exactly(*connection,
                                    {reinterpret_cast<std::uint8_t*>(into->data()), into->size()});
}

NetResult<bool> read_five_of(std::string bytes, std::size_t piece, NetResult<std::size_t> end,
                             std::string& into) {
    FakeConnection connection(std::move(bytes), piece, end);
    NetResult<bool> result;
    start_detached(read_five(&connection, &into, &result));
    return result;
}

class FakeFile final : public File {
  public:
    explicit FakeFile(std::string file_path) : path_(std::move(file_path)) {}
    [[nodiscard]] const std::string& path() const override { return path_; }

  private:
    std::string path_;
};

/// Writes down what it is asked to do and fails at the step it is told to.
class FakeDisk final : public Disk {
  public:
    std::vector<std::string> steps;
    std::size_t failing_step = SIZE_MAX;
    std::string contents;
    std::uint64_t claimed_size = 0;

    Task<DiskResult<FilePtr>> open(std::string path, OpenMode mode) override {
        if (!step("open " + path + (mode == OpenMode::kCreate ? " create" : ""))) {
            co_return std::unexpected(DiskError::kNoSpace);
        }
        co_return std::make_shared<FakeFile>(std::move(path));
    }
    Task<DiskResult<std::size_t>> read(FilePtr, std::uint64_t, MutableBytes into) override {
        const std::size_t count = std::min(into.size(), contents.size());
        std::copy_n(contents.begin(), count, into.begin());
        co_return count;
    }
    Task<DiskResult<void>> write(FilePtr file, std::uint64_t position,
                                 std::vector<Buffer> parts) override {
        std::string text;
        for (const Buffer& part : parts) text += as_text(part.view());
        co_return outcome("write " + file->path() + " " + std::to_string(position) + " " + text);
    }
    Task<DiskResult<void>> sync(std::vector<FilePtr> files,
                                std::vector<std::string> directories) override {
        std::string names = "sync";
        for (const FilePtr& file : files) names += " " + file->path();
        for (const std::string& directory : directories) names += " " + directory + "/";
        co_return outcome(names);
    }
    Task<DiskResult<void>> truncate(FilePtr file, std::uint64_t size) override {
        co_return outcome("truncate " + file->path() + " " + std::to_string(size));
    }
    Task<DiskResult<FileInfo>> stat(FilePtr) override {
        co_return FileInfo{.size_bytes = claimed_size};
    }
    Task<DiskResult<FileInfo>> stat_path(std::string) override { co_return FileInfo{}; }
    Task<DiskResult<void>> remove(std::string path) override { co_return outcome(path); }
    Task<DiskResult<void>> remove_all(std::string path) override { co_return outcome(path); }
    Task<DiskResult<void>> rename(std::string from, std::string to) override {
        co_return outcome("rename " + from + " " + to);
    }
    Task<DiskResult<void>> make_directories(std::string path) override { co_return outcome(path); }
    Task<DiskResult<std::vector<std::string>>> list(std::string) override {
        co_return std::vector<std::string>();
    }
    Task<DiskResult<SpaceInfo>> space(std::string) override { co_return SpaceInfo{}; }
    Task<DiskResult<FilePtr>> lock(std::string) override {
        co_return std::unexpected(DiskError::kLocked);
    }

  private:
    bool step(std::string what) {
        steps.push_back(std::move(what));
        return steps.size() - 1 != failing_step;
    }
    DiskResult<void> outcome(std::string what) {
        if (step(std::move(what))) return {};
        return std::unexpected(DiskError::kIo);
    }
};

Task<void> replace(FakeDisk* disk, DiskResult<void>* result) {
    *result = co_await replace_file(*disk, "a/b", Buffer::copy_of(as_bytes("new")));
}

Task<void> read_limited(FakeDisk* disk, std::uint64_t limit, DiskResult<Buffer>* result) {
    *result = co_await read_file(*disk, "f", limit);
}

}  // namespace

TEST_CASE("a task hands its value to the one that awaits it") {
    int sum = 0;
    start_detached(store_sum(19, 23, &sum));
    CHECK(sum == 42);
}

TEST_CASE("a task that is dropped before it starts does nothing") {
    int sum = 0;
    {
        const Task<void> task = store_sum(1, 2, &sum);
    }
    CHECK(sum == 0);
    Task<void> moved = store_sum(1, 2, &sum);
    const Task<void> taken = std::move(moved);
    CHECK(taken.is_valid());
}

TEST_CASE(
    "destroying a waiting coroutine destroys those it awaits, inner first, and stops the wait") {
    Notifier notifier;
    std::vector<int> destroyed;
    {
        const Held held = hold(outer_wait(&notifier, &destroyed));
        CHECK(notifier.has_waiters());
        CHECK(destroyed.empty());
    }
    CHECK(destroyed == std::vector<int>{2, 1});
    CHECK(!notifier.has_waiters());
    notifier.notify_all();
}

TEST_CASE("an armed timer fires once, and not after it was disarmed or destroyed") {
    FakeClock clock;
    CountingTimer fires;
    CountingTimer disarmed;
    auto destroyed = std::make_unique<CountingTimer>();
    clock.arm(fires, Instant{10});
    clock.arm(disarmed, Instant{10});
    clock.arm(*destroyed, Instant{10});
    CHECK(fires.is_armed());
    clock.disarm(disarmed);
    clock.disarm(disarmed);  // again changes nothing
    destroyed.reset();
    CHECK(clock.armed_count() == 1);
    clock.advance_to(Instant{9});
    CHECK(fires.count == 0);
    clock.advance_to(Instant{100});
    CHECK(fires.count == 1);
    CHECK(!fires.is_armed());
    CHECK(disarmed.count == 0);
    clock.arm(fires, Instant{100});
    clock.advance_to(Instant{100});
    CHECK(fires.count == 2);
}

TEST_CASE("a sleeper wakes at its deadline, and one that is destroyed takes its timer along") {
    FakeClock clock;
    int count = 0;
    Held sleeper = hold(sleep_and_count(&clock, nanoseconds(5), &count));
    Held given_up = hold(sleep_and_count(&clock, nanoseconds(5), &count));
    given_up.destroy();
    clock.advance_to(Instant{4});
    CHECK(count == 0);
    clock.advance_to(Instant{5});
    CHECK(count == 1);
    CHECK(sleeper.is_done());
    start_detached(sleep_and_count(&clock, nanoseconds(0), &count));
    CHECK(count == 2);
}

TEST_CASE("a notification wakes all who wait, in the order they came") {
    Notifier notifier;
    std::vector<int> woken;
    for (const int number : {1, 2, 3}) start_detached(wait_and_note(&notifier, number, &woken));
    CHECK(woken.empty());
    notifier.notify_all();
    CHECK(woken == std::vector<int>{1, 2, 3});
    notifier.notify_all();  // nothing is stored, nobody waits
    CHECK(woken.size() == 3);
}

TEST_CASE("one that waits again is not woken by the same notification") {
    Notifier notifier;
    std::vector<int> woken;
    start_detached(wait_twice(&notifier, &woken));
    start_detached(wait_and_note(&notifier, 3, &woken));
    notifier.notify_all();
    CHECK(woken == std::vector<int>{1, 3});
    notifier.notify_all();
    CHECK(woken == std::vector<int>{1, 3, 2});
}

TEST_CASE("a notification within a notification wakes newcomers only") {
    Notifier notifier;
    std::vector<int> woken;
    start_detached(wait_twice(&notifier, &woken));
    start_detached(wait_then_notify(&notifier, &woken));
    start_detached(wait_and_note(&notifier, 3, &woken));
    notifier.notify_all();
    // The second waiter's own notification finds the first, which waits again, and not the third.
    CHECK(woken == std::vector<int>{1, 10, 2, 11, 3});
    CHECK(!notifier.has_waiters());
}

TEST_CASE("one that is woken may destroy another that was to be woken next") {
    Notifier notifier;
    std::vector<int> woken;
    Held victim(nullptr);
    start_detached(wait_then_destroy(&notifier, &victim));
    Held waits_next = hold(wait_and_note(&notifier, 1, &woken));
    std::swap(victim.handle, waits_next.handle);
    start_detached(wait_and_note(&notifier, 2, &woken));
    notifier.notify_all();
    CHECK(woken == std::vector<int>{2});
    CHECK(!victim.handle);
}

TEST_CASE("a notifier may be destroyed by one whom it wakes, and the others are woken still") {
    auto notifier = std::make_unique<Notifier>();
    std::vector<int> woken;
    start_detached(wait_then_drop(&notifier, &woken));
    start_detached(wait_for_raw(notifier.get(), &woken));
    notifier->notify_all();
    CHECK(notifier == nullptr);
    CHECK(woken == std::vector<int>{1, 2});
}

TEST_CASE("a wait with a deadline tells whether it was notified, and disarms its timer") {
    FakeClock clock;
    Notifier notifier;
    std::vector<int> results;
    start_detached(wait_with_deadline(&notifier, &clock, Instant{10}, &results));
    start_detached(wait_with_deadline(&notifier, &clock, kNever, &results));
    CHECK(clock.armed_count() == 1);
    notifier.notify_all();
    CHECK(results == std::vector<int>{1, 1});
    CHECK(clock.armed_count() == 0);
    start_detached(wait_with_deadline(&notifier, &clock, Instant{10}, &results));
    clock.advance_to(Instant{10});
    CHECK(results == std::vector<int>{1, 1, 0});
    CHECK(!notifier.has_waiters());
    notifier.notify_all();
    CHECK(results.size() == 3);
}

TEST_CASE("one whose time is up may notify the others, whose timers are then gone") {
    FakeClock clock;
    Notifier notifier;
    std::vector<int> results;
    start_detached(wait_with_deadline(&notifier, &clock, Instant{20}, &results));
    start_detached(time_out_then_notify(&notifier, &clock, Instant{10}, &results));
    start_detached(wait_with_deadline(&notifier, &clock, Instant{10}, &results));
    clock.advance_to(Instant{30});
    CHECK(results == std::vector<int>{10, 1, 1});
    CHECK(clock.armed_count() == 0);
}

TEST_CASE("while frames are torn down nobody is woken") {
    std::vector<int> woken;
    std::vector<int> destroyed;
    Gate gate;
    bool is_empty = false;
    auto hold_gate = std::make_unique<Gate::Hold>(gate.enter());
    Held waiter = hold(wait_until_left(&gate, &is_empty));
    {
        const Teardown teardown;
        hold_gate.reset();
        CHECK(!is_empty);
        waiter.destroy();
    }
    CHECK(!is_empty);
    CHECK(gate.held() == 0);
}

TEST_CASE("a gate tells when the last holder has left") {
    Gate gate;
    bool is_empty = false;
    Gate::Hold first = gate.enter();
    Gate::Hold second = gate.enter();
    CHECK(gate.held() == 2);
    start_detached(wait_until_left(&gate, &is_empty));
    first = Gate::Hold();
    CHECK(!is_empty);
    Gate::Hold moved = std::move(second);
    CHECK(gate.held() == 1);
    CHECK(!gate.is_closed());
    gate.close();
    CHECK(gate.is_closed());
    moved = Gate::Hold();
    CHECK(is_empty);
}

TEST_CASE("endpoints are parsed and written the same way") {
    struct Case {
        std::string_view text;
        std::string_view host;
        std::uint16_t port;
    };
    for (const Case& c : {Case{"127.0.0.1:9092", "127.0.0.1", 9092},
                          {"broker-1.example:1", "broker-1.example", 1},
                          {"[::1]:65535", "::1", 65535},
                          {":0", "0.0.0.0", 0}}) {
        Endpoint endpoint;
        CHECK(parse_endpoint(c.text, endpoint));
        CHECK(endpoint.host == c.host);
        CHECK(endpoint.port == c.port);
        if (c.text[0] != ':') CHECK(endpoint.text() == c.text);
    }
    for (const std::string_view bad :
         {"", "host", "host:", "host:65536", "host:-1", "host:1x", "host: 1", "::1:80"}) {
        Endpoint endpoint{.host = "untouched", .port = 7};
        CHECK(!parse_endpoint(bad, endpoint));
        CHECK(endpoint == Endpoint{.host = "untouched", .port = 7});
    }
}

TEST_CASE("an exact read takes pieces, and tells a clean end from a torn one") {
    std::string into;
    CHECK(read_five_of("abcdefg", 2, std::size_t{0}, into) == NetResult<bool>(true));
    CHECK(into == "abcde");
    CHECK(read_five_of("", 2, std::size_t{0}, into) == NetResult<bool>(false));
    CHECK(read_five_of("abc", 2, std::size_t{0}, into) ==
          NetResult<bool>(std::unexpected(NetError::kReset)));
    CHECK(read_five_of("abc", 2, std::unexpected(NetError::kClosed), into) ==
          NetResult<bool>(std::unexpected(NetError::kClosed)));
}

TEST_CASE("a file is replaced by way of a temporary one that is synced before it is renamed") {
    FakeDisk disk;
    DiskResult<void> result;
    start_detached(replace(&disk, &result));
    CHECK(result.has_value());
    const std::vector<std::string> expected{"open a/b.tmp create", "truncate a/b.tmp 0",
                                            "write a/b.tmp 0 new", "sync a/b.tmp",
                                            "rename a/b.tmp a/b",  "sync a/"};
    CHECK(disk.steps == expected);
    for (std::size_t failing = 0; failing < expected.size(); ++failing) {
        FakeDisk broken;
        broken.failing_step = failing;
        start_detached(replace(&broken, &result));
        CHECK(!result.has_value());
        CHECK(broken.steps.size() == failing + 1);  // nothing is done after a failure
    }
}

TEST_CASE("reading a whole file refuses one that is too large and believes what was read") {
    FakeDisk disk;
    DiskResult<Buffer> result;
    disk.contents = "abc";
    disk.claimed_size = 10;  // it shrank meanwhile
    start_detached(read_limited(&disk, 10, &result));
    CHECK((result && as_text(result->view()) == "abc"));
    start_detached(read_limited(&disk, 9, &result));
    CHECK(!result.has_value());
}

TEST_CASE("the folder of a path") {
    CHECK(parent_path("a/b/c") == "a/b");
    CHECK(parent_path("/a") == "/");
    CHECK(parent_path("a") == ".");
}
