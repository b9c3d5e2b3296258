#include "broker/group_shard.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/log.h"
#include "broker/core.h"
#include "broker/errors.h"
#include "broker/group_topics.h"
#include "broker/log_replay.h"
#include "port/entropy.h"
#include "port/spawn.h"
#include "record/builder.h"

namespace dlog::broker {

using coordination::Effects;
using coordination::GroupRecord;
using coordination::Input;
using coordination::Reply;
using protocol::ErrorCode;

namespace {

/// Between attempts to fold a log that cannot be read.
constexpr Duration kReloadInterval = seconds(10);
/// A coordinator that asks to be woken in the past is woken this much later all the same.
constexpr Duration kWakePause = milliseconds(1);
/// Decisions are written together up to about so much.
constexpr std::size_t kBatchBytesAim = 1 << 20;

/// What a record takes in a batch at most.
std::size_t bytes_of(const GroupRecord& record) {
    constexpr std::size_t kFieldBytes = 40;
    return record.key.size() + record.value.size() + kFieldBytes;
}

/// Kafka's translation of what goes wrong with a group's records.
ErrorCode group_error_of(replication::Error error) {
    switch (error) {
        case replication::Error::kBatchTooLarge:
            return ErrorCode::kUnknownServerError;
        case replication::Error::kClosed:
            return ErrorCode::kNotCoordinator;
        default:
            return ErrorCode::kCoordinatorNotAvailable;
    }
}

}  // namespace

GroupShard::GroupShard(Core& core, TopicId topic, PartitionId partition, port::Gate& work)
    : core_(core), topic_(topic), partition_(partition), work_(work), alarm_(*this) {}

void GroupShard::start() {
    DLOG_ASSERT(phase_ == Phase::kLoading && coordinator_ == nullptr);
    core_.ports.spawn.spawn(load(shared_from_this()));
}

void GroupShard::stop() {
    const std::shared_ptr<GroupShard> self = shared_from_this();
    phase_ = Phase::kStopped;
    refuse_all(ErrorCode::kNotCoordinator);
    stopped_.notify_all();
}

port::Task<void> GroupShard::load(std::shared_ptr<GroupShard> self) {
    const port::Gate::Hold hold = self->work_.enter();
    while (true) {
        const auto folded = co_await self->fold_log();
        if (self->phase_ == Phase::kStopped) co_return;
        if (folded) break;
        self->core_.ports.log.error(
            "the groups of a partition cannot be read and are not served until they can",
            {{"topic", kOffsetsTopicName},
             {"partition", self->partition_},
             {"error", folded.error()}});
        self->phase_ = Phase::kUnavailable;
        self->coordinator_.reset();
        co_await self->stopped_.wait_until(self->core_.ports.clock,
                                           self->core_.ports.clock.now() + kReloadInterval);
        if (self->phase_ == Phase::kStopped) co_return;
        self->phase_ = Phase::kLoading;
    }
    self->phase_ = Phase::kServing;
    const ViewTopics topics(*self->core_.view);
    self->take(self->coordinator_->begin({.instant = self->core_.ports.clock.now(),
                                          .wall = self->core_.ports.clock.wall_now(),
                                          .topics = topics}));
}

port::Task<std::expected<void, std::string>> GroupShard::fold_log() {
    log_ = core_.shard.find(topic_, partition_);
    if (log_ == nullptr) co_return std::unexpected(std::string("the partition is not open"));
    coordinator_ =
        std::make_unique<coordination::Coordinator>(settings(), core_.ports.entropy.next());
    co_return co_await replay_log(core_, log_, [this](const record::Record& one) {
        return coordinator_->replay(one.key.value_or(ByteView{}), !one.value.has_value(),
                                    one.value.value_or(ByteView{}));
    });
}

port::Task<GroupAnswer> GroupShard::ask(Input input) {
    if (phase_ == Phase::kLoading) co_return std::unexpected(ErrorCode::kCoordinatorLoadInProgress);
    if (phase_ == Phase::kStopped) co_return std::unexpected(ErrorCode::kNotCoordinator);
    if (phase_ != Phase::kServing) co_return std::unexpected(ErrorCode::kCoordinatorNotAvailable);
    const std::shared_ptr<GroupShard> self = shared_from_this();
    const port::Gate::Hold hold = work_.enter();
    const coordination::Ticket ticket = next_ticket_++;
    std::visit(
        [ticket](auto& one) {
            if constexpr (requires { one.ticket; }) one.ticket = ticket;
        },
        input);
    Waiter waiter;
    waiters_.emplace(ticket, &waiter);
    step(input);
    while (!waiter.is_answered) co_await waiter.answered.wait();
    co_return std::move(waiter.answer);
}

void GroupShard::topics_changed(const std::vector<std::string>& deleted) {
    if (phase_ != Phase::kServing) return;
    const std::shared_ptr<GroupShard> self = shared_from_this();
    coordinator_->set_settings(settings());
    step(coordination::TopicsDeleted{.names = deleted});
}

void GroupShard::tick() {
    if (phase_ != Phase::kServing) return;
    const std::shared_ptr<GroupShard> self = shared_from_this();
    step(coordination::Tick{});
}

void GroupShard::step(const Input& input) {
    DLOG_ASSERT(phase_ == Phase::kServing && coordinator_ != nullptr);
    const ViewTopics topics(*core_.view);
    take(coordinator_->step({.instant = core_.ports.clock.now(),
                             .wall = core_.ports.clock.wall_now(),
                             .topics = topics},
                            input));
}

void GroupShard::take(Effects effects) {
    set_alarm(effects.wake_at);
    if (effects.records.empty() && decided_.empty() && !is_writing_) {
        return send(std::move(effects.replies));
    }
    decided_.push_back(std::move(effects));
    if (!is_writing_) core_.ports.spawn.spawn(write_decided(shared_from_this()));
}

std::vector<Effects> GroupShard::next_decisions() {
    // Only one that no batch holds may be torn by a crash.
    const std::size_t bytes_max =
        std::min(kBatchBytesAim, static_cast<std::size_t>(log_->config().segment_bytes));
    std::vector<Effects> decisions;
    std::size_t bytes = record::kBatchHeaderSize;
    while (!decided_.empty()) {
        for (const GroupRecord& one : decided_.front().records) bytes += bytes_of(one);
        if (!decisions.empty() && bytes > bytes_max) break;
        decisions.push_back(std::move(decided_.front()));
        decided_.pop_front();
    }
    return decisions;
}

port::Task<void> GroupShard::write_decided(std::shared_ptr<GroupShard> self) {
    DLOG_ASSERT(!self->is_writing_);
    const port::Gate::Hold hold = self->work_.enter();
    self->is_writing_ = true;
    while (!self->decided_.empty()) {
        std::vector<Effects> decisions = self->next_decisions();
        const ErrorCode code = co_await self->write(&decisions);
        if (code != ErrorCode::kNone) {
            self->is_writing_ = false;
            self->fail(code);
            co_return;
        }
        for (Effects& each : decisions) self->send(std::move(each.replies));
    }
    self->is_writing_ = false;
}

port::Task<ErrorCode> GroupShard::write(const std::vector<Effects>* decisions) {
    const Timestamp now = core_.ports.clock.wall_now();
    const replication::PartitionPtr log = log_;
    const auto batch_bytes_max = static_cast<std::size_t>(log->config().segment_bytes);
    record::BatchBuilder builder(record::BatchSpec{});
    std::optional<replication::Admitted> last;
    const auto append = [&]() -> ErrorCode {
        auto batch = builder.build();
        if (!batch) return ErrorCode::kUnknownServerError;
        auto admitted = log->append(*std::move(batch), now);
        if (!admitted) return group_error_of(admitted.error());
        last = *std::move(admitted);
        return ErrorCode::kNone;
    };
    for (const Effects& decision : *decisions) {
        for (const GroupRecord& one : decision.records) {
            if (builder.record_count() > 0 &&
                builder.size_bytes() + bytes_of(one) > batch_bytes_max) {
                if (const ErrorCode code = append(); code != ErrorCode::kNone) co_return code;
            }
            std::optional<ByteView> value;
            if (!one.is_tombstone) value = one.value.view();
            builder.append(now, one.key.view(), value);
        }
    }
    if (builder.record_count() > 0) {
        if (const ErrorCode code = append(); code != ErrorCode::kNone) co_return code;
    }
    if (!last) co_return ErrorCode::kNone;
    const auto committed = co_await log->committed(*last);
    co_return committed ? ErrorCode::kNone : group_error_of(committed.error());
}

/// A batch is no larger than a segment, and a record has to fit into one with room to spare.
coordination::GroupSettings GroupShard::settings() const {
    coordination::GroupSettings settings = core_.config.groups;
    settings.record_bytes_max =
        std::min<std::int64_t>(settings.record_bytes_max, log_->config().segment_bytes / 2);
    return settings;
}

void GroupShard::send(std::vector<Reply> replies) {
    for (Reply& reply : replies) {
        const auto found = waiters_.find(reply.ticket);
        if (found == waiters_.end()) continue;  // It was refused meanwhile.
        Waiter& waiter = *found->second;
        waiters_.erase(found);
        waiter.answer = std::move(reply);
        waiter.is_answered = true;
        waiter.answered.notify_all();
    }
}

void GroupShard::fail(ErrorCode code) {
    if (phase_ == Phase::kStopped) return refuse_all(code);
    core_.ports.log.error("the decisions of a group coordinator could not be written",
                          {{"topic", kOffsetsTopicName},
                           {"partition", partition_},
                           {"error", protocol::error_code_name(code)}});
    phase_ = Phase::kLoading;
    coordinator_.reset();
    refuse_all(code);
    if (phase_ == Phase::kLoading) start();
}

void GroupShard::refuse_all(ErrorCode code) {
    if (alarm_.is_armed()) core_.ports.clock.disarm(alarm_);
    decided_.clear();
    while (!waiters_.empty()) {
        Waiter& waiter = *waiters_.begin()->second;
        waiters_.erase(waiters_.begin());
        waiter.answer = std::unexpected(code);
        waiter.is_answered = true;
        waiter.answered.notify_all();
    }
}

/// An alarm that comes too early does no harm, so only an earlier one is set anew.
void GroupShard::set_alarm(Instant wake_at) {
    if (wake_at == kNever) return;
    if (alarm_.is_armed()) {
        if (alarm_.deadline() <= wake_at) return;
        core_.ports.clock.disarm(alarm_);
    }
    core_.ports.clock.arm(alarm_, std::max(wake_at, core_.ports.clock.now() + kWakePause));
}

coordination::GroupCounts GroupShard::counts() const {
    return coordinator_ == nullptr ? coordination::GroupCounts{} : coordinator_->counts();
}

}  // namespace dlog::broker
