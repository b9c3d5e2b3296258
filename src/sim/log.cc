#include "sim/log.h"

#include <algorithm>
#include <cstdio>

namespace dlog::sim {

void HostLog::write(LogLevel level, std::string_view message, std::span<const LogField> fields) {
    char stamp[48];
    std::snprintf(stamp, sizeof stamp, "%12.6f ", Duration{loop_.now().ns}.seconds());
    LogLine line{
        .time = loop_.now(), .sequence = loop_.effects().count(), .level = level, .text = stamp};
    line.text += host_;
    line.text += ' ';
    line.text += log_level_name(level);
    line.text += ' ';
    line.text += message;
    for (const LogField& field : fields) {
        line.text += ' ';
        line.text += field.name;
        line.text += '=';
        line.text += field.value;
    }
    loop_.effects().fold(Effect::kLog, static_cast<std::uint64_t>(level));
    loop_.effects().fold_text(line.text);
    if (options_.is_traced) std::fprintf(stderr, "%s\n", line.text.c_str());
    ++counts_[static_cast<std::size_t>(level)];
    lines_.push_back(std::move(line));
    if (lines_.size() > options_.log_lines_kept) lines_.pop_front();
}

std::uint64_t HostLog::count_at_least(LogLevel level) const {
    std::uint64_t sum = 0;
    for (auto at = static_cast<std::size_t>(level); at < 4; ++at) sum += counts_[at];
    return sum;
}

bool HostLog::has(std::string_view part) const {
    return std::any_of(lines_.begin(), lines_.end(), [part](const LogLine& line) {
        return line.text.find(part) != std::string::npos;
    });
}

}  // namespace dlog::sim
