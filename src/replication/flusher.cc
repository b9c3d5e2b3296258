#include "replication/flusher.h"

#include <iterator>
#include <memory>
#include <utility>

#include "base/assert.h"
#include "port/spawn.h"

namespace dlog::replication {

port::Task<port::DiskResult<void>> Flusher::sync(std::vector<port::FilePtr> files,
                                                 std::vector<std::string> directories) {
    if (gathering_ == nullptr) gathering_ = std::make_shared<Round>();
    const RoundPtr round = gathering_;
    round->files.insert(round->files.end(), std::make_move_iterator(files.begin()),
                        std::make_move_iterator(files.end()));
    round->directories.insert(round->directories.end(),
                              std::make_move_iterator(directories.begin()),
                              std::make_move_iterator(directories.end()));
    ++requests_;
    if (!is_running_) {
        is_running_ = true;
        ports_.spawn.spawn(run(*this));
    }
    while (!round->is_done) co_await round->done.wait();
    co_return round->result;
}

port::Task<void> Flusher::run(Flusher& self) {
    // Whoever is ready on this core joins the first round too.
    co_await port::yield(self.ports_.spawn);
    while (self.gathering_ != nullptr) {
        const RoundPtr round = std::exchange(self.gathering_, nullptr);
        DLOG_ASSERT(!round->is_done);
        ++self.syncs_;
        round->result =
            co_await self.ports_.disk.sync(std::move(round->files), std::move(round->directories));
        round->is_done = true;
        round->done.notify_all();
    }
    self.is_running_ = false;
}

}  // namespace dlog::replication
