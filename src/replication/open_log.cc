#include "replication/open_log.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "base/log.h"
#include "base/result.h"
#include "port/clock.h"
#include "port/entropy.h"
#include "replication/services.h"
#include "storage/log.h"
#include "storage/recovery.h"
#include "storage/swap.h"

namespace dlog::replication {

using port::DiskError;
using port::Task;

namespace {

Error cannot_open(ShardServices& services, const PartitionFolder& folder, DiskError error) {
    services.ports.log.error("a partition cannot be opened",
                             {{"folder", folder.path()}, {"error", port::disk_error_name(error)}});
    return error == DiskError::kNoSpace ? Error::kStorageFull : Error::kStorageFailed;
}

void report(ShardServices& services, const PartitionFolder& folder,
            const storage::RecoveredLog& recovered) {
    for (const storage::RecoveryNote& note : recovered.notes) {
        const bool is_grave = note.kind == storage::RecoveryNote::Kind::kDamage ||
                              note.kind == storage::RecoveryNote::Kind::kMissingSegment;
        services.ports.log.write(
            is_grave ? LogLevel::kError : LogLevel::kWarn, storage::recovery_note_text(note.kind),
            std::vector<LogField>{{"folder", folder.path()},
                                  {"file", note.file},
                                  {"position", note.position},
                                  {"bytes", note.size_bytes},
                                  {"reason", storage::damage_reason_text(note.reason)},
                                  {"intact_batches_follow", note.has_intact_after}});
    }
}

/// Gives the recovery machine the bytes it asks for.
Task<Result<storage::RecoveredLog>> recover(ShardServices& services, PartitionFolder& folder,
                                            storage::Recovery& machine) {
    while (const auto need = machine.need()) {
        auto bytes = co_await folder.read_segment(need->segment, need->position, need->size_bytes);
        if (bytes) {
            machine.feed(bytes->view());
        } else if (bytes.error() == DiskError::kNotFound) {
            machine.feed_missing();
        } else if (bytes.error() == DiskError::kIo) {
            machine.feed_unreadable();
        } else {
            co_return unexpected(cannot_open(services, folder, bytes.error()));
        }
    }
    co_return machine.finish();
}

/// True when a compaction had left something.
Task<port::DiskResult<bool>> repair_swaps(ShardServices& services, PartitionFolder& folder,
                                          std::vector<std::string> names,
                                          std::optional<Buffer> checkpoint) {
    // Few starts find anything: only they decode the checkpoint twice.
    storage::SwapRepairs repairs = storage::plan_swap_repairs(names, nullptr);
    if (repairs.remove.empty() && !repairs.finish) co_return false;
    if (checkpoint) {
        const auto image = storage::decode_checkpoint(checkpoint->view());
        if (image) repairs = storage::plan_swap_repairs(names, &*image);
    }
    services.ports.log.info("a compaction had not come to its end",
                            {{"folder", folder.path()}, {"finished", repairs.finish.has_value()}});
    DLOG_CO_TRY(co_await folder.repair_swaps(std::move(repairs)));
    co_return true;
}

/// Brings what was read to stable storage, whatever became of it before.
Task<port::DiskResult<void>> persist(PartitionFolder& folder,
                                     std::vector<storage::UnsyncedPart> parts) {
    std::vector<Offset> segments;
    for (const storage::UnsyncedPart& part : parts) {
        DLOG_CO_TRY(co_await folder.write_again(part.segment, part.begin, part.end));
        segments.push_back(part.segment);
    }
    co_return co_await folder.sync(std::move(segments));
}

}  // namespace

Task<Result<std::unique_ptr<storage::Log>>> open_log(ShardServices& services,
                                                     PartitionFolder& folder,
                                                     storage::LogConfig config) {
    auto names = co_await folder.names();
    if (!names) co_return unexpected(cannot_open(services, folder, names.error()));
    const std::uint64_t seed = services.ports.entropy.next();
    if (!names->has_value()) {
        co_return std::make_unique<storage::Log>(config, storage::empty_image(),
                                                 storage::SegmentIndex(Offset{0}), false, seed);
    }
    const auto checkpoint = co_await folder.read_checkpoint();
    if (!checkpoint) co_return unexpected(cannot_open(services, folder, checkpoint.error()));

    if (const auto repaired = co_await repair_swaps(services, folder, **names, *checkpoint);
        !repaired) {
        co_return unexpected(cannot_open(services, folder, repaired.error()));
    } else if (*repaired) {
        names = co_await folder.names();
        if (!names) co_return unexpected(cannot_open(services, folder, names.error()));
    }

    storage::RecoveryInput input{.config = config, .now = services.ports.clock.wall_now()};
    if (checkpoint->has_value()) input.checkpoint = (*checkpoint)->view();
    input.names = **std::move(names);
    storage::Recovery machine(input);
    DLOG_CO_TRY_ASSIGN(storage::RecoveredLog recovered,
                       co_await recover(services, folder, machine));
    report(services, folder, recovered);
    if (recovered.must_stay_offline) {
        co_return unexpected(cannot_open(services, folder, DiskError::kIo));
    }

    // Renamed and removed segments must not come back: by then the log may have grown to where they
    // begin.
    auto& repairs = recovered.repairs;
    repairs.insert(repairs.end(), recovered.stale_indexes.begin(), recovered.stale_indexes.end());
    const bool has_unsynced = !recovered.unsynced.empty() || !repairs.empty();
    const auto repaired = co_await folder.perform(std::move(repairs));
    if (!repaired) co_return unexpected(cannot_open(services, folder, repaired.error()));
    if (has_unsynced) {
        const auto persisted = co_await persist(folder, std::move(recovered.unsynced));
        if (!persisted) co_return unexpected(cannot_open(services, folder, persisted.error()));
    }
    auto log = std::make_unique<storage::Log>(config, std::move(recovered.image),
                                              std::move(recovered.active_index),
                                              recovered.has_active_file, seed);
    for (const storage::Damage& damage : recovered.damages) {
        (void)log->verified().note_damage(damage);
    }
    DLOG_ASSERT(log->persisted_offset() == log->log_end_offset());
    co_return std::move(log);
}

}  // namespace dlog::replication
