// deliveries BOOTSTRAP TOPIC: the ways to hear what became of a record.

#include <dlog/client.h>
#include <dlog/future.h>

#include <chrono>
#include <cstdio>
#include <exception>
#include <future>
#include <string>

using namespace std::chrono_literals;

namespace {

int fail(const dlog::Error& error) {
    std::fprintf(stderr, "deliveries: %s\n", error.text.c_str());
    return 1;
}

void report(const char* how, const dlog::Result<dlog::Delivery>& outcome) {
    if (outcome) {
        std::printf("%s: partition %d, offset %lld\n", how, outcome->partition,
                    static_cast<long long>(outcome->offset));
    } else {
        std::printf("%s: %s%s\n", how, outcome.error().text.c_str(),
                    outcome.error().is_unknown ? " (it may have been written)" : "");
    }
}

// The least coroutine type; a program that uses coroutines has one of its own.
struct Task {
    struct promise_type {
        Task get_return_object() { return {}; }
        std::suspend_never initial_suspend() { return {}; }
        std::suspend_never final_suspend() noexcept { return {}; }
        void return_void() {}
        void unhandled_exception() { std::terminate(); }
    };
};

Task write_two(dlog::Producer& producer, std::string topic, std::promise<void>& done) {
    const auto first = co_await producer.deliver({.topic = topic, .value = "first"});
    report("coroutine", first);
    const auto second = co_await producer.deliver({.topic = topic, .value = "second"});
    report("coroutine", second);
    done.set_value();
}

class Observer final : public dlog::DeliveryObserver {
  public:
    void delivered(const dlog::Result<dlog::Delivery>& outcome) override {
        report("observer", outcome);
    }
};

}  // namespace

int main(int argc, char** argv) {
    if (argc != 3) {
        std::fprintf(stderr, "usage: deliveries BOOTSTRAP TOPIC\n");
        return 2;
    }
    const std::string topic = argv[2];
    auto client = dlog::Client::connect(argv[1]);
    if (!client) return fail(client.error());
    auto producer = client->producer({.linger = 0ms});
    if (!producer) return fail(producer.error());

    auto sent = producer->send({.topic = topic, .value = "a"},
                               [](const auto& outcome) { report("callback", outcome); });
    if (!sent) return fail(sent.error());

    std::future<dlog::Result<dlog::Delivery>> written =
        dlog::send_future(*producer, {.topic = topic, .value = "b"});
    report("future", written.get());

    Observer observer;
    sent = producer->send({.topic = topic, .value = "c"}, observer);
    if (!sent) return fail(sent.error());

    std::promise<void> done;
    write_two(*producer, topic, done);
    done.get_future().wait();

    const auto flushed = producer->flush(10s);
    return flushed ? 0 : fail(flushed.error());
}
