/// Random lives of a partition against a model of what must be true: nothing acknowledged is lost,
/// nothing that was not appended is served, producers and offsets go on as if nothing had happened.

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <utility>
#include <vector>

#include "storage/batches.h"
#include "storage/testing_partition.h"

namespace dlog::storage {
namespace {

using testing::BatchOptions;
using testing::Bytes;
using testing::TestPartition;
using CutStep = TestPartition::CutStep;

constexpr Offset kFar{1'000'000'000};

LogConfig random_config(Random& random) {
    LogConfig config;
    config.segment_bytes = random.between(400, 4'000);
    config.index_interval_bytes = random.between(0, 600);
    config.retention_ms = -1;
    return config;
}

/// What the log must hold: the bytes of each batch, by offset.
struct ModelBatch {
    Offset base_offset;
    Offset next_offset;
    std::uint64_t tag = 0;  ///< its timestamp, so that no two batches are alike
    LeaderEpoch epoch;
    /// The sequence that its producer goes on with; -1 without a producer.
    std::int32_t next_sequence = -1;
};

class Life {
  public:
    explicit Life(std::uint64_t seed) : random_(seed), partition_(random_config(random_), seed) {
        partition_.checkpoint();  // As the driver writes one when it makes the folder.
    }

    void run(int steps) {
        for (int i = 0; i < steps; ++i) {
            step();
            check_order();
        }
        partition_.flush();
        note_persisted();
        check_contents(Offset{0});
        crash();
    }

  private:
    void step() {
        Log& log = partition_.log();
        const std::uint64_t dice = random_.below(100);
        if (dice < 45) {
            append();
        } else if (dice < 60) {
            write();
        } else if (dice < 75) {
            partition_.sync();
            note_persisted();
        } else if (dice < 79) {
            partition_.checkpoint(random_.chance(1, 4));
        } else if (dice < 83) {
            log.evict_tail(random_.below(4'000));
        } else if (dice < 89) {
            check_some_read();
        } else if (dice < 92) {
            fail_write();
        } else if (dice < 94) {
            forget_from(log.sync_failed().begin_offset);
        } else if (dice < 96) {
            retire();
        } else if (dice < 97) {
            delete_records();
        } else if (dice < 98) {
            truncate();
        } else if (random_.chance(1, 10)) {
            reset();
        } else {
            crash();
        }
    }

    void append() {
        const std::uint64_t tag = ++next_tag_;
        BatchOptions options{.record_count = static_cast<int>(random_.between(1, 4)),
                             .value_bytes = 8 + random_.below(60),
                             .timestamp = Timestamp{static_cast<std::int64_t>(tag)}};
        if (random_.chance(1, 2)) {
            options.producer = ProducerId{3};
            options.producer_epoch = ProducerEpoch{0};
            options.sequence = sequence_;
        }
        const bool is_follower = random_.chance(1, 2);
        const auto appended =
            is_follower ? partition_.append_replicated(options) : partition_.append(options);
        REQUIRE(appended);
        REQUIRE_FALSE(appended->is_duplicate);
        REQUIRE(appended->base_offset == end());
        ModelBatch model{appended->base_offset, appended->next_offset, tag, partition_.epoch};
        if (options.sequence >= 0) {
            sequence_ += options.record_count;
            model.next_sequence = sequence_;
        }
        batches_.push_back(model);
        history_[tag] = model;
    }

    void write() {
        if (random_.chance(1, 2)) {
            partition_.write();
            return;
        }
        // Appends may come while a write is under way.
        const WritePlan plan = partition_.log().take_writes();
        append();
        if (plan.empty()) return;
        for (const WriteStep& step : plan.steps) partition_.folder.perform(step);
        partition_.log().written();
    }

    void fail_write() {
        WritePlan plan = partition_.log().take_writes();
        if (plan.empty()) return;
        const std::size_t done = random_.below(plan.steps.size() + 1);
        for (std::size_t i = 0; i < done; ++i) partition_.folder.perform(plan.steps[i]);
        if (done < plan.steps.size()) {
            if (auto* half = std::get_if<WriteBytes>(&plan.steps[done])) {
                Bytes bytes;
                for (const Buffer& part : half->parts) {
                    bytes.insert(bytes.end(), part.view().begin(), part.view().end());
                }
                bytes.resize(random_.below(bytes.size() + 1));
                if (!bytes.empty()) partition_.folder.put(half->segment, half->position, bytes);
            }
        }
        if (random_.chance(1, 3)) append();
        forget_from(partition_.log().write_failed().begin_offset);
    }

    void retire() {
        Log& log = partition_.log();
        LogConfig config = log.config();
        config.retention_bytes = random_.between(0, 3'000);
        log.set_config(config);
        const Retired retired = log.apply_retention(Timestamp{0}, log.persisted_offset());
        config.retention_bytes = -1;
        log.set_config(config);
        remove(retired);
    }

    void delete_records() {
        Log& log = partition_.log();
        const std::int64_t most = log.persisted_offset().since(start_);
        const Retired retired = log.delete_before(start_ + random_.between(0, most));
        start_ = retired.log_start_offset;
        remove(retired);
        // Without a segment to drop, what makes it last is the checkpoint alone.
        if (random_.chance(1, 2)) partition_.checkpoint();
    }

    /// What a cut takes is not to come back once it is done; before, some of it may.
    void truncate() {
        partition_.flush();
        note_persisted();
        const Offset from = start_ + random_.between(0, end().since(start_));
        // A batch that it lies in goes whole, unless the log's start lies in it too.
        Offset cut = start_;
        for (const ModelBatch& batch : batches_) {
            if (batch.next_offset <= from) cut = std::max(cut, batch.next_offset);
            if (batch.base_offset < start_ && batch.next_offset > start_ && cut == start_) {
                if (batch.next_offset > from) return;
            }
        }
        // One that is being written while the log is cut.
        const LogImage under_way = partition_.log().image(false);
        const bool is_under_way = random_.chance(1, 4);
        partition_.truncate(from, CutStep::kMemory);
        if (is_under_way) {
            partition_.folder.checkpoint = encode_checkpoint(under_way);
            partition_.log().checkpointed(under_way);
        }
        std::vector<std::uint64_t> gone;
        for (const ModelBatch& batch : batches_) {
            if (batch.base_offset >= cut) gone.push_back(batch.tag);
        }
        persisted_ = cut;
        if (random_.chance(1, 3)) {
            partition_.finish_cut(random_step());
            has_leftovers_ = true;
            return crash();
        }
        partition_.finish_cut(CutStep::kSynced);
        forget_from(cut);
        for (const std::uint64_t tag : gone) history_.erase(tag);
        if (end() > start_) {
            REQUIRE(partition_.log().epochs().latest() == batches_.back().epoch);
        }
        partition_.epoch = partition_.epoch + 1;
        check_contents(start_);
        check_sequence();
        if (random_.chance(1, 3)) crash();
    }

    void reset() {
        partition_.flush();
        note_persisted();
        const std::int64_t most = end().since(start_) + 20;
        Offset from = start_ + random_.between(0, most);
        const auto& segments = partition_.log().segments();
        if (random_.chance(1, 3)) {
            from = std::max(start_, segments[random_.below(segments.size())].base_offset);
        }
        const CutStep last = random_.chance(1, 2) ? CutStep::kSynced : random_step();
        const auto is_at_start = [&](const Segment& segment) {
            return segment.base_offset == from && !segment.is_empty();
        };
        const bool cuts_first = std::ranges::any_of(segments, is_at_start);
        partition_.reset(from, last);
        has_leftovers_ |= last < CutStep::kSynced;
        if (last == CutStep::kMemory) {
            // As it was, without what could be taken for the beginning of the new log.
            if (cuts_first) {
                forget_from(from);
                persisted_ = from;
            }
            return crash();
        }
        batches_.clear();
        history_.clear();
        start_ = persisted_ = from;
        set_sequence();
        partition_.epoch = partition_.epoch + 1;
        if (last < CutStep::kSynced || random_.chance(1, 3)) return crash();
        check_contents(start_);
    }

    [[nodiscard]] CutStep random_step() { return static_cast<CutStep>(random_.below(4)); }

    void remove(const Retired& retired) {
        if (retired.segments.empty()) return;
        start_ = retired.log_start_offset;
        const bool had_leftovers = std::exchange(has_leftovers_, true);
        if (random_.chance(1, 4)) return;  // The crash may come before the checkpoint.
        partition_.checkpoint();
        if (random_.chance(1, 4)) return;  // Or before the files are removed.
        has_leftovers_ = had_leftovers;
        for (const Segment& segment : retired.segments) {
            partition_.folder.perform(RemoveSegment{segment.base_offset});
        }
    }

    void crash() {
        // Without a checkpoint nothing tells a torn segment from a damaged one, so that damage is
        // kept, and nothing but the names tells where the log begins; here it is lost only when
        // there is no damage, and a name.
        const bool loses_checkpoint = !has_leftovers_ && end() > start_ && random_.chance(1, 10);
        if (loses_checkpoint) {
            partition_.flush();
            note_persisted();
            partition_.folder.sync({}, true);
            partition_.folder.checkpoint.reset();
        }
        partition_.folder.crash(random_);
        partition_.recover();
        has_leftovers_ = false;
        REQUIRE_FALSE(partition_.recovered.must_stay_offline);
        for (const RecoveryNote& note : partition_.recovered.notes) {
            INFO("note: ", recovery_note_text(note.kind), " ", note.file, " ", note.position);
            REQUIRE(note.kind != RecoveryNote::Kind::kDamage);
            REQUIRE(note.kind != RecoveryNote::Kind::kMissingSegment);
        }
        REQUIRE(partition_.recovered.damages.empty());
        // Nothing acknowledged is lost.
        REQUIRE(partition_.log().log_end_offset() >= persisted_);
        // A retention or deletion that no checkpoint has seen yet did not happen.
        const Offset start = partition_.log().log_start_offset();
        REQUIRE(start <= start_);
        start_ = start;
        take_over_recovered();
        persisted_ = end();
        partition_.epoch = partition_.epoch + 1;
        check_contents(start_);
        check_sequence();
    }

    /// What was not acknowledged may or may not be there, also what a failed write left: its
    /// outcome was never known. But it is what was appended once, and in order.
    void take_over_recovered() {
        const auto read = partition_.read_all(persisted_, kFar);
        REQUIRE_FALSE(read.damage);
        forget_from(persisted_);
        BatchWalker walker(read.bytes, persisted_, CrcCheck::kYes);
        while (const auto item = walker.next()) {
            const auto was =
                history_.find(static_cast<std::uint64_t>(item->header.max_timestamp.ms));
            REQUIRE(was != history_.end());
            // The base offset lies outside the CRC: a tear through a header may join the offset of
            // a batch that failed to the records of the one that took its place. Neither was
            // acknowledged, and the offsets still continue.
            ModelBatch batch = was->second;
            REQUIRE(batch.next_offset.since(batch.base_offset) ==
                    item->header.next_offset().since(item->header.base_offset));
            batch.base_offset = item->header.base_offset;
            batch.next_offset = item->header.next_offset();
            batch.epoch = item->header.leader_epoch;
            batches_.push_back(batch);
        }
        REQUIRE(walker.stop() == BatchWalker::Stop::kEnd);
        REQUIRE(end() == partition_.log().log_end_offset());
        set_sequence();
    }

    void check_sequence() {
        const auto& states = partition_.log().producers().states();
        const auto state = states.find(ProducerId{3});
        if (state == states.end()) {
            // Only when all that it wrote is gone, and the checkpoint too.
            const auto is_kept = [&](const ModelBatch& batch) {
                return batch.base_offset >= start_ && batch.next_sequence >= 0;
            };
            const bool is_kept_any = std::ranges::any_of(batches_, is_kept);
            REQUIRE_FALSE(is_kept_any);
            sequence_ = 0;
            return;
        }
        const auto& last = state->second.batches[state->second.batch_count - 1U];
        REQUIRE(last.last_sequence + 1 == sequence_);
    }

    void forget_from(Offset begin) {
        while (!batches_.empty() && batches_.back().next_offset > begin) batches_.pop_back();
        REQUIRE(end() == begin);
        set_sequence();
    }

    void set_sequence() {
        const auto last =
            std::ranges::find_if(batches_.rbegin(), batches_.rend(),
                                 [](const ModelBatch& batch) { return batch.next_sequence >= 0; });
        sequence_ = last == batches_.rend() ? 0 : last->next_sequence;
    }

    void note_persisted() {
        const Offset now = partition_.log().persisted_offset();
        REQUIRE(now >= persisted_);
        persisted_ = now;
    }

    void check_order() {
        const Log& log = partition_.log();
        REQUIRE(log.log_start_offset() <= log.persisted_offset());
        REQUIRE(log.persisted_offset() <= log.written_offset());
        REQUIRE(log.written_offset() <= log.log_end_offset());
        REQUIRE(log.log_end_offset() == end());
        std::uint64_t size = 0;
        for (const Segment& segment : log.segments()) size += segment.size_bytes;
        REQUIRE(size == log.size_bytes());
    }

    void check_some_read() {
        if (end() == start_) return;
        const Offset from = start_ + random_.between(0, end().since(start_) - 1);
        check_contents(from);
    }

    void check_contents(Offset from) {
        from = std::max(from, start_);
        const auto read =
            partition_.read_all(from, kFar, static_cast<std::size_t>(random_.between(1, 3'000)));
        REQUIRE_FALSE(read.damage);
        REQUIRE(read.next_offset == std::max(from, end()));
        auto model = std::ranges::upper_bound(batches_, from, {}, &ModelBatch::next_offset);
        if (model == batches_.end()) {
            REQUIRE(read.bytes.empty());
            return;
        }
        BatchWalker walker(read.bytes, model->base_offset, CrcCheck::kYes);
        while (const auto item = walker.next()) {
            REQUIRE(model != batches_.end());
            check_batch(item->header, *model);
            ++model;
        }
        REQUIRE(walker.stop() == BatchWalker::Stop::kEnd);
        REQUIRE(model == batches_.end());
    }

    void check_batch(const record::BatchHeader& header, const ModelBatch& model) {
        REQUIRE(header.base_offset == model.base_offset);
        REQUIRE(header.next_offset() == model.next_offset);
        REQUIRE(header.max_timestamp.ms == static_cast<std::int64_t>(model.tag));
        REQUIRE(header.leader_epoch == model.epoch);
        if (model.base_offset < start_) return;
        REQUIRE(partition_.log().epochs().epoch_of(model.base_offset) == model.epoch);
    }

    [[nodiscard]] Offset end() const {
        return batches_.empty() ? start_ : batches_.back().next_offset;
    }

    Random random_;
    TestPartition partition_;
    std::vector<ModelBatch> batches_;  ///< all that the log holds, and what retention dropped
    std::map<std::uint64_t, ModelBatch> history_;  ///< all that was ever appended
    std::int32_t sequence_ = 0;
    std::uint64_t next_tag_ = 1'000;
    Offset start_;
    Offset persisted_;
    bool has_leftovers_ = false;  ///< Files of retired segments may still be there.
};

TEST_CASE("random lives of a partition lose nothing acknowledged and serve nothing else") {
    for (std::uint64_t seed = 1; seed <= 300; ++seed) {
        INFO("seed ", seed);
        Life(seed).run(400);
    }
}

}  // namespace
}  // namespace dlog::storage
