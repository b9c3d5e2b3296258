/// Turns the words of a command line into a command with its options, checked against the table of
/// command.h.
#pragma once

#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace dlog::cli {

struct Command;

/// What is wrong with a command line, in words that say what to do.
struct UsageError {
    std::string message;
    /// Whose help would say more; nullptr for the program's.
    const Command* command = nullptr;
};

struct Invocation {
    enum class Kind { kRun, kHelp, kVersion };
    Kind kind = Kind::kRun;
    /// nullptr only for the program's own help and version.
    const Command* command = nullptr;
    /// Options in the order given; a switch has "true" or "false".
    std::vector<std::pair<std::string, std::string>> options;
    std::vector<std::string> arguments;

    /// The last value given, else the table's default, else empty.
    [[nodiscard]] std::string option(std::string_view name) const;
    [[nodiscard]] bool is_given(std::string_view name) const;
    [[nodiscard]] bool is_on(std::string_view name) const { return option(name) == "true"; }
    [[nodiscard]] std::vector<std::string> all(std::string_view name) const;
};

/// `words` are argv without the program's name. No command at all means `serve`.
[[nodiscard]] std::expected<Invocation, UsageError> parse(std::span<const std::string> words);

/// A whole number of an option within limits, or what to tell the user.
[[nodiscard]] std::expected<std::int64_t, std::string> whole_number(std::string_view name,
                                                                    std::string_view text,
                                                                    std::int64_t least,
                                                                    std::int64_t greatest);

}  // namespace dlog::cli
