#include "replication/open_files.h"

#include <utility>

#include "base/assert.h"
#include "base/result.h"

namespace dlog::replication {

port::Task<port::DiskResult<port::FilePtr>> OpenFiles::get(std::string path, bool may_create) {
    if (const port::FilePtr* open = files_.find(path)) co_return *open;
    const auto mode = may_create ? port::OpenMode::kCreate : port::OpenMode::kReadWrite;
    const std::uint64_t changes = changes_;
    DLOG_CO_TRY_ASSIGN(port::FilePtr file, co_await disk_.open(path, mode));
    DLOG_ASSERT(file != nullptr);
    // Another coroutine may have opened the same path in the meantime: both objects are good, the
    // later one is kept.
    // What was forgotten while it was being opened must not come back.
    if (changes == changes_) files_.put(std::move(path), file);
    co_return file;
}

}  // namespace dlog::replication
