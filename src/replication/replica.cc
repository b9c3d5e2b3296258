#include "replication/replica.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/log.h"
#include "base/result.h"
#include "port/entropy.h"
#include "port/spawn.h"
#include "replication/group_journal.h"
#include "storage/epochs.h"

namespace dlog::replication {

namespace raft = consensus::raft;
using port::Task;

namespace {

/// Between two tries at what the disk refused.
constexpr Duration kDiskRetry = milliseconds(200);
/// How long a follower waits whose records could not be read.
constexpr Duration kLoadRetry = seconds(1);

raft::GroupId id_of(const Partition& partition) {
    return {.topic = partition.key().topic_id, .partition = partition.key().partition};
}

/// A group that the journal does not know: all that the log holds was written before it had one.
raft::GroupState first_state(const Partition& partition, const consensus::Configuration& voters) {
    raft::GroupState state;
    state.epochs.push_back({.term = kNoEpoch, .start = Offset{0}, .configuration = voters});
    for (const storage::EpochStart& epoch : partition.epochs()) {
        state.epochs.push_back(
            {.term = epoch.epoch, .start = epoch.start_offset, .configuration = voters});
    }
    return state;
}

const raft::Append* as_append(const raft::Message& message) {
    return std::get_if<raft::Append>(&message);
}

bool has_records(const raft::Append& append) {
    return append.previous.end < append.end.end;
}

/// The epoch that an entry at `offset` belongs to. The batch's own word for it is not covered by
/// its checksum.
LeaderEpoch epoch_at(const raft::Append& append, Offset offset) {
    LeaderEpoch term = append.previous.term;
    for (const raft::Epoch& epoch : append.epochs) {
        if (epoch.start <= offset) term = epoch.term;
    }
    return term;
}

/// What is beside an Append as its batches; nothing when it is not what the message says.
std::optional<record::BatchRun> batches_of(const raft::Append& append, const Buffer& records) {
    auto run = record::split_run(records, append.previous.end, append.end.end);
    if (!run) return {};
    const bool is_as_said = std::ranges::all_of(*run, [&](const record::RunBatch& batch) {
        const Offset last = batch.header.next_offset() - 1;
        return batch.header.leader_epoch == epoch_at(append, last);
    });
    if (!is_as_said) return {};
    return *std::move(run);
}

}  // namespace

Task<Result<std::shared_ptr<Replica>>> Replica::open(GroupServices& services,
                                                     PartitionPtr partition,
                                                     consensus::Configuration voters) {
    const raft::GroupId id = id_of(*partition);
    raft::GroupState state;
    if (const raft::GroupState* known = services.journal.find(id)) {
        state = *known;
    } else {
        state = first_state(*partition, voters);
        const auto noted =
            co_await services.journal.note(raft::GroupNote{.group = id, .state = state});
        if (!noted) co_return unexpected(Error::kStorageFailed);
    }
    auto history =
        raft::recover_history(state, partition->first_offset(), partition->log_end_offset());
    if (!history) {
        services.ports.log.error("the journal of groups does not fit the partition's log",
                                 {{"topic", partition->key().topic},
                                  {"partition", partition->key().partition},
                                  {"log_end_offset", partition->log_end_offset()}});
        co_return unexpected(Error::kCorrupt);
    }
    // Epochs behind the log's end would be taken for its own once it has grown.
    if (state.epochs.back().term != history->end().term) {
        const auto noted = co_await services.journal.note(
            raft::EpochsNote{.group = id, .keep = history->end(), .epochs = {}});
        if (!noted) co_return unexpected(Error::kStorageFailed);
    }
    const Instant now = services.ports.clock.now();
    const raft::LogPosition start = history->start();
    auto replica =
        std::make_shared<Replica>(services, std::move(partition),
                                  raft::Recovered{.ballot = state.ballot,
                                                  .history = *std::move(history),
                                                  .commit = start,
                                                  .started_at = now,
                                                  .silent_until = now + services.silence});
    replica->partition_->join(*replica);
    replica->tell_partition();
    replica->set_alarm();
    co_return replica;
}

Replica::Replica(GroupServices& services, PartitionPtr partition, raft::Recovered recovered)
    : services_(services),
      partition_(std::move(partition)),
      id_(id_of(*partition_)),
      group_(services.self, services.options, recovered, Random(services.ports.entropy.next())),
      alarm_(*this),
      applied_(std::move(recovered.history)),
      stored_(applied_.end()) {
    DLOG_ASSERT(applied_.end().end == partition_->log_end_offset());
}

// Inputs.

void Replica::Alarm::fired() {
    const auto self = replica_.shared_from_this();
    self->feed(raft::Tick{});
}

void Replica::received(NodeId from, raft::Message message, Buffer records) {
    Event event;
    if (const raft::Append* append = as_append(message); append && has_records(*append)) {
        auto run = batches_of(*append, records);
        if (!run) {
            services_.ports.log.warn("records from another node arrived damaged",
                                     {{"node", from},
                                      {"topic", partition_->key().topic},
                                      {"partition", partition_->key().partition},
                                      {"from_offset", append->previous.end},
                                      {"to_offset", append->end.end}});
            return;
        }
        event.received = *std::move(run);
    }
    event.input = raft::Received{.from = from, .message = std::move(message)};
    feed(std::move(event));
}

void Replica::peer_changed(NodeId peer) {
    feed(raft::PeerChanged{.peer = peer});
}
void Replica::link_reset(NodeId peer) {
    feed(raft::LinkReset{.peer = peer});
}
void Replica::hand_over(NodeId to) {
    feed(raft::HandOver{.to = to});
}

void Replica::appended() {
    if (is_proposing_ || is_closed_) return;
    is_proposing_ = true;
    services_.ports.spawn.spawn(propose(shared_from_this()));
}

/// Appends of one turn of the loop are proposed together.
Task<void> Replica::propose(std::shared_ptr<Replica> self) {
    const port::Gate::Hold hold = self->work_.enter();
    co_await port::yield(self->services_.ports.spawn);
    self->is_proposing_ = false;
    // What another epoch's leader had appended is cut off before the log is written to again.
    if (self->is_closed_ || !self->partition_->leadership().is_here) co_return;
    const Offset end = self->partition_->log_end_offset();
    if (end <= self->applied_.end().end) co_return;
    self->applied_.extend(end);
    self->feed(raft::Proposed{.end = end});
    self->stored();
}

void Replica::stored() {
    if (is_closed_) return;
    const raft::LogPosition position = applied_to(partition_->stored_offset());
    if (position == stored_) return;
    stored_ = position;
    feed(raft::Persisted{.position = position});
}

void Replica::trimmed() {
    if (is_closed_) return;
    const Offset start = partition_->first_offset();
    // A log that is beginning anew says so itself.
    if (start <= applied_.start().end || start > applied_.end().end) return;
    applied_.trim(start);
    feed(raft::Trimmed{.start = start});
}

bool Replica::may_serve_reads() const {
    return !is_closed_ && group_.may_serve_reads(services_.ports.clock.now(), services_.peers);
}

// The machine.

void Replica::feed(raft::Input input) {
    feed(Event{.input = std::move(input), .received = {}, .records = {}});
}

void Replica::feed(Event event) {
    if (is_closed_) return;
    events_.push_back(std::move(event));
    if (is_stepping_) return;
    is_stepping_ = true;
    while (!events_.empty()) {
        Event next = std::move(events_.front());
        events_.pop_front();
        raft::Effects effects =
            group_.step(services_.ports.clock.now(), services_.peers, next.input);
        perform(std::move(effects), std::move(next));
    }
    is_stepping_ = false;
    tell_partition();
    set_alarm();
}

void Replica::perform(raft::Effects effects, Event event) {
    if (effects.ballot) {
        services_.ports.spawn.spawn(persist_ballot(shared_from_this(), *effects.ballot));
    }
    if (effects.install) {
        changes_.push_back({.what = *std::move(effects.install), .batches = {}});
        start_changing();
    }
    for (raft::Outgoing& outgoing : effects.messages) {
        const raft::Append* append = as_append(outgoing.message);
        std::vector<Buffer> beside;
        if (append != nullptr && has_records(*append)) beside = std::exchange(event.records, {});
        services_.outbox.send(outgoing.to, id_, std::move(outgoing.message), std::move(beside));
    }
    for (const raft::Load& load : effects.loads) {
        services_.ports.spawn.spawn(this->load(shared_from_this(), load));
    }
    if (effects.write) change(*std::move(effects.write), std::move(event.received));
}

void Replica::tell_partition() {
    if (is_closed_) return;
    const bool leads = group_.role() == raft::Role::kLeader && changes_.empty() &&
                       applied_.end().term == group_.term();
    partition_->set_leadership({.epoch = group_.term(),
                                .leader = group_.leader(),
                                .is_here = leads,
                                .accepts_appends = leads && group_.accepts_proposals()});
    partition_->set_committed(std::min(group_.commit().end, stable_end()));
}

void Replica::set_alarm() {
    const Instant deadline = is_closed_ ? kNever : group_.next_deadline();
    if (alarm_.is_armed()) {
        if (alarm_.deadline() == deadline) return;
        services_.ports.clock.disarm(alarm_);
    }
    if (deadline != kNever) services_.ports.clock.arm(alarm_, deadline);
}

Task<void> Replica::persist_ballot(std::shared_ptr<Replica> self, raft::Ballot ballot) {
    const port::Gate::Hold hold = self->work_.enter();
    port::Clock& clock = self->services_.ports.clock;
    while (!self->is_closed_ && self->group_.ballot() == ballot) {
        const auto noted = co_await self->services_.journal.note(
            raft::BallotNote{.group = self->id_, .ballot = ballot});
        if (noted) {
            self->feed(raft::BallotPersisted{.ballot = ballot});
            break;
        }
        (void)co_await self->closing_.wait_until(clock, clock.now() + kDiskRetry);
    }
}

// A leader's log for its followers.

/// Reads what a follower lacks; from memory without waiting.
Task<void> Replica::load(std::shared_ptr<Replica> self, raft::Load load) {
    const port::Gate::Hold hold = self->work_.enter();
    auto read = co_await self->partition_->read({.from = load.from.end,
                                                 .max_bytes = load.bytes,
                                                 .at_least_one = true,
                                                 .limit = load.until});
    std::vector<Buffer> records;
    bool is_whole = read && read->size_bytes > 0 && read->next_offset > load.from.end;
    for (std::size_t i = 0; is_whole && i < read->parts.size(); ++i) {
        auto part = co_await port::load(self->services_.ports.disk, std::move(read->parts[i]));
        is_whole = part.has_value();
        if (is_whole) records.push_back(*std::move(part));
    }
    if (is_whole) {
        self->loaded(load, read->next_offset, std::move(records));
        co_return;
    }
    port::Clock& clock = self->services_.ports.clock;
    (void)co_await self->closing_.wait_until(clock, clock.now() + kLoadRetry);
    self->link_reset(load.to);
}

void Replica::loaded(const raft::Load& load, Offset end, std::vector<Buffer> records) {
    std::uint64_t bytes = 0;
    for (const Buffer& part : records) bytes += part.size();
    feed(Event{
        .input =
            raft::Loaded{
                .to = load.to, .term = load.term, .from = load.from, .end = end, .bytes = bytes},
        .received = {},
        .records = std::move(records)});
}

// Changes of the log.

void Replica::change(raft::WriteLog write, record::BatchRun batches) {
    const bool is_next = changes_.empty() && !is_journal_ahead_ && write.epochs.empty() &&
                         write.keep == applied_.end() &&
                         write.keep.end == partition_->log_end_offset();
    if (is_next) {
        if (!append(write, std::move(batches))) lost();
        return;
    }
    changes_.push_back({.what = std::move(write), .batches = std::move(batches)});
    start_changing();
}

void Replica::start_changing() {
    if (is_changing_) return;
    is_changing_ = true;
    services_.ports.spawn.spawn(change_loop(shared_from_this()));
}

Task<void> Replica::change_loop(std::shared_ptr<Replica> self) {
    const port::Gate::Hold hold = self->work_.enter();
    // Not in the middle of the machine's step.
    co_await port::yield(self->services_.ports.spawn);
    port::Clock& clock = self->services_.ports.clock;
    while (!self->changes_.empty() && !self->is_closed_) {
        const std::uint64_t life = self->life_;
        const Change change = self->changes_.front();
        const auto* install = std::get_if<raft::Install>(&change.what);
        const bool is_done =
            install != nullptr
                ? co_await self->begin_anew(*install)
                : co_await self->make(std::get<raft::WriteLog>(change.what), change.batches);
        if (life != self->life_ || self->is_closed_) continue;
        if (!is_done) {
            (void)co_await self->closing_.wait_until(clock, clock.now() + kDiskRetry);
            continue;
        }
        self->changes_.pop_front();
        if (install != nullptr) self->feed(raft::Installed{.start = install->start});
        self->stored();
        self->tell_partition();
    }
    self->is_changing_ = false;
}

/// False when the disk refused, or when the change is void.
Task<bool> Replica::make(raft::WriteLog write, record::BatchRun batches) {
    const std::uint64_t life = life_;
    DLOG_ASSERT(applied_.contains(write.keep), write.keep.term, write.keep.end);
    if (write.keep.end < partition_->log_end_offset() || partition_->is_end_unsettled()) {
        const auto cut = co_await partition_->truncate_to(write.keep.end);
        if (!cut || life != life_ || is_closed_) co_return false;
        is_journal_ahead_ = true;
    }
    if (write.keep != applied_.end()) {
        is_journal_ahead_ = true;
        applied_.truncate(write.keep);
        stored_ = std::min(stored_, write.keep);
    }
    if (is_journal_ahead_ || !write.epochs.empty()) {
        const auto noted = co_await services_.journal.note(
            raft::EpochsNote{.group = id_, .keep = write.keep, .epochs = write.epochs});
        if (!noted || life != life_ || is_closed_) co_return false;
        is_journal_ahead_ = false;
    }
    if (append(write, std::move(batches))) co_return true;
    lost();
    co_return false;
}

/// The log ends where the change begins, and the journal has its epochs.
bool Replica::append(const raft::WriteLog& write, record::BatchRun batches) {
    std::string_view error = record::trim_run(batches, write.from) ? "" : "batches that overlap";
    for (const record::RunBatch& batch : batches) {
        if (!error.empty()) break;
        const auto appended = partition_->append_replicated(batch.bytes);
        if (!appended) error = error_name(appended.error());
    }
    if (!error.empty() || partition_->log_end_offset() != write.end.end) {
        services_.ports.log.error("a leader's records could not be appended",
                                  {{"topic", partition_->key().topic},
                                   {"partition", partition_->key().partition},
                                   {"from_offset", write.from},
                                   {"to_offset", write.end.end},
                                   {"error", error}});
        return false;
    }
    for (const raft::Epoch& epoch : write.epochs) {
        applied_.extend(epoch.start);
        applied_.begin_epoch(epoch);
    }
    applied_.extend(write.end.end);
    DLOG_ASSERT(applied_.end() == write.end, write.end.term, write.end.end);
    return true;
}

Task<bool> Replica::begin_anew(raft::Install install) {
    const std::uint64_t life = life_;
    // An empty log that the journal says too much of is what a crash in between leaves.
    const auto reset = co_await partition_->reset_to(install.start.end);
    if (!reset || life != life_ || is_closed_) co_return false;
    const raft::Epoch epoch{.term = install.start.term,
                            .start = install.start.end,
                            .configuration = install.configuration};
    const auto noted = co_await services_.journal.note(
        raft::GroupNote{.group = id_, .state = {.ballot = group_.ballot(), .epochs = {epoch}}});
    if (!noted || life != life_ || is_closed_) co_return false;
    is_journal_ahead_ = false;
    applied_ = raft::History(epoch);
    stored_ = applied_.end();
    co_return true;
}

void Replica::lost() {
    if (is_closed_) return;
    ++life_;
    is_journal_ahead_ = true;
    raft::LogPosition left = applied_to(partition_->log_end_offset());
    const auto install = std::ranges::find_if(changes_, [](const Change& change) {
        return std::holds_alternative<raft::Install>(change.what);
    });
    applied_.truncate(left);
    stored_ = std::min(stored_, left);
    if (install != changes_.end()) {
        // The log begins anew in any case.
        changes_.erase(changes_.begin(), install);
        return;
    }
    for (const Change& change : changes_) {
        left = std::min(left, std::get<raft::WriteLog>(change.what).keep);
    }
    changes_.clear();
    changes_.push_back(
        {.what = raft::WriteLog{.keep = left, .epochs = {}, .from = left.end, .end = left},
         .batches = {}});
    start_changing();
    feed(raft::Lost{.end = left});
}

/// The position of the log at `end`, as far as the machine knows of it.
raft::LogPosition Replica::applied_to(Offset end) const {
    return applied_.position_at(std::min(end, applied_.end().end));
}

/// Up to where the log is what the machine takes it for.
Offset Replica::stable_end() const {
    Offset end = std::min(applied_.end().end, partition_->log_end_offset());
    for (const Change& change : changes_) {
        const auto* write = std::get_if<raft::WriteLog>(&change.what);
        end = std::min(end, write != nullptr ? write->keep.end : partition_->first_offset());
    }
    return end;
}

// The end.

void Replica::close() {
    if (is_closed_) return;
    is_closed_ = true;
    set_alarm();
    events_.clear();
    partition_->leave();
    closing_.notify_all();
}

Task<void> Replica::drain() {
    const std::shared_ptr<Replica> self = shared_from_this();
    DLOG_ASSERT(is_closed_);
    while (work_.held() > 0) co_await work_.left().wait();
}

}  // namespace dlog::replication
