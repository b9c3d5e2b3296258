/// Writes records: gathers them into batches, sends the batches to the partitions' leaders, again
/// when that fails, in order and without writing anything twice.
///
///     auto producer = client.producer({.compression = dlog::Compression::kLz4});
///     producer->send({.topic = "orders", .key = "42", .value = "paid"});
///     if (auto flushed = producer->flush(10s); !flushed) complain(flushed.error().text.c_str());
#pragma once

#include <coroutine>
#include <cstddef>
#include <cstdint>
#include <utility>

#include "dlog/partitioner.h"
#include "dlog/record.h"
#include "dlog/result.h"
#include "dlog/time.h"

namespace dlog {

namespace sdk {
class ProducerCore;
}

enum class Acks : std::int8_t {
    kNone = 0,    ///< Not answered: a record counts as delivered once it is sent.
    kLeader = 1,  ///< The leader has it.
    kAll = -1,    ///< All replicas that are in sync have it.
};

enum class Compression : std::uint8_t { kNone, kGzip, kSnappy, kLz4, kZstd };

struct ProducerOptions {
    Acks acks = Acks::kAll;
    /// Batches are numbered, so that the broker recognises one that comes twice. Needs kAll.
    bool is_idempotent = true;
    Compression compression = Compression::kNone;
    /// How long a batch waits for more records before it is sent.
    TimeSpan linger = TimeSpan::milliseconds(5);
    std::size_t batch_bytes_max = 256 << 10;
    std::size_t request_bytes_max = 1 << 20;
    /// What may wait for delivery; `send` blocks beyond it.
    std::size_t buffer_bytes_max = 32 << 20;
    /// How long `send` waits for room or for what the topic's partitions are.
    TimeSpan block_max = TimeSpan::seconds(60);
    /// From `send` to success or failure.
    TimeSpan delivery_timeout = TimeSpan::seconds(120);
    /// Requests under way to one broker, 1 to 5.
    std::uint32_t in_flight_max = 5;
    Partitioning partitioning = Partitioning::kMurmur2;
    /// One of your own instead of `partitioning`. It must outlive the producer.
    Partitioner* partitioner = nullptr;
    /// A topic that is not there may be made by the broker (its auto.create.topics.enable).
    bool may_create_topics = true;
};

/// Where a record was written. `offset` is -1 when the broker did not say: with Acks::kNone, or
/// when it recognised a batch that it had before.
struct Delivery {
    std::int32_t partition = -1;
    std::int64_t offset = -1;
};

/// Hears what became of one record: once, on the client's thread, so it should be quick and must
/// not block. It may call `try_send`. The cheapest of the ways to know; the others are made of it.
class DeliveryObserver {
  public:
    virtual void delivered(const Result<Delivery>& outcome) = 0;

  protected:
    ~DeliveryObserver() = default;
};

class DeliveryAwaiter;

/// Any thread may call it, several at once. Records that one thread sends to one partition keep
/// their order.
class Producer {
  public:
    Producer(Producer&& other) noexcept;
    Producer& operator=(Producer&& other) noexcept;
    /// As `close` with 10 seconds.
    ~Producer();

    /// Takes a copy of the record, blocking while there is no room. Success means taken, not
    /// delivered: `flush` tells of failures. Fails at once, with kWouldBlock, where it would have
    /// to block the client's own thread.
    Result<void> send(const ProducerRecord& record) { return take(record, nullptr, true); }
    /// The same, and `observer` hears the outcome; not when this fails.
    Result<void> send(const ProducerRecord& record, DeliveryObserver& observer) {
        return take(record, &observer, true);
    }
    /// The same with anything that can be called with a `const Result<Delivery>&`:
    ///     producer.send(record, [](const auto& outcome) { if (!outcome) … });
    template <class Callback>
        requires requires(Callback& c, const Result<Delivery>& outcome) { c(outcome); }
    Result<void> send(const ProducerRecord& record, Callback callback);

    /// Never blocks: kWouldBlock when there is no room, or the topic is not known yet, which the
    /// call sees to.
    Result<void> try_send(const ProducerRecord& record) { return take(record, nullptr, false); }
    Result<void> try_send(const ProducerRecord& record, DeliveryObserver& observer) {
        return take(record, &observer, false);
    }

    /// For coroutines: `Result<Delivery> written = co_await producer.deliver(record);`. It waits
    /// for room without blocking. The coroutine goes on on the client's thread; what the record
    /// views must live until then. See also <dlog/future.h>.
    [[nodiscard]] DeliveryAwaiter deliver(const ProducerRecord& record);

    /// Sends everything now and waits until all of it is delivered or has failed. The error: it was
    /// not over in time, or the first failure since the last flush of a record that no observer was
    /// told about.
    Result<void> flush(TimeSpan timeout);
    /// Flushes, fails what is left, and takes no more.
    Result<void> close(TimeSpan timeout);

    [[nodiscard]] std::uint64_t undelivered_records() const;

  private:
    friend class Client;
    friend class DeliveryAwaiter;
    explicit Producer(sdk::ProducerCore* core) : core_(core) {}
    Result<void> take(const ProducerRecord& record, DeliveryObserver* observer, bool may_block);
    /// Takes the record now or when there is room.
    Result<void> queue(const ProducerRecord& record, DeliveryObserver& observer);

    sdk::ProducerCore* core_ = nullptr;
};

/// What `Producer::deliver` returns. Await it at once.
class [[nodiscard]] DeliveryAwaiter final : private DeliveryObserver {
  public:
    DeliveryAwaiter(Producer& producer, const ProducerRecord& record)
        : producer_(producer), record_(record) {}
    DeliveryAwaiter(const DeliveryAwaiter&) = delete;
    DeliveryAwaiter& operator=(const DeliveryAwaiter&) = delete;

    [[nodiscard]] bool await_ready() const { return false; }
    bool await_suspend(std::coroutine_handle<> waiter) {
        waiter_ = waiter;
        // Once it is taken, the outcome may come on the other thread and this object be gone.
        Result<void> taken = producer_.queue(record_, *this);
        if (taken) return true;
        outcome_ = std::unexpected(std::move(taken).error());
        return false;
    }
    Result<Delivery> await_resume() { return std::move(outcome_); }

  private:
    void delivered(const Result<Delivery>& outcome) override {
        outcome_ = outcome;
        waiter_.resume();
    }

    Producer& producer_;
    const ProducerRecord record_;
    std::coroutine_handle<> waiter_;
    Result<Delivery> outcome_;
};

inline DeliveryAwaiter Producer::deliver(const ProducerRecord& record) {
    return DeliveryAwaiter(*this, record);
}

namespace detail {

/// An observer that calls its callback and is gone.
template <class Callback>
class CallbackObserver final : public DeliveryObserver {
  public:
    explicit CallbackObserver(Callback callback) : callback_(std::move(callback)) {}
    void delivered(const Result<Delivery>& outcome) override {
        callback_(outcome);
        delete this;
    }

  private:
    Callback callback_;
};

}  // namespace detail

template <class Callback>
    requires requires(Callback& c, const Result<Delivery>& outcome) { c(outcome); }
Result<void> Producer::send(const ProducerRecord& record, Callback callback) {
    auto* observer = new detail::CallbackObserver<Callback>(std::move(callback));
    Result<void> taken = take(record, observer, true);
    if (!taken) delete observer;
    return taken;
}

}  // namespace dlog
