#include "coordination/group/topic_pattern.h"

#include <re2/re2.h>

#include <cstdint>

namespace dlog::coordination {

namespace {

/// For a compiled expression and for what RE2 keeps while it matches. With much less RE2 falls back
/// on its slow way for expressions that are not even large.
constexpr std::int64_t kPatternMemoryMax = 8 << 20;
/// In instructions of RE2. In the worst case a letter of a name costs a step through all of them.
constexpr int kPatternSizeMax = 1'024;

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

std::vector<std::string> matching_topics(std::string_view pattern, const Topics& topics) {
    std::vector<std::string> result;
    if (pattern.size() > kPatternBytesMax) return result;
    const Compiled compiled(pattern);
    if (compiled.is_too_large() || !compiled.re2().ok()) return result;
    for (const Topics::Topic& topic : topics.all()) {
        if (re2::RE2::FullMatch(topic.name, compiled.re2())) result.emplace_back(topic.name);
    }
    return result;
}

}  // namespace dlog::coordination
