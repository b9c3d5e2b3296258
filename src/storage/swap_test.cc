#include "storage/swap.h"

#include <doctest/doctest.h>

namespace dlog::storage {
namespace {

const std::vector<std::string> kNames = {
    "00000000000000000000.00000000000000000020.swap",
    "00000000000000000000.index",
    "00000000000000000000.log",
    "00000000000000000010.log",
    "00000000000000000010.timeindex",
    "00000000000000000020.log",
    "00000000000000000020.log.cleaned",
    "log.checkpoint",
};

LogImage image_with(std::optional<Offset> swapping) {
    LogImage image;
    image.segments = {{.base_offset = Offset{0}, .end_offset = Offset{20}, .size_bytes = 100},
                      {.base_offset = Offset{20}, .end_offset = Offset{20}}};
    image.swapping = swapping;
    return image;
}

TEST_CASE("the names of rewritten segments are read as they are written") {
    CHECK(swap_file_name(Offset{0}, Offset{20}) == kNames[0]);
    CHECK(parse_swap_file_name(kNames[0]) == SwapFileName{Offset{0}, Offset{20}});
    CHECK(is_cleaned_file_name(cleaned_file_name(Offset{20})));
    CHECK_FALSE(is_cleaned_file_name("notes.log.cleaned"));
    for (const char* other : {"00000000000000000000.swap", "00000000000000000020.log",
                              "00000000000000000020.00000000000000000020.swap",
                              "0000000000000000000x.00000000000000000020.swap", ".swap", ""}) {
        CHECK_FALSE(parse_swap_file_name(other).has_value());
    }
}

TEST_CASE("a rewritten segment that the checkpoint has taken over is put in place") {
    const LogImage image = image_with(Offset{0});
    const SwapRepairs repairs = plan_swap_repairs(kNames, &image);
    REQUIRE(repairs.finish.has_value());
    CHECK(*repairs.finish == SwapFileName{Offset{0}, Offset{20}});
    CHECK(repairs.remove == std::vector<std::string>{kNames[1], kNames[3], kNames[4], kNames[6]});
}

TEST_CASE("one that the checkpoint knows nothing of goes, and what it was made of stays") {
    const LogImage image = image_with(std::nullopt);
    const SwapRepairs repairs = plan_swap_repairs(kNames, &image);
    CHECK_FALSE(repairs.finish.has_value());
    CHECK(repairs.remove == std::vector<std::string>{kNames[0], kNames[6]});
}

TEST_CASE("one that ends elsewhere than the checkpoint's segment goes too") {
    LogImage image = image_with(Offset{0});
    image.segments[0].end_offset = Offset{10};
    CHECK_FALSE(plan_swap_repairs(kNames, &image).finish.has_value());
}

TEST_CASE("without a checkpoint a rewritten segment is as good as what it was made of") {
    const SwapRepairs repairs = plan_swap_repairs(kNames, nullptr);
    REQUIRE(repairs.finish.has_value());
    CHECK(repairs.finish->base_offset == Offset{0});
}

TEST_CASE("a folder without a trace of compaction has nothing to repair") {
    const SwapRepairs repairs =
        plan_swap_repairs({"00000000000000000000.log", "x.swap", "y.log.cleaned"}, nullptr);
    CHECK(repairs.remove.empty());
    CHECK_FALSE(repairs.finish.has_value());
}

TEST_CASE("a checkpoint tells how far compaction came and what is being swapped") {
    LogImage image = image_with(Offset{0});
    image.cleaned_to = Offset{15};
    const Buffer file = encode_checkpoint(image);
    const auto decoded = decode_checkpoint(file.view());
    REQUIRE(decoded.has_value());
    CHECK(decoded->cleaned_to == Offset{15});
    CHECK(decoded->swapping == Offset{0});
    image.swapping = Offset{10};  // no segment of the log
    CHECK_FALSE(decode_checkpoint(encode_checkpoint(image).view()).has_value());
    image.swapping.reset();
    image.cleaned_to = Offset{21};  // beyond its end
    CHECK_FALSE(decode_checkpoint(encode_checkpoint(image).view()).has_value());
}

}  // namespace
}  // namespace dlog::storage
