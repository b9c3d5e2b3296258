/// The client's thread and the connections to one cluster.
#pragma once

#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string_view>
#include <thread>
#include <vector>

#include "base/time.h"
#include "client/cluster.h"
#include "client/error.h"
#include "dlog/client.h"
#include "port/ports.h"
#include "port/task.h"
#include "reactor/reactor.h"
#include "sdk/convert.h"
#include "sdk/shared.h"

namespace dlog::sdk {

/// A producer or consumer as its core sees it.
class Part : public Shared {
  public:
    /// The client's thread: what waits gives up, everything under way ends. The cluster is closed.
    virtual void end() = 0;
    /// Any thread: whether nothing is left that somebody should hear of.
    [[nodiscard]] virtual bool has_ended() = 0;
    /// Any thread, before the client's thread ends.
    virtual void silence() = 0;
    /// After it has ended: what it did not get to do will not be done.
    virtual void abandon() = 0;
};

/// Owned by the Client and by all that it made. The client's thread runs from `open` to
/// `shut_down`, which the Client alone calls; afterwards every call answers kClosed.
class Core final : public Shared {
  public:
    [[nodiscard]] static Result<Ref<Core>> open(std::string_view bootstrap,
                                                const ClientOptions& options);
    ~Core() override;
    void shut_down();

    [[nodiscard]] const port::Ports& ports() const { return reactor_->ports(CoreId(0)); }
    /// The client's thread only.
    [[nodiscard]] client::Cluster& cluster() { return *cluster_; }
    [[nodiscard]] bool is_own_thread() const { return std::this_thread::get_id() == thread_; }
    [[nodiscard]] Duration request_timeout() const { return request_timeout_; }

    /// Any thread: runs a coroutine on the client's thread. False when that has ended.
    [[nodiscard]] bool run(reactor::Reactor::Start start);
    /// The same for the coroutine of a part, which is told of the end from then on.
    [[nodiscard]] bool run_part(Ref<Part> part, reactor::Reactor::Start start);
    void forget_part(const Part& part);

    template <class T>
    using Ask = std::move_only_function<port::Task<client::Result<T>>(client::Cluster&, Instant)>;
    /// A thread of the user: runs `ask` on the client's thread and waits for its result. `ask`
    /// returns a coroutine that owns what it needs.
    template <class T>
    [[nodiscard]] Result<T> call(Ask<T> ask) {
        if (is_own_thread()) {
            return std::unexpected(
                error_of(ErrorKind::kWouldBlock, "a blocking call on the client's own thread"));
        }
        auto waiting = std::make_shared<Waiting<T>>();
        const bool is_running = run([this, &ask, waiting](port::Ports&) -> port::Task<void> {
            return answer<T>(cluster_.get(), &ask, Answering<T>{waiting}, request_timeout_);
        });
        if (!is_running) return std::unexpected(error_of(ErrorKind::kClosed, kClosedText));
        std::unique_lock lock(waiting->mutex);
        waiting->changed.wait(lock, [&] { return waiting->is_done; });
        if (!waiting->result) return std::unexpected(error_of(ErrorKind::kClosed, kClosedText));
        if (!*waiting->result) return std::unexpected(public_error(waiting->result->error()));
        if constexpr (std::is_void_v<T>) {
            return {};
        } else {
            return **std::move(waiting->result);
        }
    }

    static constexpr std::string_view kClosedText = "the client was closed";

  private:
    template <class T>
    struct Waiting {
        std::mutex mutex;
        std::condition_variable changed;
        std::optional<client::Result<T>> result;
        bool is_done = false;
    };
    /// Lets the caller go on when the coroutine that holds it has ended or was destroyed.
    template <class T>
    struct Answering {
        std::shared_ptr<Waiting<T>> waiting;
        explicit Answering(std::shared_ptr<Waiting<T>> on) : waiting(std::move(on)) {}
        Answering(Answering&& other) noexcept = default;
        Answering& operator=(Answering&&) = delete;
        ~Answering() {
            if (waiting == nullptr) return;
            const std::lock_guard lock(waiting->mutex);
            waiting->is_done = true;
            waiting->changed.notify_all();
        }
    };
    template <class T>
    static port::Task<void> answer(client::Cluster* cluster, Ask<T>* ask, Answering<T> answering,
                                   Duration timeout) {
        const Instant deadline = cluster->ports().clock.now() + timeout;
        client::Result<T> result = co_await (*ask)(*cluster, deadline);
        const std::lock_guard lock(answering.waiting->mutex);
        answering.waiting->result.emplace(std::move(result));
    }

    explicit Core(const ClientOptions& options);
    static port::Task<void> close(Core* core);

    const Duration request_timeout_;
    std::unique_ptr<reactor::Reactor> reactor_;
    std::unique_ptr<client::Cluster> cluster_;
    std::thread::id thread_;
    std::mutex mutex_;
    bool is_closed_ = false;
    std::vector<Ref<Part>> parts_;
};

}  // namespace dlog::sdk
