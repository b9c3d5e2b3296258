#include "cli/progress.h"

#include <algorithm>
#include <cstdio>

namespace dlog::cli {

namespace {

constexpr Duration kInterval = milliseconds(200);

std::string count_text(double number) {
    char text[32];
    if (number >= 1e6) {
        std::snprintf(text, sizeof(text), "%.2fM", number / 1e6);
    } else if (number >= 1e4) {
        std::snprintf(text, sizeof(text), "%.1fk", number / 1e3);
    } else {
        std::snprintf(text, sizeof(text), "%.0f", number);
    }
    return text;
}

}  // namespace

std::string size_text(std::uint64_t bytes) {
    static constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", "TB"};
    auto number = static_cast<double>(bytes);
    std::size_t unit = 0;
    while (number >= 1000 && unit + 1 < std::size(kUnits)) {
        number /= 1000;
        ++unit;
    }
    char text[32];
    std::snprintf(text, sizeof(text), unit == 0 ? "%.0f %s" : "%.1f %s", number, kUnits[unit]);
    return text;
}

std::string progress_text(const ProgressNumbers& numbers) {
    std::string line;
    if (numbers.total_bytes > 0) {
        constexpr std::uint64_t kWidth = 24;
        const std::uint64_t done = std::min(numbers.bytes, numbers.total_bytes);
        const auto share = static_cast<double>(done) / static_cast<double>(numbers.total_bytes);
        const auto filled = static_cast<std::size_t>(share * kWidth);
        char percent[16];
        std::snprintf(percent, sizeof(percent), "] %3.0f%%  ", share * 100);
        line = "[" + std::string(filled, '#') + std::string(kWidth - filled, ' ') + percent;
    }
    line += count_text(static_cast<double>(numbers.records)) + " records  " +
            size_text(numbers.bytes) + "  " + count_text(numbers.records_per_second) + "/s";
    return line.substr(0, 78);
}

void Progress::update(Instant now, std::uint64_t records, std::uint64_t bytes) {
    if (!is_shown_ || now - last_ < kInterval) return;
    const double rate = static_cast<double>(records - last_records_) / (now - last_).seconds();
    last_ = now;
    last_records_ = records;
    const std::string line = progress_text({.records = records,
                                            .bytes = bytes,
                                            .total_bytes = total_bytes_,
                                            .elapsed = now - start_,
                                            .records_per_second = rate});
    std::fprintf(stderr, "\r%-78s", line.c_str());
    std::fflush(stderr);
}

void Progress::finish(Instant now, std::uint64_t records, std::uint64_t bytes) {
    if (!is_shown_) return;
    const double span = std::max((now - start_).seconds(), 1e-6);
    const std::string sum =
        count_text(static_cast<double>(records)) + " records, " + size_text(bytes) + " in ";
    std::fprintf(stderr, "\r%-78s\r%s%.2f s (%s/s)\n", "", sum.c_str(), span,
                 count_text(static_cast<double>(records) / span).c_str());
}

}  // namespace dlog::cli
