#include "storage/checkpoint.h"

#include <doctest/doctest.h>

#include <string>

namespace dlog::storage {
namespace {

LogImage sample() {
    LogImage image;
    image.log_start_offset = Offset{100};
    image.segments = {
        {Offset{90}, Offset{200}, 5'000, Timestamp{77}, Offset{120}, Timestamp{80}},
        {Offset{200}, Offset{300}, 4'096, Timestamp{99}, Offset{290}, Timestamp{100}},
        {Offset{300}, Offset{310}, 700, Timestamp{-1}, Offset{-1}, Timestamp{110}},
    };
    image.active_first_timestamp = Timestamp{98};
    image.is_clean = true;
    image.epochs = {{LeaderEpoch{1}, Offset{100}}, {LeaderEpoch{3}, Offset{250}}};
    ProducerState& state = image.producers[ProducerId{42}];
    state.epoch = ProducerEpoch{2};
    state.last_timestamp = Timestamp{1'234};
    state.batch_count = 2;
    state.batches[0] = {9, 9, Offset{259}, Timestamp{5}};
    state.batches[1] = {14, 4, Offset{309}, Timestamp{6}};
    image.producers[ProducerId{7}].epoch = ProducerEpoch{0};
    return image;
}

bool is_same(const LogImage& a, const LogImage& b) {
    return a.log_start_offset == b.log_start_offset && a.segments == b.segments &&
           a.active_first_timestamp == b.active_first_timestamp && a.is_clean == b.is_clean &&
           a.epochs == b.epochs && a.producers == b.producers;
}

std::string hex(ByteView bytes) {
    std::string text;
    for (const std::uint8_t byte : bytes) {
        text += "0123456789abcdef"[byte >> 4];
        text += "0123456789abcdef"[byte & 15];
    }
    return text;
}

TEST_CASE("a checkpoint says again what went into it") {
    const auto image = decode_checkpoint(encode_checkpoint(sample()).view());
    REQUIRE(image);
    CHECK(is_same(*image, sample()));
    CHECK(image->recovery_point() == LogPosition{Offset{310}, Offset{300}, 700});
    const auto empty = decode_checkpoint(encode_checkpoint(empty_image()).view());
    REQUIRE(empty);
    CHECK(is_same(*empty, empty_image()));
}

TEST_CASE("every flipped bit of a checkpoint is noticed") {
    Buffer file = encode_checkpoint(sample());
    for (std::size_t bit = 0; bit < file.size() * 8; ++bit) {
        const auto mask = static_cast<std::uint8_t>(1U << (bit % 8));
        file.mutable_data()[bit / 8] ^= mask;
        CHECK_MESSAGE(!decode_checkpoint(file.view()), "bit ", bit);
        file.mutable_data()[bit / 8] ^= mask;
    }
    CHECK(decode_checkpoint(file.view()));
}

TEST_CASE("every missing or surplus byte of a checkpoint is noticed") {
    const Buffer file = encode_checkpoint(sample());
    for (std::size_t size = 0; size < file.size(); ++size) {
        const Buffer cut = Buffer::copy_of(file.view().first(size));
        CHECK_MESSAGE(!decode_checkpoint(cut.view()), "size ", size);
    }
    Buffer longer = Buffer::allocate(file.size() + 1);
    std::memcpy(longer.mutable_data(), file.data(), file.size());
    longer.mutable_data()[file.size()] = 0;
    CHECK(decode_checkpoint(longer.view()).error() == Error::kBadLength);
}

TEST_CASE("the bytes of a checkpoint are those that docs/formats/checkpoint.md describes") {
    LogImage image;
    image.log_start_offset = Offset{1};
    image.segments = {{Offset{1}, Offset{3}, 0x55, Timestamp{0x10}, Offset{2}, Timestamp{0x20}}};
    image.active_first_timestamp = Timestamp{0x0f};
    image.is_clean = true;
    image.epochs = {{LeaderEpoch{4}, Offset{1}}};
    ProducerState& state = image.producers[ProducerId{9}];
    state.epoch = ProducerEpoch{2};
    state.last_timestamp = Timestamp{0x30};
    state.batch_count = 1;
    state.batches[0] = {6, 1, Offset{2}, Timestamp{0x10}};
    const Buffer file = encode_checkpoint(image);
    const std::string text = hex(file.view());
    REQUIRE(file.size() == 64 + 48 + 12 + 20 + 24);
    CHECK(text.substr(0, 16) == "444c435001000100");  // magic, version, flags
    CHECK(text.substr(24) ==
          "01000000"          // segments
          "0100000000000000"  // log start offset
          "0f00000000000000"  // active first timestamp
          "01000000"
          "01000000"                          // epochs, producers
          "a800000000000000"                  // file size
          "00000000000000000000000000000000"  // reserved
          "0100000000000000"
          "0300000000000000"
          "5500000000000000"
          "1000000000000000"
          "0200000000000000"
          "2000000000000000"
          "04000000"
          "0100000000000000"
          "0900000000000000"
          "0200"
          "01"
          "00"
          "3000000000000000"
          "06000000"
          "01000000"
          "0200000000000000"
          "1000000000000000");
    CHECK(text.substr(16, 8) == "62d2a6d5");
}

TEST_CASE("a checkpoint of 100,000 segments is read back whole") {
    LogImage image;
    for (int i = 0; i < 100'000; ++i) {
        image.segments.push_back({Offset{i * 10}, Offset{i * 10 + 10}, 1'000, Timestamp{i},
                                  Offset{i * 10}, Timestamp{i}});
    }
    const auto again = decode_checkpoint(encode_checkpoint(image).view());
    REQUIRE(again);
    CHECK(is_same(*again, image));
}

}  // namespace
}  // namespace dlog::storage
