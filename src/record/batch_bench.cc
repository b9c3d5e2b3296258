/// What a broker pays to check a full batch of small records, beside the floor of its CRC alone.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <vector>

#include "codec/crc32c.h"
#include "record/builder.h"
#include "record/validate.h"

namespace {

using dlog::Buffer;
using dlog::ByteView;
using dlog::record::Compression;

constexpr std::size_t kValueBytes = 100;
constexpr std::size_t kBatchBytes = 1'000'000;
constexpr int kRounds = 21;

/// Values that compress about as logs do: words from a small vocabulary.
Buffer make_batch(Compression compression, std::size_t batch_bytes, std::int32_t& record_count) {
    static constexpr const char* kWords[] = {
        "error ", "disk ", "GET /index ", "user=", "4711 ", "ok ", "latency_ms=", "17.25 "};
    dlog::record::BatchBuilder builder({.compression = compression});
    std::uint64_t state = 1;
    std::string value;
    while (builder.size_bytes() < batch_bytes) {
        value.clear();
        while (value.size() < kValueBytes) {
            state = dlog::mix_bits(state + 1);
            value += kWords[state % 8];
            value += static_cast<char>('a' + (state >> 32) % 26);
        }
        value.resize(kValueBytes);
        builder.append(dlog::Timestamp{1'700'000'000'000 + builder.record_count() / 100},
                       std::nullopt, dlog::as_bytes(value));
    }
    record_count = builder.record_count();
    return builder.build().value();
}

/// This thread's CPU time: other work on the machine does not count.
double cpu_ns() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

/// The median of the time of one call in nanoseconds.
template <class Call>
double median_ns(std::size_t bytes, Call call) {
    const auto calls = static_cast<int>(1 + 10'000'000 / bytes);
    std::vector<double> times;
    for (int round = 0; round < kRounds; ++round) {
        const double begin = cpu_ns();
        for (int index = 0; index < calls; ++index) call();
        times.push_back((cpu_ns() - begin) / calls);
    }
    std::sort(times.begin(), times.end());
    return times[times.size() / 2];
}

void measure(Compression compression, std::size_t batch_bytes) {
    std::int32_t count = 0;
    const Buffer batch = make_batch(compression, batch_bytes, count);
    const ByteView bytes = batch.view();
    const dlog::record::ProduceLimits limits{.batch_bytes_max = 2'000'000};
    dlog::codec::Decompressor decompressor;

    volatile std::uint32_t sink = 0;
    const double crc_ns =
        median_ns(bytes.size(), [&] { sink = dlog::codec::crc32c(bytes.subspan(21)); });
    const double header_ns =
        median_ns(1000, [&] { sink = dlog::record::read_batch_header(bytes)->crc; });
    const double whole_ns = median_ns(bytes.size(), [&] {
        const auto checked = dlog::record::validate_for_produce(bytes, limits, decompressor);
        if (!checked || checked->header.record_count != count) std::abort();
    });
    std::vector<std::uint8_t> out;
    double codec_ns = 0;
    if (compression != Compression::kNone) {
        codec_ns = median_ns(bytes.size(), [&] {
            if (!dlog::codec::decompress_all(decompressor, compression,
                                             bytes.subspan(dlog::record::kBatchHeaderSize),
                                             std::size_t{1} << 24, out)) {
                std::abort();
            }
        });
    }
    std::printf(
        "%-7s %8zu B %6d records  header %4.1f ns  crc %8.0f ns  decompress %9.0f ns  "
        "validate %9.0f ns  = %5.2f ns a record, walk %5.2f ns a record\n",
        compression_name(compression).data(), bytes.size(), count, header_ns, crc_ns, codec_ns,
        whole_ns, whole_ns / count, (whole_ns - crc_ns - codec_ns) / count);
}

}  // namespace

int main() {
    std::printf("values of %zu B, medians of %d rounds\n", kValueBytes, kRounds);
    for (int id = 0; id < dlog::codec::kCompressionCount; ++id) {
        measure(static_cast<Compression>(id), 16'000);
        measure(static_cast<Compression>(id), kBatchBytes);
    }
    return 0;
}
