#include "load/batches.h"

#include <isa-l/crc.h>
#include <lz4frame.h>
#include <stdlib.h>
#include <time.h>

#include "load/wire.h"

namespace dlog::load {

namespace {

constexpr std::size_t kLastOffsetDeltaAt = 23;
constexpr std::size_t kBaseTimestampAt = 27;
constexpr std::size_t kMaxTimestampAt = 35;
constexpr std::size_t kProducerIdAt = 43;
constexpr std::size_t kProducerEpochAt = 51;
constexpr std::size_t kBaseSequenceAt = 53;
constexpr char kMagic = 2;
constexpr std::int16_t kLz4 = 3;

/// xorshift64.
struct Numbers {
    std::uint64_t state;
    std::uint64_t next() {
        state ^= state << 13;
        state ^= state >> 7;
        return state ^= state << 17;
    }
};

/// Text of 2,048 different words.
std::string words(std::size_t size, Numbers& numbers) {
    Numbers vocabulary{0x9E3779B97F4A7C15ULL};
    std::vector<std::string> list(2048);
    for (std::string& word : list) {
        const std::size_t length = 3 + vocabulary.next() % 8;
        for (std::size_t i = 0; i < length; ++i) {
            word.push_back(static_cast<char>('a' + vocabulary.next() % 26));
        }
        word.push_back(' ');
    }
    std::string text;
    text.reserve(size + 16);
    while (text.size() < size) text += list[numbers.next() % list.size()];
    text.resize(size);
    return text;
}

std::string compress_lz4(const std::string& plain) {
    LZ4F_preferences_t preferences{};
    // Kafka's reader takes independent blocks only.
    preferences.frameInfo.blockMode = LZ4F_blockIndependent;
    std::string packed(LZ4F_compressFrameBound(plain.size(), &preferences), '\0');
    const std::size_t size =
        LZ4F_compressFrame(packed.data(), packed.size(), plain.data(), plain.size(), &preferences);
    if (LZ4F_isError(size)) ::abort();
    packed.resize(size);
    return packed;
}

void set_crc(std::string& batch) {
    const auto* const bytes = reinterpret_cast<const std::uint8_t*>(batch.data());
    store_big(batch.data() + kCrcAt, crc32c(bytes + kCrcFrom, batch.size() - kCrcFrom));
}

}  // namespace

std::uint32_t crc32c(const std::uint8_t* bytes, std::size_t size) {
    return ~crc32_iscsi(const_cast<std::uint8_t*>(bytes), static_cast<int>(size), 0xFFFF'FFFFU);
}

std::string encode_batch(const BatchOptions& options, std::uint64_t seed) {
    Numbers numbers{seed * 2 + 1};
    for (int i = 0; i < 8; ++i) numbers.next();
    Writer records;
    for (std::size_t i = 0; i < options.records; ++i) {
        Writer record;
        record.i8(0).varint(0).varint(static_cast<std::int64_t>(i)).varint(-1);
        record.varint(static_cast<std::int64_t>(options.record_bytes));
        record.out += words(options.record_bytes, numbers);
        record.varint(0);
        records.varint(static_cast<std::int64_t>(record.out.size()));
        records.out += record.out;
    }
    const std::string body = options.is_lz4 ? compress_lz4(records.out) : records.out;
    std::string batch(kBatchHeaderBytes, '\0');
    batch += body;
    char* const at = batch.data();
    const std::int64_t now_ms = std::int64_t{::time(nullptr)} * 1000;
    store_big(at + kBatchLengthAt, static_cast<std::int32_t>(batch.size() - 12));
    store_big(at + 12, std::int32_t{-1});  // the leader's epoch, which the broker sets
    at[16] = kMagic;
    store_big(at + kCrcFrom, std::int16_t{options.is_lz4 ? kLz4 : std::int16_t{0}});
    store_big(at + kLastOffsetDeltaAt, static_cast<std::int32_t>(options.records - 1));
    store_big(at + kBaseTimestampAt, now_ms);
    store_big(at + kMaxTimestampAt, now_ms);
    store_big(at + kRecordCountAt, static_cast<std::int32_t>(options.records));
    set_producer(batch, -1, -1, -1);
    return batch;
}

void set_producer(std::string& batch, std::int64_t producer_id, std::int16_t epoch,
                  std::int32_t sequence) {
    store_big(batch.data() + kProducerIdAt, producer_id);
    store_big(batch.data() + kProducerEpochAt, epoch);
    store_big(batch.data() + kBaseSequenceAt, sequence);
    set_crc(batch);
}

}  // namespace dlog::load
