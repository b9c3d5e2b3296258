#include "replication/group_journal.h"

#include <algorithm>
#include <utility>
#include <variant>

#include "base/assert.h"
#include "base/buffer.h"
#include "base/log.h"
#include "base/result.h"
#include "port/spawn.h"
#include "replication/flusher.h"

namespace dlog::replication {

namespace raft = consensus::raft;
using port::DiskResult;
using port::FilePtr;
using port::Task;

GroupJournal::GroupJournal(const port::Ports& ports, Flusher& flusher, JournalPart part,
                           GroupJournalOptions options)
    : ports_(ports),
      flusher_(flusher),
      options_(options),
      path_(std::move(part.path)),
      groups_(std::move(part.groups)),
      size_bytes_(part.size_bytes),
      rewrite_at_(rewrite_limit(part.size_bytes)),
      backoff_(options.backoff) {}

std::uint64_t GroupJournal::rewrite_limit(std::uint64_t begun_bytes) const {
    return std::max(options_.rewrite_bytes, 4 * begun_bytes);
}

const raft::GroupState* GroupJournal::find(const raft::GroupId& group) const {
    const auto at = groups_.find(group);
    return at == groups_.end() ? nullptr : &at->second;
}

// The note counts from here on, whatever the disk will say. The other way, to take a note that
// failed back, is as safe: nobody acts on what was not confirmed. But notes behind it were made by
// callers who had seen it, epochs that continue its epochs, and would have to be taken back too.
// Kept, what is on stable storage is always what the notes up to one of them say.
Task<DiskResult<void>> GroupJournal::note(raft::Note note) {
    DLOG_ASSERT(!gate_.is_closed());
    const raft::GroupId group = std::visit([](const auto& one) { return one.group; }, note);
    // Written, it would make the file one that the next start refuses.
    const bool follows = raft::fold(groups_, note);
    DLOG_ASSERT(follows, note.index(), group.topic.high, group.topic.low, group.partition);
    if (is_backing_off_) {
        ++metrics_.failed_notes;
        return fail(last_error_);
    }
    if (gathering_ == nullptr) gathering_ = std::make_shared<Batch>();
    gathering_->notes.push_back(std::move(note));
    if (gate_.held() == 0) ports_.spawn.spawn(run(*this));
    return wait(gathering_);
}

Task<DiskResult<void>> GroupJournal::wait(BatchPtr batch) {
    while (!batch->is_done) co_await batch->done.wait();
    co_return batch->result;
}

Task<DiskResult<void>> GroupJournal::fail(port::DiskError error) {
    co_return unexpected(error);
}

Task<void> GroupJournal::run(GroupJournal& self) {
    const port::Gate::Hold hold = self.gate_.enter();
    // Whoever is ready on this core joins the first batch too.
    co_await port::yield(self.ports_.spawn);
    while (true) {
        const BatchPtr batch = std::exchange(self.gathering_, nullptr);
        const bool is_wanted = batch != nullptr || (self.is_broken_ && !self.gate_.is_closed());
        if (!is_wanted) break;
        const bool was_broken = self.is_broken_;
        auto notes = batch == nullptr ? std::vector<raft::Note>() : std::move(batch->notes);
        const std::size_t count = notes.size();
        const DiskResult<void> done = co_await self.put(std::move(notes));
        if (!done) self.fell(done.error());
        (done ? self.metrics_.notes : self.metrics_.failed_notes) += count;
        if (self.is_broken_ && was_broken) self.is_backing_off_ = true;
        if (batch != nullptr) {
            batch->result = done;
            batch->is_done = true;
            batch->done.notify_all();
        }
        if (self.is_backing_off_) co_await self.back_off();
    }
}

Task<void> GroupJournal::back_off() {
    const Instant until = ports_.clock.now() + backoff_;
    backoff_ = std::min(backoff_ * 2, options_.backoff_max);
    while (!gate_.is_closed() && ports_.clock.now() < until) {
        (void)co_await stopping_.wait_until(ports_.clock, until);
    }
    is_backing_off_ = false;
}

void GroupJournal::fell(port::DiskError error) {
    last_error_ = error;
    ++metrics_.failures;
    ports_.log.error("ballots of Raft groups cannot be written: elections here wait for the disk",
                     {{"file", path_}, {"error", port::disk_error_name(error)}});
}

Task<DiskResult<void>> GroupJournal::put(std::vector<raft::Note> notes) {
    if (is_broken_) co_return co_await rewrite();
    if (size_bytes_ > rewrite_at_) {
        const auto rewritten = co_await rewrite();
        if (rewritten || is_broken_) co_return rewritten;
        // The disk may be too full for two files: the old one is whole and goes on.
        ++metrics_.failures;
        rewrite_at_ = 2 * size_bytes_;
        (void)co_await ports_.disk.remove(path_ + ".tmp");
    }
    const auto appended = co_await append(std::move(notes));
    // Nobody knows what of it is in the file.
    if (!appended) is_broken_ = true;
    co_return appended;
}

Task<DiskResult<void>> GroupJournal::append(std::vector<raft::Note> notes) {
    DLOG_ASSERT(!is_broken_ && !notes.empty());
    if (file_ == nullptr) {
        DLOG_CO_TRY_ASSIGN(file_, co_await ports_.disk.open(path_, port::OpenMode::kReadWrite));
    }
    std::vector<Buffer> parts;
    std::uint64_t bytes = 0;
    for (const raft::Note& note : notes) {
        parts.push_back(raft::encode_note(note, size_bytes_));
        bytes += parts.back().size();
    }
    DLOG_CO_TRY(co_await ports_.disk.write(file_, size_bytes_, std::move(parts)));
    std::vector<FilePtr> files(1, file_);
    DLOG_CO_TRY(co_await flusher_.sync(std::move(files), {}));
    size_bytes_ += bytes;
    metrics_.bytes += bytes;
    ++metrics_.appends;
    co_return {};
}

Task<DiskResult<void>> GroupJournal::rewrite() {
    const std::string temporary = path_ + ".tmp";
    Buffer contents = raft::begin_journal(groups_);
    const std::uint64_t bytes = contents.size();
    DLOG_CO_TRY_ASSIGN(const FilePtr file,
                       co_await port::write_file(ports_.disk, temporary, std::move(contents)));
    std::vector<FilePtr> files(1, file);
    DLOG_CO_TRY(co_await flusher_.sync(std::move(files), {}));
    DiskResult<void> named = co_await ports_.disk.rename(temporary, path_);
    if (named) {
        std::vector<std::string> directories(1, port::parent_path(path_));
        named = co_await flusher_.sync({}, std::move(directories));
    }
    const bool was_broken = std::exchange(is_broken_, !named);
    // A crash may leave either file under the name.
    if (!named) co_return named;
    file_ = file;
    size_bytes_ = bytes;
    rewrite_at_ = rewrite_limit(bytes);
    backoff_ = options_.backoff;
    metrics_.bytes += bytes;
    ++metrics_.rewrites;
    if (was_broken) {
        ports_.log.info("ballots of Raft groups can be written again", {{"file", path_}});
    }
    co_return {};
}

Task<void> GroupJournal::stop() {
    gate_.close();
    stopping_.notify_all();
    while (gate_.held() > 0) co_await gate_.left().wait();
}

}  // namespace dlog::replication
