#include "sdk/consumer_core.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/result.h"
#include "port/clock.h"
#include "port/spawn.h"
#include "protocol/error_code.h"
#include "record/error.h"

namespace dlog::sdk {

namespace {

/// A refusal that is not polled for comes again and again.
constexpr std::size_t kErrorsMax = 100;

/// For the batch's records at once. Its count is the sender's word: memory follows the records that
/// are really there.
void make_room(std::vector<Record>& records, const record::BatchHeader& header) {
    constexpr std::int32_t kExpectedMax = 10'000;
    const auto expected = static_cast<std::size_t>(std::min(header.record_count, kExpectedMax));
    const std::size_t needed = records.size() + expected;
    if (needed > records.capacity()) records.reserve(std::max(needed, records.capacity() * 2));
}

client::FetcherConfig fetcher_config(const ConsumerOptions& options) {
    return {.wait_max = duration_of(options.fetch_wait_max),
            .bytes_min = options.fetch_bytes_min,
            .bytes_max = options.fetch_bytes_max,
            .partition_bytes_max = options.partition_bytes_max,
            .isolation = isolation_of(options)};
}

port::Task<client::Result<std::vector<client::ListedOffset>>> find_offsets(
    client::Cluster& cluster, std::string topic, std::optional<std::int32_t> partition, From from,
    Instant deadline, client::Isolation isolation) {
    std::vector<std::int32_t> partitions;
    if (partition) {
        partitions.push_back(*partition);
    } else {
        DLOG_CO_TRY_ASSIGN(const auto info, co_await cluster.topic(topic, false, deadline));
        for (std::size_t i = 0; i < info->partitions.size(); ++i) {
            partitions.push_back(static_cast<std::int32_t>(i));
        }
    }
    if (from.kind() == From::Kind::kOffset) {
        std::vector<client::ListedOffset> given;
        for (const std::int32_t one : partitions) given.push_back({one, Offset{from.number()}, {}});
        co_return given;
    }
    Timestamp time = client::kEarliestOffset;
    if (from.kind() == From::Kind::kEnd) time = client::kLatestOffset;
    if (from.kind() == From::Kind::kTime)
        time = Timestamp{std::max<std::int64_t>(from.number(), 0)};
    DLOG_CO_TRY_ASSIGN(auto found, co_await client::list_offsets(cluster, topic, partitions, time,
                                                                 deadline, isolation));
    const auto is_none = [](const client::ListedOffset& one) { return one.offset == kNoOffset; };
    if (!std::any_of(found.begin(), found.end(), is_none)) co_return found;
    // Nothing so late there: with what comes from now on.
    DLOG_CO_TRY_ASSIGN(const auto ends,
                       co_await client::list_offsets(cluster, topic, partitions,
                                                     client::kLatestOffset, deadline, isolation));
    for (client::ListedOffset& one : found) {
        if (!is_none(one)) continue;
        const auto end = std::find_if(ends.begin(), ends.end(), [&](const auto& other) {
            return other.partition == one.partition;
        });
        if (end != ends.end()) one.offset = end->offset;
    }
    co_return found;
}

}  // namespace

ConsumerCore::ConsumerCore(Ref<Core> core, const ConsumerOptions& options)
    : core_(std::move(core)),
      options_(options),
      bell_(core_->ports().spawn),
      fetcher_(core_->cluster(), fetcher_config(options)) {
    if (options.group.id.view().empty()) return;
    group_ = std::make_unique<GroupSession>(
        core_->cluster(), options_, [this] { poke(); },
        [this](const client::Error& error) { hand_over(error); });
}

Result<Ref<ConsumerCore>> ConsumerCore::open(const Ref<Core>& core,
                                             const ConsumerOptions& options) {
    if (options.fetch_bytes_max <= 0 || options.partition_bytes_max <= 0 ||
        options.fetch_bytes_min < 0 || options.poll_records_max == 0) {
        return unexpected(
            error_of(ErrorKind::kBadRequest, "ConsumerOptions: a limit is 0 or less"));
    }
    if (options.group.session_timeout.ns <= 0 || options.group.heartbeat_interval.ns <= 0 ||
        options.group.poll_interval_max.ns <= 0) {
        return unexpected(error_of(ErrorKind::kBadRequest,
                                   "GroupOptions: timeouts and intervals are above zero"));
    }
    Ref<ConsumerCore> self(new ConsumerCore(core, options));
    const bool is_running =
        core->run_part(Ref<Part>(self.get()), [self](port::Ports&) { return fetch(self); });
    if (!is_running) return unexpected(error_of(ErrorKind::kClosed, Core::kClosedText));
    return self;
}

// The user's thread.

Error ConsumerCore::not_assigned(const TopicPartition& partition) {
    return error_of(ErrorKind::kBadRequest, std::string(partition.topic) + " partition " +
                                                std::to_string(partition.partition) +
                                                " is not assigned to this consumer");
}

Result<std::vector<client::ListedOffset>> ConsumerCore::find(std::string_view topic,
                                                             std::optional<std::int32_t> partition,
                                                             From from) {
    if (from.kind() == From::Kind::kOffset && from.number() < 0) {
        return unexpected(error_of(ErrorKind::kBadRequest,
                                   "offset " + std::to_string(from.number()) + " is below 0"));
    }
    return core_->call<std::vector<client::ListedOffset>>(
        [name = std::string(topic), partition, from, isolation = isolation_of(options_)](
            client::Cluster& cluster, Instant deadline) {
            return find_offsets(cluster, name, partition, from, deadline, isolation);
        });
}

Result<void> ConsumerCore::assign(std::string_view topic, std::optional<std::int32_t> partition,
                                  From from) {
    const bool is_known = is_subscribed_ && partition && position({topic, *partition}).has_value();
    if (is_subscribed_ && !is_known) {
        return unexpected(error_of(ErrorKind::kBadRequest,
                                   "a consumer that is subscribed has its partitions from its "
                                   "group: it assigns none itself"));
    }
    DLOG_TRY_ASSIGN(const auto found, find(topic, partition, from));
    const auto name = std::make_shared<const std::string>(topic);
    const std::lock_guard lock(mutex_);
    for (const client::ListedOffset& one : found) place_at({name, one.partition}, one.offset);
    return {};
}

void ConsumerCore::place_at(const Key& key, Offset offset) {
    Place& place = places_[key];
    place.position = offset.value;
    place.version = ++next_version_;
    command({Command::Kind::kAssign, key, offset, place.version});
    if (place.is_paused) command({Command::Kind::kPause, key, {}, place.version});
}

void ConsumerCore::command(Command command) {
    commands_.push_back(std::move(command));
    bell_.ring();
}

void ConsumerCore::unassign(const TopicPartition& partition) {
    const std::lock_guard lock(mutex_);
    const auto place = places_.find(partition);
    if (place == places_.end()) return;
    command({Command::Kind::kUnassign, place->first, {}, 0});
    places_.erase(place);
}

Result<void> ConsumerCore::seek(const TopicPartition& partition, From from) {
    {
        const std::lock_guard lock(mutex_);
        if (!places_.contains(partition)) return unexpected(not_assigned(partition));
    }
    return assign(partition.topic, partition.partition, from);
}

Result<std::int64_t> ConsumerCore::position(const TopicPartition& partition) {
    const std::lock_guard lock(mutex_);
    const auto place = places_.find(partition);
    if (place == places_.end()) return unexpected(not_assigned(partition));
    return place->second.position;
}

Result<std::int64_t> ConsumerCore::high_watermark(const TopicPartition& partition) {
    const std::lock_guard lock(mutex_);
    const auto place = places_.find(partition);
    if (place == places_.end()) return unexpected(not_assigned(partition));
    return place->second.high_watermark;
}

Result<void> ConsumerCore::set_paused(const TopicPartition& partition, bool is_paused) {
    const std::lock_guard lock(mutex_);
    const auto place = places_.find(partition);
    if (place == places_.end()) return unexpected(not_assigned(partition));
    if (std::exchange(place->second.is_paused, is_paused) == is_paused) return {};
    // What was fetched ahead is dropped, so that a paused partition takes no room of the others.
    place_at(place->first, Offset{place->second.position});
    return {};
}

void ConsumerCore::wake_up() {
    const std::lock_guard lock(mutex_);
    is_woken_up_ = true;
    changed_.notify_all();
}

void ConsumerCore::close() {
    if (group_ != nullptr) group_->cancel();
    const std::lock_guard lock(mutex_);
    is_closing_ = true;
    changed_.notify_all();
    bell_.ring();
}

bool ConsumerCore::has_ended() {
    const std::lock_guard lock(mutex_);
    return has_ended_;
}

void ConsumerCore::take_queue() {
    for (Item& item : queue_) mine_.push_back(std::move(item));
    queue_.clear();
}

/// An error of a partition comes after what was read before it; that nothing comes at the moment is
/// told when the time is up.
std::optional<Error> ConsumerCore::take_error(bool is_late) {
    if (!errors_.empty()) {
        Error error = std::move(errors_.front());
        errors_.pop_front();
        return error;
    }
    if (is_late && trouble_) return std::exchange(trouble_, std::nullopt);
    return std::nullopt;
}

Result<Records> ConsumerCore::poll(TimeSpan timeout) {
    const Instant deadline = monotonic_now() + duration_of(timeout);
    Ref<RecordsCore> records(new RecordsCore);
    for (;;) {
        if (is_subscribed_) take_part();
        {
            const std::lock_guard lock(mutex_);
            if (is_closing_) return unexpected(error_of(ErrorKind::kClosed, Core::kClosedText));
            take_queue();
        }
        decode_into(*records);
        if (!records->records.empty()) return Records(records.leave());
        std::unique_lock lock(mutex_);
        const Instant now = monotonic_now();
        if (queue_.empty()) {
            if (auto error = take_error(now >= deadline)) return unexpected(*std::move(error));
            if (has_event_) continue;
            const bool is_over = now >= deadline || std::exchange(is_woken_up_, false);
            if (is_over) return Records(records.leave());
            if (is_closing_) continue;
            changed_.wait_for(lock, std::chrono::nanoseconds((deadline - now).ns));
        }
    }
}

bool ConsumerCore::is_wanted(const Item& item) {
    const std::lock_guard lock(mutex_);
    const auto place = places_.find(item.key);
    return place != places_.end() && place->second.version == item.version;
}

void ConsumerCore::decode_into(RecordsCore& records) {
    while (!mine_.empty()) {
        Item& item = mine_.front();
        bool is_kept = is_wanted(item);
        while (is_kept && item.next_batch < item.fetched.batches.size()) {
            if (records.records.size() >= options_.poll_records_max) return;
            Result<void> decoded = decode_batch(item, records);
            if (decoded) continue;
            give_up(item, std::move(decoded).error());
            is_kept = false;
        }
        if (is_kept) move_position(item, item.fetched.next_offset.value);
        let_go(item);
        mine_.pop_front();
    }
}

void ConsumerCore::move_position(const Item& item, std::int64_t position) {
    const std::lock_guard lock(mutex_);
    const auto place = places_.find(item.key);
    if (place == places_.end() || place->second.version != item.version) return;
    place->second.position = std::max(place->second.position, position);
}

/// The partition rests: what was fetched behind the damage is dropped, and nothing more comes until
/// it is sought.
void ConsumerCore::give_up(const Item& item, Error error) {
    const std::lock_guard lock(mutex_);
    errors_.push_back(std::move(error));
    const auto place = places_.find(item.key);
    if (place == places_.end() || place->second.version != item.version) return;
    place->second.version = ++next_version_;
    command({Command::Kind::kUnassign, item.key, {}, 0});
}

void ConsumerCore::let_go(const Item& item) {
    const std::lock_guard lock(mutex_);
    DLOG_ASSERT(queued_bytes_ >= item.size_bytes, queued_bytes_, item.size_bytes);
    queued_bytes_ -= item.size_bytes;
    if (!is_full_ || queued_bytes_ > options_.queued_bytes_max / 2) return;
    is_full_ = false;
    bell_.ring();
}

Result<void> ConsumerCore::decode_batch(Item& item, RecordsCore& records) {
    const auto unreadable = [&](record::Error error) {
        return unexpected(
            error_of(ErrorKind::kCorrupt, *item.key.topic + " partition " +
                                              std::to_string(item.key.partition) + ": " +
                                              std::string(record::error_text(error))));
    };
    auto reader = record::BatchReader::open(item.fetched.batches[item.next_batch++], scratch_);
    if (!reader) return unreadable(reader.error());
    const std::size_t count_before = records.records.size();
    make_room(records.records, reader->header());
    record::Record record;
    while (!reader->header().is_control()) {
        const auto more = reader->next(record);
        if (!more) {
            records.records.resize(count_before);
            return unreadable(more.error());
        }
        if (!*more) break;
        if (record.offset < item.fetched.from) continue;
        const ByteView headers = record.headers.bytes();
        records.records.push_back(
            {.topic = *item.key.topic,
             .offset = record.offset.value,
             .timestamp = TimePoint(record.timestamp.ms),
             .key = bytes_of(record.key),
             .value = bytes_of(record.value),
             .headers = Headers(headers.data(), static_cast<std::uint32_t>(headers.size()),
                                record.headers.count()),
             .partition = item.key.partition});
    }
    if (records.records.size() > count_before) {
        keep_memory(item, reader->header().is_compressed(), records);
    }
    move_position(item, reader->header().next_offset().value);
    return {};
}

/// What the records of the item's last batch view lives as long as they do.
void ConsumerCore::keep_memory(const Item& item, bool is_compressed, RecordsCore& records) {
    if (records.topics.empty() || records.topics.back() != item.key.topic) {
        records.topics.push_back(item.key.topic);
    }
    if (is_compressed) {
        records.decompressed.push_back(std::exchange(scratch_.bytes, {}));
    } else if (records.frames.empty() ||
               !records.frames.back().shares_block_with(item.fetched.frame)) {
        records.frames.push_back(item.fetched.frame);
    }
}

// The client's thread.

port::Task<void> ConsumerCore::listen(Ref<ConsumerCore> self) {
    for (;;) {
        co_await self->bell_.rung();
        self->has_news_ = true;
        self->fetcher_.interrupt();
        self->news_.notify_all();
        if (self->group_ != nullptr) self->group_->hear();
        const std::lock_guard lock(self->mutex_);
        if (self->has_ended_) co_return;
    }
}

/// False when the consumer was closed.
bool ConsumerCore::obey() {
    std::vector<Command> commands;
    {
        const std::lock_guard lock(mutex_);
        if (is_closing_) return false;
        commands.swap(commands_);
    }
    for (const Command& command : commands) {
        const std::string& topic = *command.key.topic;
        const std::int32_t partition = command.key.partition;
        switch (command.kind) {
            case Command::Kind::kAssign:
                fetcher_.assign(topic, partition, command.offset);
                versions_.insert_or_assign(command.key, command.version);
                break;
            case Command::Kind::kUnassign:
                fetcher_.unassign(topic, partition);
                versions_.erase(command.key);
                break;
            case Command::Kind::kPause:
                fetcher_.set_paused(topic, partition, true);
                break;
        }
    }
    return true;
}

void ConsumerCore::hand_over(std::vector<client::Fetched> all) {
    const std::lock_guard lock(mutex_);
    trouble_.reset();
    for (client::Fetched& fetched : all) {
        const auto version = versions_.find(TopicPartition{fetched.topic, fetched.partition});
        if (version == versions_.end()) continue;
        const auto place = places_.find(version->first);
        if (place == places_.end() || place->second.version != version->second) continue;
        place->second.high_watermark = fetched.high_watermark.value;
        const bool is_gone =
            fetched.error && fetched.error->code == protocol::ErrorCode::kOffsetOutOfRange;
        if (is_gone && options_.on_missing_offset != MissingOffset::kFail) {
            core_->ports().spawn.spawn(
                start_over(Ref<ConsumerCore>(this), version->first, version->second));
        } else if (fetched.error) {
            errors_.push_back(public_error(*fetched.error));
        }
        // What was left out, of aborted transactions, moves the position.
        if (fetched.next_offset == fetched.from) continue;
        Item item{.key = version->first, .version = version->second};
        for (const ByteView batch : fetched.batches) item.size_bytes += batch.size();
        queued_bytes_ += item.size_bytes;
        item.fetched = std::move(fetched);
        queue_.push_back(std::move(item));
    }
    changed_.notify_all();
}

void ConsumerCore::hand_over(const client::Error& error) {
    const std::lock_guard lock(mutex_);
    if (error.is_retriable()) {
        trouble_ = public_error(error);
    } else if (errors_.size() < kErrorsMax) {
        errors_.push_back(public_error(error));
    }
    changed_.notify_all();
}

/// Puts a partition whose offset is gone where `on_missing_offset` says.
port::Task<void> ConsumerCore::start_over(Ref<ConsumerCore> self, Key key, std::uint64_t version) {
    client::Cluster& cluster = self->core_->cluster();
    const From from =
        self->options_.on_missing_offset == MissingOffset::kEnd ? From::end() : From::beginning();
    const auto found =
        co_await find_offsets(cluster, *key.topic, key.partition, from, cluster.default_deadline(),
                              isolation_of(self->options_));
    if (!found) {
        self->hand_over(found.error());
        co_return;
    }
    const std::lock_guard lock(self->mutex_);
    const auto place = self->places_.find(key);
    if (place == self->places_.end() || place->second.version != version) co_return;
    for (const client::ListedOffset& one : *found) self->place_at(key, one.offset);
}

port::Task<void> ConsumerCore::fetch(Ref<ConsumerCore> self) {
    const port::Ports& ports = self->core_->ports();
    const Duration rest = self->core_->cluster().config().backoff_max;
    ports.spawn.spawn(listen(self));
    for (;;) {
        self->has_news_ = false;
        if (!self->obey()) break;
        bool may_fetch = self->fetcher_.has_work();
        {
            const std::lock_guard lock(self->mutex_);
            if (self->queued_bytes_ >= self->options_.queued_bytes_max) {
                self->is_full_ = true;
                may_fetch = false;
            }
        }
        Instant wake_at = kNever;
        if (may_fetch) {
            auto fetched = co_await self->fetcher_.poll(ports.clock.now() + rest);
            if (fetched) {
                self->hand_over(*std::move(fetched));
                continue;
            }
            self->hand_over(fetched.error());
            wake_at = ports.clock.now() + rest;
        }
        if (self->has_news_) continue;
        static_cast<void>(co_await self->news_.wait_until(ports.clock, wake_at));
    }
    co_await self->fetcher_.close();
    if (self->has_started_member_) co_await self->group_->member().close();
    {
        const std::lock_guard lock(self->mutex_);
        self->has_ended_ = true;
    }
    self->bell_.ring();
    self->core_->forget_part(*self);
}

}  // namespace dlog::sdk
