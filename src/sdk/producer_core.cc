#include "sdk/producer_core.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/result.h"
#include "port/clock.h"
#include "port/entropy.h"
#include "port/spawn.h"

namespace dlog::sdk {

namespace {

/// A topic whose partitions were learned so recently is not asked about for another.
constexpr Duration kAskAgain = seconds(1);

client::ProducerConfig sender_config(const ProducerOptions& options) {
    client::ProducerConfig config;
    config.acks = static_cast<client::Acks>(options.acks);
    config.is_idempotent = options.is_idempotent;
    config.compression = static_cast<codec::Compression>(options.compression);
    config.batch_bytes_max = options.batch_bytes_max;
    config.request_bytes_max = options.request_bytes_max;
    config.memory_bytes_max = SIZE_MAX / 2;  // the accumulator bounds it
    config.in_flight_max = options.in_flight_max;
    config.delivery_timeout = duration_of(options.delivery_timeout);
    config.may_create_topics = options.may_create_topics;
    return config;
}

client::AccumulatorConfig accumulator_config(const ProducerOptions& options, std::uint64_t seed) {
    return {.compression = static_cast<codec::Compression>(options.compression),
            .partitioning = static_cast<client::Partitioning>(options.partitioning),
            .linger = duration_of(options.linger),
            .batch_bytes_max = options.batch_bytes_max,
            .memory_bytes_max = options.buffer_bytes_max,
            .in_flight_max = options.in_flight_max,
            .seed = seed};
}

std::string_view problem_of(const ProducerOptions& options) {
    if (options.is_idempotent && options.acks != Acks::kAll) {
        return "ProducerOptions: is_idempotent needs Acks::kAll; set it to false with other acks";
    }
    if (options.in_flight_max < 1 || options.in_flight_max > 5) {
        return "ProducerOptions: in_flight_max is 1 to 5, since brokers remember five batches";
    }
    if (options.batch_bytes_max == 0 || options.batch_bytes_max > (std::size_t{1} << 30)) {
        return "ProducerOptions: batch_bytes_max is 1 to 2^30";
    }
    if (options.request_bytes_max == 0 || options.buffer_bytes_max == 0) {
        return "ProducerOptions: request_bytes_max and buffer_bytes_max are above 0";
    }
    return {};
}

/// The headers as the rooms below have them, in memory that the thread keeps.
std::span<const record::RecordHeader> headers_of(const ProducerRecord& record) {
    if (record.headers.size() == 0) return {};
    thread_local std::vector<record::RecordHeader> converted;
    converted.clear();
    for (const Header& header : record.headers) {
        converted.push_back({as_bytes(header.key), view_of(header.value)});
    }
    return converted;
}

}  // namespace

ProducerCore::ProducerCore(Ref<Core> core, const ProducerOptions& options)
    : core_(std::move(core)),
      options_(options),
      bell_(core_->ports().spawn),
      accumulator_(
          accumulator_config(options, mix_bits(static_cast<std::uint64_t>(monotonic_now().ns) ^
                                               reinterpret_cast<std::uintptr_t>(this)))),
      sender_(core_->cluster(), sender_config(options), *this) {}

Result<Ref<ProducerCore>> ProducerCore::open(const Ref<Core>& core,
                                             const ProducerOptions& options) {
    const std::string_view problem = problem_of(options);
    if (!problem.empty()) return unexpected(error_of(ErrorKind::kBadRequest, problem));
    Ref<ProducerCore> self(new ProducerCore(core, options));
    const bool is_running =
        core->run_part(Ref<Part>(self.get()), [self](port::Ports&) { return pump(self); });
    if (!is_running) return unexpected(error_of(ErrorKind::kClosed, Core::kClosedText));
    return self;
}

// Any thread.

Result<void> ProducerCore::partition_by_choice(const ProducerRecord& record,
                                               client::ProducerRecord& inner) {
    if (options_.partitioner == nullptr || record.partition >= 0) return {};
    const auto count = accumulator_.partition_count(record.topic);
    if (!count) return {};
    inner.partition = options_.partitioner->choose(record, *count);
    if (inner.partition >= 0 && inner.partition < *count) return {};
    return unexpected(error_of(ErrorKind::kBadRequest,
                               "the partitioner chose " + std::to_string(inner.partition) + " of " +
                                   std::to_string(*count) + " partitions"));
}

Result<ProducerCore::Step> ProducerCore::try_append(const ProducerRecord& record,
                                                    DeliveryObserver* observer) {
    if (is_closing_) return unexpected(error_of(ErrorKind::kClosed, "the producer was closed"));
    const Timestamp now = record.timestamp.is_set() ? Timestamp{record.timestamp.ms} : wall_now();
    client::ProducerRecord inner{.topic = record.topic,
                                 .partition = record.partition,
                                 .timestamp = now,
                                 .key = view_of(record.key),
                                 .value = view_of(record.value),
                                 .headers = headers_of(record),
                                 .tag = reinterpret_cast<std::uintptr_t>(observer)};
    DLOG_TRY(partition_by_choice(record, inner));
    if (may_have_grown(record)) {
        want(record.topic);
        return Step::kNoTopic;
    }
    const auto appended = accumulator_.append(inner, now);
    if (!appended) return unexpected(public_error(appended.error()));
    switch (*appended) {
        case client::Accumulator::Append::kTaken:
            return Step::kTaken;
        case client::Accumulator::Append::kTakenAndDue:
            bell_.ring();
            return Step::kTaken;
        case client::Accumulator::Append::kFull:
            return Step::kNoRoom;
        case client::Accumulator::Append::kUnknownTopic:
            want(record.topic);
            return Step::kNoTopic;
    }
    DLOG_UNREACHABLE();
}

/// Whether the record's partition is beyond those that are known, and there may be more by now.
bool ProducerCore::may_have_grown(const ProducerRecord& record) {
    if (record.partition < 0) return false;
    const auto count = accumulator_.partition_count(record.topic);
    if (!count || record.partition < *count) return false;
    const auto asked = asked_.find(record.topic);
    return asked == asked_.end() || asked->second.is_under_way ||
           monotonic_now() - asked->second.learned_at > kAskAgain;
}

void ProducerCore::want(std::string_view topic) {
    const auto found = asked_.find(topic);
    if (found != asked_.end() && found->second.is_under_way) return;
    asked_[std::string(topic)].is_under_way = true;
    wanted_.emplace(topic);
    bell_.ring();
}

Error ProducerCore::no_room(Step step, const ProducerRecord& record, const Error* failure) const {
    if (failure != nullptr) return *failure;
    const ErrorKind kind = ErrorKind::kWouldBlock;
    if (step == Step::kNoTopic) {
        return error_of(
            kind, "the partitions of topic " + std::string(record.topic) + " are not known yet");
    }
    return error_of(kind, std::to_string(options_.buffer_bytes_max) +
                              " bytes of earlier records wait for delivery (buffer_bytes_max)");
}

Result<void> ProducerCore::take(const ProducerRecord& record, DeliveryObserver* observer,
                                bool may_block) {
    std::unique_lock lock(mutex_);
    std::optional<std::uint64_t> asked_before;
    Instant give_up_at = kNever;
    for (;;) {
        DLOG_TRY_ASSIGN(const Step step, try_append(record, observer));
        if (step == Step::kTaken) return {};
        const Error* failure = nullptr;
        if (step == Step::kNoTopic) {
            const Asked& asked = asked_.find(record.topic)->second;
            if (!asked_before) asked_before = asked.times;
            if (asked.times > *asked_before && asked.failure) return unexpected(*asked.failure);
            failure = asked.failure ? &*asked.failure : nullptr;
        }
        if (!may_block || core_->is_own_thread()) return unexpected(no_room(step, record, failure));
        const Instant now = monotonic_now();
        if (give_up_at == kNever) give_up_at = now + duration_of(options_.block_max);
        if (now >= give_up_at) {
            Error error = no_room(step, record, failure);
            error.kind = ErrorKind::kTimedOut;
            return unexpected(std::move(error));
        }
        ++waiting_threads_;
        changed_.wait_for(lock, std::chrono::nanoseconds((give_up_at - now).ns));
        --waiting_threads_;
    }
}

Result<void> ProducerCore::queue(const ProducerRecord& record, DeliveryObserver& observer) {
    const std::lock_guard lock(mutex_);
    DLOG_TRY_ASSIGN(const Step step, try_append(record, &observer));
    if (step == Step::kTaken) return {};
    parked_.push_back({record, &observer, std::nullopt});
    if (step == Step::kNoTopic) {
        parked_.back().asked_before = asked_.find(record.topic)->second.times;
    }
    return {};
}

Result<void> ProducerCore::flush(TimeSpan timeout) {
    if (core_->is_own_thread()) {
        return unexpected(error_of(ErrorKind::kWouldBlock, "a flush on the client's own thread"));
    }
    std::unique_lock lock(mutex_);
    ++flushing_;
    ++waiting_threads_;
    bell_.ring();
    const bool is_over = changed_.wait_for(
        lock, std::chrono::nanoseconds(duration_of(timeout).ns),
        [this] { return has_ended_ || (accumulator_.records() == 0 && parked_.empty()); });
    --waiting_threads_;
    --flushing_;
    if (!is_over) {
        return unexpected(error_of(ErrorKind::kTimedOut, std::to_string(accumulator_.records()) +
                                                             " records are not delivered yet"));
    }
    if (first_failure_) return unexpected(*std::exchange(first_failure_, std::nullopt));
    return {};
}

Result<void> ProducerCore::close(TimeSpan timeout) {
    Result<void> flushed = flush(timeout);
    std::unique_lock lock(mutex_);
    is_closing_ = true;
    bell_.ring();
    if (core_->is_own_thread()) return flushed;
    ++waiting_threads_;
    changed_.notify_all();
    changed_.wait(lock, [this] { return has_ended_; });
    --waiting_threads_;
    return flushed;
}

std::uint64_t ProducerCore::undelivered_records() {
    const std::lock_guard lock(mutex_);
    return accumulator_.records() + parked_.size();
}

void ProducerCore::end() {
    const std::lock_guard lock(mutex_);
    is_closing_ = true;
    changed_.notify_all();
    bell_.ring();
}

void ProducerCore::abandon() {
    const std::lock_guard lock(mutex_);
    has_ended_ = true;
    changed_.notify_all();
}

bool ProducerCore::is_closing() {
    const std::lock_guard lock(mutex_);
    return is_closing_;
}

bool ProducerCore::has_ended() {
    const std::lock_guard lock(mutex_);
    return has_ended_;
}

// The client's thread.

port::Task<void> ProducerCore::listen(Ref<ProducerCore> self) {
    for (;;) {
        co_await self->bell_.rung();
        self->has_news_ = true;
        self->news_.notify_all();
        const std::lock_guard lock(self->mutex_);
        if (self->has_ended_) co_return;
    }
}

std::vector<client::PendingBatchPtr> ProducerCore::collect(Instant& wake_at) {
    std::vector<std::pair<DeliveryObserver*, Error>> refused;
    std::vector<client::PendingBatchPtr> batches;
    std::set<std::string, std::less<>> wanted;
    const Instant now = core_->ports().clock.now();
    {
        const std::lock_guard lock(mutex_);
        if (!parked_.empty()) retry_parked(refused);
        batches = accumulator_.take_due(now, flushing_ > 0 || is_closing_, wake_at);
        wanted.swap(wanted_);
    }
    for (const auto& [observer, error] : refused) observer->delivered(unexpected(error));
    for (const std::string& topic : wanted) {
        core_->ports().spawn.spawn(learn(Ref<ProducerCore>(this), topic));
    }
    return batches;
}

/// Takes those in that have room now. Those behind one that has none wait with it.
void ProducerCore::retry_parked(std::vector<std::pair<DeliveryObserver*, Error>>& refused) {
    while (!parked_.empty()) {
        Parked& first = parked_.front();
        const auto step = try_append(first.record, first.observer);
        if (!step) {
            refused.emplace_back(first.observer, step.error());
        } else if (*step != Step::kTaken) {
            if (*step == Step::kNoRoom) return;
            const Asked& asked = asked_.find(first.record.topic)->second;
            if (!first.asked_before) first.asked_before = asked.times;
            if (asked.times == *first.asked_before || !asked.failure) return;
            refused.emplace_back(first.observer, *asked.failure);
        }
        parked_.pop_front();
    }
}

void ProducerCore::refresh_partition_counts(const std::vector<client::PendingBatchPtr>& batches) {
    const std::string* last = nullptr;
    for (const client::PendingBatchPtr& batch : batches) {
        const std::string& topic = batch->origin->topic;
        if (last != nullptr && *last == topic) continue;
        last = &topic;
        const client::TopicInfoPtr info = core_->cluster().known_topic(topic);
        if (info == nullptr) continue;
        const std::lock_guard lock(mutex_);
        accumulator_.set_partition_count(topic, static_cast<std::int32_t>(info->partitions.size()));
    }
}

port::Task<void> ProducerCore::pump(Ref<ProducerCore> self) {
    const port::Ports& ports = self->core_->ports();
    ports.spawn.spawn(listen(self));
    self->sender_.start();
    for (;;) {
        self->has_news_ = false;
        const bool is_last = self->is_closing();
        Instant wake_at;
        auto batches = self->collect(wake_at);
        if (!batches.empty()) {
            self->refresh_partition_counts(batches);
            self->sender_.submit(std::move(batches));
        }
        if (is_last) break;
        if (self->has_news_) continue;
        static_cast<void>(co_await self->news_.wait_until(ports.clock, wake_at));
    }
    co_await self->sender_.close();
    {
        const std::lock_guard lock(self->mutex_);
        self->has_ended_ = true;
        self->changed_.notify_all();
    }
    self->bell_.ring();
    self->core_->forget_part(*self);
}

port::Task<void> ProducerCore::learn(Ref<ProducerCore> self, std::string topic) {
    client::Cluster& cluster = self->core_->cluster();
    {
        const std::lock_guard lock(self->mutex_);
        // Asked about although it is known: what is known is too old.
        if (self->accumulator_.partition_count(topic)) cluster.forget_topic(topic);
    }
    const auto info =
        co_await cluster.topic(topic, self->options_.may_create_topics, cluster.default_deadline());
    const std::lock_guard lock(self->mutex_);
    if (info) {
        self->accumulator_.set_partition_count(
            topic, static_cast<std::int32_t>((*info)->partitions.size()));
    }
    Asked& asked = self->asked_[topic];
    ++asked.times;
    asked.is_under_way = false;
    asked.learned_at = monotonic_now();
    asked.failure.reset();
    if (!info) asked.failure = public_error(info.error());
    self->changed_.notify_all();
    self->bell_.ring();
}

void ProducerCore::delivered(const client::Delivery& delivery) {
    std::optional<Error> error;
    if (delivery.error != nullptr) {
        error = public_error(*delivery.error);
        error->is_unknown = delivery.is_unknown;
    }
    const bool has_observers = std::any_of(delivery.tags.begin(), delivery.tags.end(),
                                           [](std::uint64_t tag) { return tag != 0; });
    const bool is_unheard =
        error && std::find(delivery.tags.begin(), delivery.tags.end(), 0) != delivery.tags.end();
    if (has_observers) {
        Result<Delivery> outcome = Delivery{delivery.partition, delivery.base_offset.value};
        if (error) outcome = unexpected(*error);
        for (const std::uint64_t tag : delivery.tags) {
            auto* const observer = reinterpret_cast<DeliveryObserver*>(tag);
            if (observer != nullptr) observer->delivered(outcome);
            if (outcome && outcome->offset >= 0) ++outcome->offset;
        }
    }
    const std::lock_guard lock(mutex_);
    if (is_unheard && !first_failure_) first_failure_ = *error;
    const bool is_due =
        accumulator_.release(*delivery.origin, delivery.tags.size(), delivery.memory_bytes);
    if (waiting_threads_ > 0) changed_.notify_all();
    if (is_due || !parked_.empty()) bell_.ring();
}

}  // namespace dlog::sdk
