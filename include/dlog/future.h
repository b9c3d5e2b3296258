/// Deliveries as `std::future`. Not part of <dlog/client.h>: <future> is among the slowest headers
/// to compile, and a shared state for each record is the dearest way to hear of it.
///
///     std::future<dlog::Result<dlog::Delivery>> written = dlog::send_future(*producer, record);
#pragma once

#include <future>
#include <utility>

#include "dlog/producer.h"

namespace dlog {

[[nodiscard]] inline std::future<Result<Delivery>> send_future(Producer& producer,
                                                               const ProducerRecord& record) {
    std::promise<Result<Delivery>> promise;
    std::future<Result<Delivery>> future = promise.get_future();
    struct Keep {
        std::promise<Result<Delivery>> promise;
        void operator()(const Result<Delivery>& outcome) { promise.set_value(outcome); }
    };
    Result<void> taken = producer.send(record, Keep{std::move(promise)});
    if (!taken) {
        std::promise<Result<Delivery>> refused;
        future = refused.get_future();
        refused.set_value(std::unexpected(std::move(taken).error()));
    }
    return future;
}

}  // namespace dlog
