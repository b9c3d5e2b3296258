#include "sim/image.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

namespace dlog::sim {
namespace {

using port::DiskError;
using port::OpenMode;

std::vector<std::uint8_t> fill(std::size_t size, std::uint8_t byte) {
    return std::vector<std::uint8_t>(size, byte);
}

std::vector<std::uint8_t> contents(const Image& image, std::string_view path) {
    const auto file = image.find(path);
    if (!file) return {};
    std::vector<std::uint8_t> bytes((*file)->size);
    Image::read(**file, 0, bytes);
    return bytes;
}

/// A file "/a" whose name and first 1,000 bytes of ones are durable.
InodePtr durable_file(Image& image) {
    InodePtr file = *image.open("/a", OpenMode::kCreateNew);
    REQUIRE(image.write(*file, 0, fill(1000, 1)));
    Image::sync_file(*file, image.sequence());
    image.sync_directory(image.root(), image.sequence());
    return file;
}

TEST_CASE("what a sync covered survives every power loss") {
    for (std::uint64_t seed = 0; seed < 300; ++seed) {
        Random random(seed);
        Image image(1 << 20);
        const InodePtr file = durable_file(image);
        REQUIRE(image.write(*file, 1000, fill(5000, 2)));
        image.lose_power(random);
        const auto bytes = contents(image, "/a");
        REQUIRE(bytes.size() >= 1000);
        REQUIRE(std::count(bytes.begin(), bytes.begin() + 1000, 1) == 1000);
    }
}

TEST_CASE("an unsynced write is lost, kept, torn at sectors, and its size goes its own way") {
    unsigned lost = 0, kept = 0, torn = 0, size_without_data = 0, short_of_data = 0;
    for (std::uint64_t seed = 0; seed < 600; ++seed) {
        Random random(seed);
        Image image(1 << 20);
        const InodePtr file = durable_file(image);
        REQUIRE(image.write(*file, 1000, fill(5000, 2)));
        REQUIRE(image.write(*file, 6000, fill(500, 3)));
        image.lose_power(random);
        const auto bytes = contents(image, "/a");
        const bool is_size_known =
            bytes.size() == 1000 || bytes.size() == 6000 || bytes.size() == 6500;
        REQUIRE(is_size_known);
        std::size_t zeros = 0;
        bool is_as_written = true;
        for (std::size_t at = 1000; at < bytes.size(); ++at) {
            const std::uint8_t expected = at < 6000 ? 2 : 3;
            if (bytes[at] != 0) is_as_written = is_as_written && bytes[at] == expected;
            zeros += bytes[at] == 0;
            // Within one write a sector is there or not.
            if (at % kSectorBytes != 0 && at != 1000 && at != 6000) {
                is_as_written = is_as_written && (bytes[at] == 0) == (bytes[at - 1] == 0);
            }
        }
        REQUIRE(is_as_written);
        if (bytes.size() == 1000) ++lost;
        if (bytes.size() == 6500 && zeros == 0) ++kept;
        if (zeros > 0 && zeros < bytes.size() - 1000) ++torn;
        if (bytes.size() > 1000 && zeros == bytes.size() - 1000) ++size_without_data;
        if (bytes.size() == 6000 && zeros == 0) ++short_of_data;
    }
    CHECK(lost > 20);
    CHECK(kept > 20);
    CHECK(torn > 20);
    CHECK(size_without_data > 20);
    CHECK(short_of_data > 5);
}

TEST_CASE("a truncation that was not synced may come back, one that was stays") {
    std::set<std::size_t> sizes;
    for (std::uint64_t seed = 0; seed < 100; ++seed) {
        Random random(seed);
        Image image(1 << 20);
        const InodePtr file = durable_file(image);
        image.truncate(*file, 100);
        Image::sync_file(*file, image.sequence());
        image.truncate(*file, 50);
        image.lose_power(random);
        sizes.insert(contents(image, "/a").size());
    }
    CHECK(sizes == std::set<std::size_t>{50, 100});
}

TEST_CASE("a sync covers only what was written before it began") {
    unsigned lost = 0;
    for (std::uint64_t seed = 0; seed < 100; ++seed) {
        Random random(seed);
        Image image(1 << 20);
        const InodePtr file = durable_file(image);
        const std::uint64_t began = image.sequence();
        REQUIRE(image.write(*file, 1000, fill(10, 2)));
        Image::sync_file(*file, began);
        image.lose_power(random);
        lost += contents(image, "/a").size() == 1000;
    }
    CHECK(lost > 10);
}

TEST_CASE(
    "what a failed sync covered is seen until the power loss and not saved by the next sync") {
    unsigned lost = 0;
    for (std::uint64_t seed = 0; seed < 100; ++seed) {
        Random random(seed);
        Image image(1 << 20);
        const InodePtr file = durable_file(image);
        REQUIRE(image.write(*file, 1000, fill(10, 2)));
        Image::fail_sync_of_file(*file, image.sequence(), random);
        CHECK(contents(image, "/a")[1005] == 2);
        REQUIRE(image.write(*file, 1010, fill(10, 3)));
        Image::sync_file(*file, image.sequence());
        image.lose_power(random);
        const auto bytes = contents(image, "/a");
        REQUIRE(bytes.size() == 1020);
        CHECK(bytes[1015] == 3);
        lost += bytes[1005] == 0;
    }
    CHECK(lost > 10);
    CHECK(lost < 90);
}

TEST_CASE("what is written again after a failed sync is as safe as anything") {
    for (std::uint64_t seed = 0; seed < 100; ++seed) {
        Random random(seed);
        Image image(1 << 20);
        const InodePtr file = durable_file(image);
        REQUIRE(image.write(*file, 1000, fill(3000, 2)));
        Image::fail_sync_of_file(*file, image.sequence(), random);
        image.truncate(*file, 1000);
        REQUIRE(image.write(*file, 1000, fill(2000, 3)));
        Image::sync_file(*file, image.sequence());
        image.lose_power(random);
        const auto bytes = contents(image, "/a");
        REQUIRE(bytes.size() == 3000);
        CHECK(std::count(bytes.begin() + 1000, bytes.end(), 3) == 2000);
    }
}

TEST_CASE("a name lives through a power loss only when its folder was synced, synced file or not") {
    unsigned lost = 0, kept = 0;
    for (std::uint64_t seed = 0; seed < 100; ++seed) {
        Random random(seed);
        Image image(1 << 20);
        REQUIRE(image.make_directories("/d"));
        image.sync_directory(image.root(), image.sequence());
        const InodePtr file = *image.open("/d/new", OpenMode::kCreate);
        REQUIRE(image.write(*file, 0, fill(10, 2)));
        Image::sync_file(*file, image.sequence());
        REQUIRE(image.open("/d/synced", OpenMode::kCreate));
        if (seed % 2 == 0) image.sync_directory(*image.find("/d"), image.sequence());
        image.lose_power(random);
        const bool is_there = image.find("/d/new").has_value();
        if (seed % 2 == 0) {
            REQUIRE(is_there);
            CHECK(contents(image, "/d/new").size() == 10);
        }
        (is_there ? kept : lost) += 1;
    }
    CHECK(lost > 10);
    CHECK(kept > 60);
}

TEST_CASE("a rename is atomic: the old file or the new one, never neither, never both names") {
    unsigned before = 0, after = 0;
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
        Random random(seed);
        Image image(1 << 20);
        durable_file(image);
        const InodePtr next = *image.open("/a.tmp", OpenMode::kCreate);
        REQUIRE(image.write(*next, 0, fill(7, 2)));
        Image::sync_file(*next, image.sequence());
        if (seed % 2 == 0) image.sync_directory(image.root(), image.sequence());
        REQUIRE(image.rename("/a.tmp", "/a"));
        image.lose_power(random);
        const std::size_t size = contents(image, "/a").size();
        REQUIRE((size == 1000 || size == 7));
        const bool has_temporary = image.find("/a.tmp").has_value();
        if (size == 7) CHECK(!has_temporary);
        if (size == 1000 && seed % 2 == 0) CHECK(has_temporary);
        (size == 7 ? after : before) += 1;
    }
    CHECK(before > 20);
    CHECK(after > 20);
}

TEST_CASE(
    "a rename into another folder is kept by the sync of either, with the name it came from") {
    Random random(3);
    Image image(1 << 20);
    REQUIRE(image.make_directories("/x"));
    REQUIRE(image.make_directories("/y"));
    image.sync_directory(image.root(), image.sequence());
    REQUIRE(image.open("/x/f", OpenMode::kCreate));
    REQUIRE(image.rename("/x/f", "/y/g"));
    image.sync_directory(*image.find("/y"), image.sequence());
    image.lose_power(random);
    CHECK(image.find("/y/g"));
    CHECK(!image.find("/x/f"));
}

TEST_CASE("removed files come back until the folder is synced, and free their space at once") {
    unsigned back = 0;
    for (std::uint64_t seed = 0; seed < 100; ++seed) {
        Random random(seed);
        Image image(1 << 20);
        durable_file(image);
        CHECK(image.used_bytes() == kPageBytes);
        REQUIRE(image.remove("/a"));
        CHECK(image.used_bytes() == 0);
        image.lose_power(random);
        const bool is_back = image.find("/a").has_value();
        CHECK(image.used_bytes() == (is_back ? kPageBytes : 0));
        back += is_back;
    }
    CHECK(back > 20);
    CHECK(back < 80);
}

TEST_CASE("a full disk takes what fits and refuses the rest until space comes back") {
    Image image(3 * kPageBytes);
    const InodePtr file = *image.open("/a", OpenMode::kCreate);
    CHECK(image.write(*file, 0, fill(2 * kPageBytes, 1)));
    const auto full = image.write(*file, 2 * kPageBytes, fill(2 * kPageBytes, 2));
    REQUIRE(!full);
    CHECK(full.error() == DiskError::kNoSpace);
    CHECK(image.write(*file, 10, fill(100, 3)));  // within what it has
    image.set_capacity_bytes(10 * kPageBytes);
    CHECK(image.write(*file, 2 * kPageBytes, fill(2 * kPageBytes, 2)));
    CHECK(image.used_bytes() == 4 * kPageBytes);
    image.truncate(*file, 1);
    CHECK(image.used_bytes() == kPageBytes);
    CHECK(file->size == 1);
}

TEST_CASE("an open file keeps its bytes after its name is gone") {
    Image image(1 << 20);
    const InodePtr file = durable_file(image);
    image.opened(*file);
    REQUIRE(image.remove("/a"));
    CHECK(image.used_bytes() == kPageBytes);
    std::vector<std::uint8_t> bytes(10);
    CHECK(Image::read(*file, 990, bytes) == 10);
    image.closed(*file);
    CHECK(image.used_bytes() == 0);
}

TEST_CASE("whole trees are made, moved and removed") {
    Image image(1 << 20);
    REQUIRE(image.make_directories("data/topics/a-0"));
    REQUIRE(image.make_directories("./data/topics/a-1/"));
    REQUIRE(image.open("data/topics/a-0/x.log", OpenMode::kCreateNew));
    CHECK(image.open("data/topics/a-0/x.log", OpenMode::kCreateNew).error() == DiskError::kExists);
    CHECK(image.open("data/none/x", OpenMode::kCreate).error() == DiskError::kNotFound);
    CHECK(image.remove("data/topics").error() == DiskError::kDenied);
    REQUIRE(image.rename("data/topics/a-0", "data/topics/a-0-gone"));
    CHECK(image.files_under("data") == std::vector<std::string>{"data/topics/a-0-gone/x.log"});
    REQUIRE(image.remove_all("data/topics"));
    CHECK(image.files_under("data").empty());
    CHECK(image.find("data"));
}

TEST_CASE("a flipped bit stays flipped through a power loss") {
    Random random(1);
    Image image(1 << 20);
    const InodePtr file = durable_file(image);
    Image::flip_bit(*file, 500, 3);
    CHECK(contents(image, "/a")[500] == (1 ^ 8));
    image.lose_power(random);
    CHECK(contents(image, "/a")[500] == (1 ^ 8));
    CHECK(contents(image, "/a")[499] == 1);
}

}  // namespace
}  // namespace dlog::sim
