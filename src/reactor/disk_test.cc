/// Files: what the Disk port promises, on the real file system.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <string>
#include <vector>

#include "base/random.h"
#include "port/disk.h"
#include "port/ports.h"
#include "port/spawn.h"
#include "port/sync.h"
#include "reactor/files.h"
#include "reactor/reactor.h"
#include "reactor/test_support.h"

using namespace dlog;
using namespace dlog::reactor;
using port::DiskError;
using port::OpenMode;

namespace {

template <class T>
bool failed_with(const port::DiskResult<T>& result, DiskError error) {
    return !result && result.error() == error;
}

Buffer text(std::string_view characters) {
    return Buffer::copy_of(as_bytes(characters));
}

port::Task<void> write_and_read(port::Disk* disk, std::string path) {
    auto file = co_await disk->open(path, OpenMode::kCreateNew);
    DLOG_ASSERT(file.has_value());
    CHECK((*file)->path() == path);
    CHECK((co_await disk->write(*file, 0, {text("hello "), Buffer(), text("world")})).has_value());
    CHECK((co_await disk->write(*file, 6, {text("there")})).has_value());
    CHECK((co_await disk->write(*file, 13, {text("gap")})).has_value());
    std::array<std::uint8_t, 100> bytes{};
    const auto all = co_await disk->read(*file, 0, bytes);
    CHECK((all && *all == 16));
    CHECK(as_text({bytes.data(), 16}) == std::string_view("hello there\0\0gap", 16));
    const auto tail = co_await disk->read(*file, 14, bytes);
    CHECK((tail && *tail == 2));
    const auto past = co_await disk->read(*file, 16, bytes);
    CHECK((past && *past == 0));
    CHECK((co_await disk->truncate(*file, 5)).has_value());
    const auto info = co_await disk->stat(*file);
    CHECK((info && info->size_bytes == 5 && !info->is_directory));
    CHECK(failed_with(co_await disk->open(path, OpenMode::kCreateNew), DiskError::kExists));
    auto again = co_await disk->open(path, OpenMode::kCreate);
    CHECK(again.has_value());
    const auto kept = co_await disk->stat(*again);
    CHECK((kept && kept->size_bytes == 5));
    auto reader = co_await disk->open(path, OpenMode::kRead);
    CHECK(reader.has_value());
    CHECK(!(co_await disk->write(*reader, 0, {text("no")})).has_value());
}

port::Task<void> write_many_parts(port::Disk* disk, std::string path) {
    Random random(5);
    std::string expected;
    std::vector<Buffer> parts;
    for (int i = 0; i < 1500; ++i) {
        std::string part(random.below(3'000), static_cast<char>('a' + i % 26));
        expected += part;
        parts.push_back(text(part));
    }
    auto file = co_await disk->open(path, OpenMode::kCreate);
    DLOG_ASSERT(file.has_value());
    CHECK((co_await disk->write(*file, 0, std::move(parts))).has_value());
    Buffer read = Buffer::allocate(expected.size() + 1);
    // Longer than what is read on the loop.
    auto count = co_await disk->read(*file, 0, read.mutable_view());
    CHECK((count && *count == expected.size()));
    CHECK(as_text(read.view().subspan(0, expected.size())) == expected);
    // Not in memory any more, and in short pieces.
    CHECK((co_await disk->sync({*file}, {})).has_value());
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    CHECK(::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED) == 0);
    ::close(fd);
    for (std::size_t position = 0; position < expected.size(); position += 100'000) {
        const std::size_t wanted = std::min<std::size_t>(100'000, expected.size() - position);
        count = co_await disk->read(*file, position, read.mutable_view().subspan(0, wanted));
        CHECK((count && *count == wanted));
        CHECK(as_text(read.view().subspan(0, wanted)) == expected.substr(position, wanted));
    }
}

port::Task<void> use_names(port::Disk* disk, std::string root) {
    CHECK((co_await disk->make_directories(root + "/a/b/c")).has_value());
    CHECK((co_await disk->make_directories(root + "/a/b/c")).has_value());
    for (const char* const name : {"/a/two", "/a/one", "/a/three"}) {
        CHECK((co_await disk->open(root + name, OpenMode::kCreateNew)).has_value());
    }
    const auto names = co_await disk->list(root + "/a");
    CHECK((names && *names == std::vector<std::string>{"b", "one", "three", "two"}));
    CHECK((co_await disk->rename(root + "/a/one", root + "/a/two")).has_value());
    CHECK((co_await disk->remove(root + "/a/three")).has_value());
    CHECK((co_await disk->sync({}, {root + "/a", root})).has_value());
    const auto fewer = co_await disk->list(root + "/a");
    CHECK((fewer && *fewer == std::vector<std::string>{"b", "two"}));
    const auto folder = co_await disk->stat_path(root + "/a");
    CHECK((folder && folder->is_directory));
    CHECK((co_await disk->remove_all(root + "/a")).has_value());
    const auto space = co_await disk->space(root);
    CHECK((space && space->free_bytes > 0 && space->free_bytes <= space->total_bytes));

    CHECK(failed_with(co_await disk->stat_path(root + "/a"), DiskError::kNotFound));
    CHECK(failed_with(co_await disk->remove(root + "/a"), DiskError::kNotFound));
    CHECK(failed_with(co_await disk->remove_all(root + "/a"), DiskError::kNotFound));
    CHECK(failed_with(co_await disk->list(root + "/a"), DiskError::kNotFound));
    CHECK(failed_with(co_await disk->rename(root + "/a", root + "/b"), DiskError::kNotFound));
    CHECK(failed_with(co_await disk->open(root + "/a", OpenMode::kRead), DiskError::kNotFound));
    CHECK(
        failed_with(co_await disk->open(root + "/a", OpenMode::kReadWrite), DiskError::kNotFound));
    CHECK(failed_with(co_await disk->open(root, OpenMode::kRead), DiskError::kDenied));
    CHECK(failed_with(co_await disk->sync({}, {root + "/a"}), DiskError::kNotFound));
    CHECK(failed_with(co_await disk->space(root + "/a"), DiskError::kNotFound));
}

port::Task<void> write_text(port::Disk* disk, port::FilePtr file, std::string characters) {
    CHECK((co_await disk->write(file, 0, {text(characters)})).has_value());
}

port::Task<void> sync_files(port::Disk* disk, std::string root, int count, int rounds) {
    std::vector<port::FilePtr> files;
    for (int i = 0; i < count; ++i) {
        auto file = co_await disk->open(root + "/" + std::to_string(i), OpenMode::kCreate);
        DLOG_ASSERT(file.has_value());
        files.push_back(*file);
        files.push_back(*file);  // twice is once
    }
    for (int i = 0; i < count * rounds; ++i) {
        const auto& file = files[static_cast<std::size_t>(i) % files.size()];
        co_await write_text(disk, file, std::to_string(i));
        if (i % count == 0) CHECK((co_await disk->sync(files, {root})).has_value());
    }
}

/// The files' folder has another name when they are synced, so that the file system cannot be found
/// by it.
port::Task<void> sync_renamed(port::Disk* disk, std::string root) {
    CHECK((co_await disk->make_directories(root + "/old")).has_value());
    std::vector<port::FilePtr> files;
    for (const char* const name : {"/old/a", "/old/b", "/old/c"}) {
        auto file = co_await disk->open(root + name, OpenMode::kCreate);
        DLOG_ASSERT(file.has_value());
        co_await write_text(disk, *file, "x");
        files.push_back(*file);
    }
    CHECK((co_await disk->rename(root + "/old", root + "/new")).has_value());
    CHECK((co_await disk->sync(files, {})).has_value());
    CHECK(failed_with(co_await disk->sync(files, {root + "/old"}), DiskError::kNotFound));
}

port::Task<void> fill_up(port::Disk* disk, std::string path) {
    auto full = co_await disk->open("/dev/full", OpenMode::kReadWrite);
    DLOG_ASSERT(full.has_value());
    CHECK(failed_with(co_await disk->write(*full, 0, {text("x")}), DiskError::kNoSpace));

    auto file = co_await disk->open(path, OpenMode::kCreate);
    DLOG_ASSERT(file.has_value());
    rlimit before{};
    ::getrlimit(RLIMIT_FSIZE, &before);
    const rlimit small{.rlim_cur = 10'000, .rlim_max = before.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &small);
    const Buffer bytes = text(std::string(8'000, 'x'));
    CHECK((co_await disk->write(*file, 0, {bytes})).has_value());
    CHECK(failed_with(co_await disk->write(*file, 8'000, {bytes}), DiskError::kNoSpace));
    ::setrlimit(RLIMIT_FSIZE, &before);
    // Nothing is wrong with the file: the same write succeeds when there is room.
    CHECK((co_await disk->write(*file, 8'000, {bytes})).has_value());
    CHECK((co_await disk->sync({*file}, {})).has_value());
}

port::Task<void> distrust_after_failed_sync(port::Disk* disk) {
    // A device that cannot be synced stands for one that fails to.
    auto file = co_await disk->open("/dev/null", OpenMode::kReadWrite);
    DLOG_ASSERT(file.has_value());
    CHECK((co_await disk->write(*file, 0, {text("x")})).has_value());
    CHECK(failed_with(co_await disk->sync({*file}, {}), DiskError::kIo));
    CHECK(failed_with(co_await disk->write(*file, 0, {text("x")}), DiskError::kIo));
    CHECK(failed_with(co_await disk->sync({*file}, {}), DiskError::kIo));
}

port::Task<void> try_to_lock(port::Disk* disk, std::string path,
                             std::vector<port::DiskResult<port::FilePtr>>* results) {
    results->push_back(co_await disk->lock(path));
}

}  // namespace

TEST_CASE("a file holds what was written where it was written") {
    const TempFolder folder;
    Reactor reactor({.core_count = 1});
    reactor.run_and_wait(CoreId(0), [&](port::Ports& ports) {
        return write_and_read(&ports.disk, folder.file("f"));
    });
}

TEST_CASE("many parts are one write, and large and cold reads are whole") {
    const TempFolder folder;
    Reactor reactor({.core_count = 1});
    reactor.run_and_wait(CoreId(0), [&](port::Ports& ports) {
        return write_many_parts(&ports.disk, folder.file("f"));
    });
}

TEST_CASE("names are made, listed, renamed, removed, and missed by their error") {
    const TempFolder folder;
    Reactor reactor({.core_count = 1});
    reactor.run_and_wait(CoreId(0),
                         [&](port::Ports& ports) { return use_names(&ports.disk, folder.path()); });
}

TEST_CASE("one call syncs many files, also from two cores at once") {
    const std::size_t descriptors_before = open_descriptor_count();
    const TempFolder left;
    const TempFolder right;
    {
        Reactor reactor({.core_count = 2});
        reactor.run_and_wait(CoreId(0), [&](port::Ports& ports) {
            return sync_files(&ports.disk, left.path(), 1, 1);
        });
        reactor.run(CoreId(0), [&](port::Ports& ports) {
            return sync_files(&ports.disk, left.path(), 20, 5);
        });
        reactor.run_and_wait(CoreId(1), [&](port::Ports& ports) {
            return sync_files(&ports.disk, right.path(), 20, 5);
        });
        // The other core's part is file operations, which a stop lets end.
    }
    CHECK(open_descriptor_count() == descriptors_before);
}

TEST_CASE("files are synced one by one when their folder has gone") {
    const TempFolder folder;
    Reactor reactor({.core_count = 1});
    reactor.run_and_wait(
        CoreId(0), [&](port::Ports& ports) { return sync_renamed(&ports.disk, folder.path()); });
}

TEST_CASE("a full device and a size limit are no-space, and pass") {
    const TempFolder folder;
    Reactor reactor({.core_count = 1});
    reactor.run_and_wait(
        CoreId(0), [&](port::Ports& ports) { return fill_up(&ports.disk, folder.file("f")); });
    CHECK(disk_error_of(ENOSPC) == DiskError::kNoSpace);
    CHECK(disk_error_of(EDQUOT) == DiskError::kNoSpace);
    CHECK(disk_error_of(EMFILE) == DiskError::kTooManyFiles);
    CHECK(disk_error_of(EROFS) == DiskError::kDenied);
    CHECK(disk_error_of(EIO) == DiskError::kIo);
}

TEST_CASE("a file whose sync failed takes no more writes") {
    Reactor reactor({.core_count = 1});
    reactor.run_and_wait(
        CoreId(0), [](port::Ports& ports) { return distrust_after_failed_sync(&ports.disk); });
}

TEST_CASE("a lock held by another process, or twice in this one, is refused until it is dropped") {
    const TempFolder folder;
    const std::string path = folder.file("lock");
    int held[2];
    int release[2];
    REQUIRE(::pipe(held) == 0);
    REQUIRE(::pipe(release) == 0);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        const int fd = ::open(path.c_str(), O_RDWR | O_CREAT, 0640);
        char byte = ::flock(fd, LOCK_EX | LOCK_NB) == 0 ? 'y' : 'n';
        (void)!::write(held[1], &byte, 1);
        ::close(release[1]);
        (void)!::read(release[0], &byte, 1);
        ::_exit(0);
    }
    char byte = 0;
    REQUIRE(::read(held[0], &byte, 1) == 1);
    REQUIRE(byte == 'y');
    {
        Reactor reactor({.core_count = 1});
        std::vector<port::DiskResult<port::FilePtr>> results;
        const auto lock_once = [&] {
            reactor.run_and_wait(CoreId(0), [&](port::Ports& ports) {
                return try_to_lock(&ports.disk, path, &results);
            });
        };
        lock_once();
        CHECK(failed_with(results.back(), DiskError::kLocked));
        ::close(release[1]);
        CHECK(::waitpid(child, nullptr, 0) == child);
        lock_once();
        CHECK(results.back().has_value());
        lock_once();
        CHECK(failed_with(results.back(), DiskError::kLocked));
        results.clear();
        lock_once();
        CHECK(results.back().has_value());
    }
    for (const int fd : {held[0], held[1], release[0]}) ::close(fd);
}
