#include "pattern/topic_pattern.h"

#include <re2/re2.h>

#include <cstdint>

namespace dlog::pattern {

namespace {

/// For a compiled expression and for what RE2 learns while it matches. An expression that needs
/// more than this meets something new at every letter, which costs up to kPatternSizeMax steps each
/// time.
constexpr std::int64_t kPatternMemoryMax = 2 << 20;
/// In instructions of RE2.
constexpr int kPatternSizeMax = 1'024;

/// How often RE2 had to forget on this thread what it had learnt, or to go its slow way.
thread_local int setbacks = 0;

void count_setbacks() {
    re2::hooks::SetDFAStateCacheResetHook(
        [](const re2::hooks::DFAStateCacheReset&) { ++setbacks; });
    re2::hooks::SetDFASearchFailureHook([](const re2::hooks::DFASearchFailure&) { ++setbacks; });
}

class Compiled {
  public:
    explicit Compiled(std::string_view pattern) : re2_(pattern, options()) {}

    [[nodiscard]] bool is_too_large() const {
        return re2_.error_code() == re2::RE2::ErrorPatternTooLarge ||
               (re2_.ok() && re2_.ProgramSize() > kPatternSizeMax);
    }
    [[nodiscard]] const re2::RE2& re2() const { return re2_; }

  private:
    static re2::RE2::Options options() {
        re2::RE2::Options options;
        options.set_log_errors(false);
        options.set_max_mem(kPatternMemoryMax);
        options.set_never_capture(true);
        return options;
    }

    re2::RE2 re2_;
};

}  // namespace

std::expected<void, std::string> check_pattern(std::string_view pattern) {
    if (pattern.size() > kPatternBytesMax) {
        return std::unexpected("it has " + std::to_string(pattern.size()) +
                               " bytes and may have at most " + std::to_string(kPatternBytesMax));
    }
    const Compiled compiled(pattern);
    if (compiled.is_too_large()) return std::unexpected("it would be too large when compiled");
    if (!compiled.re2().ok()) return std::unexpected(compiled.re2().error());
    return {};
}

std::optional<std::vector<std::string>> matching_names(std::string_view pattern,
                                                       const std::vector<std::string_view>& names) {
    if (pattern.size() > kPatternBytesMax) return std::nullopt;
    const Compiled compiled(pattern);
    if (compiled.is_too_large() || !compiled.re2().ok()) return std::nullopt;
    [[maybe_unused]] static const bool kIsCounted = (count_setbacks(), true);
    setbacks = 0;
    std::vector<std::string> result;
    for (const std::string_view name : names) {
        if (re2::RE2::FullMatch(name, compiled.re2())) result.emplace_back(name);
        if (setbacks > 0) return std::nullopt;
    }
    return result;
}

}  // namespace dlog::pattern
