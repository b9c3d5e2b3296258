/// For this room's tests: batches to append, and a folder in memory that can tear and lose what was
/// not synced.
#pragma once

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/assert.h"
#include "base/buffer.h"
#include "base/random.h"
#include "record/batch.h"
#include "record/builder.h"
#include "storage/index.h"
#include "storage/scanner.h"
#include "storage/segment.h"
#include "storage/write_plan.h"

namespace dlog::storage::testing {

struct BatchOptions {
    int record_count = 1;
    std::size_t value_bytes = 10;
    Timestamp timestamp{1'000};
    ProducerId producer = kNoProducer;
    ProducerEpoch producer_epoch = record::kNoProducerEpoch;
    std::int32_t sequence = record::kNoSequence;
    std::uint8_t fill = 'x';
    Offset base_offset{0};
    LeaderEpoch leader_epoch{0};
};

inline Buffer make_batch(const BatchOptions& options = {}) {
    record::BatchSpec spec;
    spec.base_offset = options.base_offset;
    spec.leader_epoch = options.leader_epoch;
    spec.producer_id = options.producer;
    spec.producer_epoch = options.producer_epoch;
    spec.base_sequence = options.sequence;
    record::BatchBuilder builder(spec);
    const std::vector<std::uint8_t> value(options.value_bytes, options.fill);
    for (int i = 0; i < options.record_count; ++i) {
        builder.append(options.timestamp, std::nullopt, ByteView(value));
    }
    auto batch = builder.build();
    DLOG_ASSERT(batch.has_value());
    return *std::move(batch);
}

using Bytes = std::vector<std::uint8_t>;

struct TestFile {
    Bytes bytes;
    Bytes synced;
    bool is_name_synced = false;
};

/// A partition's folder. `crash` keeps what was synced and any mixture of the rest.
class TestFolder {
  public:
    std::map<Offset, TestFile> logs;
    std::map<Offset, std::pair<Buffer, Buffer>> indexes;
    std::optional<Buffer> checkpoint;
    std::vector<std::string> foreign;
    std::set<Offset> aside;

    void perform(const WriteStep& step) {
        if (const auto* create = std::get_if<CreateSegment>(&step)) {
            logs[create->segment].bytes.clear();
        } else if (const auto* write = std::get_if<WriteBytes>(&step)) {
            std::uint64_t position = write->position;
            for (const Buffer& part : write->parts) {
                put(write->segment, position, part.view());
                position += part.size();
            }
            DLOG_ASSERT(position == write->position + write->size_bytes, position);
        } else if (const auto* seal = std::get_if<SealSegment>(&step)) {
            if (!seal->index->is_complete()) return;
            indexes[seal->segment] = {seal->index->encode_offsets(), seal->index->encode_times()};
        } else if (const auto* cut = std::get_if<TruncateSegment>(&step)) {
            DLOG_ASSERT(logs.contains(cut->segment), cut->segment);
            logs[cut->segment].bytes.resize(cut->size_bytes);
        } else if (const auto* remove = std::get_if<RemoveSegment>(&step)) {
            take_name(remove->segment);
            indexes.erase(remove->segment);
        } else if (const auto* stale = std::get_if<RemoveIndexes>(&step)) {
            indexes.erase(stale->segment);
        } else if (const auto* away = std::get_if<SetAsideSegment>(&step)) {
            take_name(away->segment);
            aside.insert(away->segment);
        }
    }

    void put(Offset segment, std::uint64_t position, ByteView bytes) {
        DLOG_ASSERT(logs.contains(segment), segment);
        Bytes& file = logs[segment].bytes;
        if (file.size() < position + bytes.size()) file.resize(position + bytes.size());
        std::ranges::copy(bytes, file.begin() + static_cast<std::ptrdiff_t>(position));
    }

    void sync(const std::vector<Offset>& segments, bool names) {
        for (const Offset segment : segments) logs.at(segment).synced = logs.at(segment).bytes;
        if (!names) return;
        for (auto& [base, file] : logs) file.is_name_synced = true;
        removed_.clear();
    }

    /// Power loss: of each file the synced bytes remain, and of what came after any prefix, with
    /// some of its 512-byte sectors left as zeros. A name that was made or taken away since the
    /// last sync may be there or not.
    void crash(Random& random) {
        for (auto& [base, synced] : removed_) {
            if (logs.contains(base) || random.chance(1, 2)) continue;
            logs[base] = {.bytes = synced, .synced = synced, .is_name_synced = true};
        }
        removed_.clear();
        for (auto it = logs.begin(); it != logs.end();) {
            TestFile& file = it->second;
            if (!file.is_name_synced && random.chance(1, 2)) {
                it = logs.erase(it);
                continue;
            }
            Bytes after = file.synced;
            const Bytes& now = file.bytes;
            if (now.size() >= after.size()) {
                const std::size_t extra = now.size() - after.size();
                const std::size_t kept = extra == 0 ? 0 : random.below(extra + 1);
                const std::size_t begin = after.size();
                after.resize(begin + kept);
                for (std::size_t at = begin; at < after.size(); ++at) after[at] = now[at];
                for (std::size_t at = begin; at < after.size(); at += 512) {
                    if (!random.chance(1, 8)) continue;
                    const std::size_t end = std::min(after.size(), at + 512);
                    std::fill(after.begin() + static_cast<std::ptrdiff_t>(at),
                              after.begin() + static_cast<std::ptrdiff_t>(end), 0);
                }
            } else if (random.chance(1, 2)) {
                after = now;  // The truncation reached the device.
            }
            file.bytes = after;
            file.synced = after;
            file.is_name_synced = true;
            ++it;
        }
    }

    [[nodiscard]] std::vector<std::string> names() const {
        std::vector<std::string> names = foreign;
        for (const auto& [base, file] : logs) {
            names.push_back(segment_file_name(base, FileKind::kLog));
        }
        for (const auto& [base, files] : indexes) {
            names.push_back(segment_file_name(base, FileKind::kIndex));
            names.push_back(segment_file_name(base, FileKind::kTimeIndex));
        }
        for (const Offset base : aside) {
            names.push_back(segment_file_name(base, FileKind::kLog) + ".aside");
        }
        if (checkpoint) names.emplace_back(kCheckpointFileName);
        return names;
    }

    [[nodiscard]] ByteView read(const NeedBytes& need) const {
        const Bytes& file = logs.at(need.segment).bytes;
        if (need.position >= file.size()) return {};
        const std::size_t left = file.size() - need.position;
        return ByteView(file).subspan(need.position, std::min(left, need.size_bytes));
    }

  private:
    void take_name(Offset segment) {
        const auto file = logs.find(segment);
        if (file == logs.end()) return;
        if (file->second.is_name_synced) removed_[segment] = file->second.synced;
        logs.erase(file);
    }

    std::map<Offset, Bytes> removed_;  ///< and the folder not synced since
};

}  // namespace dlog::storage::testing
