/// Keeps the notes of consensus/raft/journal.h, ballots and epochs of every Raft group of a core,
/// on stable storage. Files: docs/formats/group-journal.md.
#pragma once

#include <cstdint>
#include <expected>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/time.h"
#include "consensus/raft/journal.h"
#include "port/disk.h"
#include "port/ports.h"
#include "port/sync.h"
#include "port/task.h"

namespace dlog::replication {

class Flusher;

/// What one core goes on with: its groups, as the file under `path` says them.
struct JournalPart {
    std::string path;
    consensus::raft::Groups groups;
    std::uint64_t size_bytes = 0;
};

/// Which core has the group now; below the number of cores.
using GroupOwner = std::function<CoreId(const consensus::raft::GroupId&)>;

/// At a node's start, on one core, while nobody else uses the folder: reads the journals of all
/// cores that there were, gives each group to the core that owns it now, and begins a new file for
/// each core, which is on stable storage when this returns. Entry i is for core i. A crash at any
/// instant leaves the next start what this one had. The error is a sentence for the operator that
/// names the file: of a journal that is damaged or not whole no vote may be forgotten, and the node
/// must not start.
[[nodiscard]] port::Task<std::expected<std::vector<JournalPart>, std::string>> open_group_journals(
    port::Ports ports, std::string data_dir, std::uint32_t cores, GroupOwner owner);

struct GroupJournalOptions {
    /// A file is written anew when it has grown beyond this and beyond four times what it began
    /// with.
    std::uint64_t rewrite_bytes = 1 << 20;
    /// Between attempts at a broken disk: at first, and at most.
    Duration backoff = milliseconds(50);
    Duration backoff_max = seconds(5);
};

/// Counted since the start; the caller renders them.
struct GroupJournalMetrics {
    std::uint64_t notes = 0;     ///< That are on stable storage.
    std::uint64_t appends = 0;   ///< Writes with a sync that they shared.
    std::uint64_t bytes = 0;     ///< Written, whole new files included.
    std::uint64_t rewrites = 0;  ///< Whole new files.
    std::uint64_t failures = 0;  ///< Appends and new files that failed.
    std::uint64_t failed_notes = 0;
};

/// Belongs to one core. Notes that come while a write or a sync is under way go out together as the
/// next: a thousand groups that elect at once share a few syncs, and these with the partitions'
/// data. What is on stable storage is at any instant what all notes up to one of them say, in the
/// order of the calls.
class GroupJournal {
  public:
    /// `part` is this core's; the ports and the flusher are too and outlive the journal.
    GroupJournal(const port::Ports& ports, Flusher& flusher, JournalPart part,
                 GroupJournalOptions options = {});
    GroupJournal(const GroupJournal&) = delete;
    GroupJournal& operator=(const GroupJournal&) = delete;

    /// What all notes so far say, confirmed or not; nullptr for a group that is not there. Valid
    /// until the group's next note.
    [[nodiscard]] const consensus::raft::GroupState* find(
        const consensus::raft::GroupId& group) const;
    [[nodiscard]] const consensus::raft::Groups& groups() const { return groups_; }

    /// Takes the note at once, which must follow from what find() says (raft::fold); the task
    /// returns when it is on stable storage. After an error it may be there or not, and it still
    /// counts: later notes build on it and it becomes durable with them. While the disk stays
    /// broken every note fails soon.
    [[nodiscard]] port::Task<port::DiskResult<void>> note(consensus::raft::Note note);

    /// Waits until nothing is under way. No note may come afterwards.
    [[nodiscard]] port::Task<void> stop();

    [[nodiscard]] const GroupJournalMetrics& metrics() const { return metrics_; }
    [[nodiscard]] std::uint64_t size_bytes() const { return size_bytes_; }
    /// True from a failure until a whole new file is on stable storage.
    [[nodiscard]] bool is_broken() const { return is_broken_; }

  private:
    /// Notes that go out together and those who wait for them.
    struct Batch {
        std::vector<consensus::raft::Note> notes;
        port::DiskResult<void> result;
        port::Notifier done;
        bool is_done = false;
    };
    using BatchPtr = std::shared_ptr<Batch>;

    static port::Task<port::DiskResult<void>> wait(BatchPtr batch);
    static port::Task<port::DiskResult<void>> fail(port::DiskError error);
    static port::Task<void> run(GroupJournal& self);
    [[nodiscard]] port::Task<port::DiskResult<void>> put(std::vector<consensus::raft::Note> notes);
    [[nodiscard]] port::Task<port::DiskResult<void>> append(
        std::vector<consensus::raft::Note> notes);
    [[nodiscard]] port::Task<port::DiskResult<void>> rewrite();
    [[nodiscard]] port::Task<void> back_off();
    void fell(port::DiskError error);
    [[nodiscard]] std::uint64_t rewrite_limit(std::uint64_t begun_bytes) const;

    const port::Ports& ports_;
    Flusher& flusher_;
    const GroupJournalOptions options_;
    const std::string path_;
    consensus::raft::Groups groups_;
    std::uint64_t size_bytes_;
    std::uint64_t rewrite_at_;
    port::FilePtr file_;  ///< Null until the first append.
    BatchPtr gathering_;
    /// What the file's name leads to, or what is in it, is not known: nothing may be appended.
    bool is_broken_ = false;
    Duration backoff_;
    bool is_backing_off_ = false;
    port::DiskError last_error_ = port::DiskError::kIo;
    port::Gate gate_;  ///< Held while run() runs.
    port::Notifier stopping_;
    GroupJournalMetrics metrics_;
};

}  // namespace dlog::replication
