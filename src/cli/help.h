/// Help and shell completion, made from the table of commands.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace dlog::cli {

struct Command;

[[nodiscard]] std::string program_help();
[[nodiscard]] std::string command_help(const Command& command);
[[nodiscard]] std::string version_text();

/// The completion script for "bash", "zsh" or "fish"; nothing for another shell.
[[nodiscard]] std::optional<std::string> completion_script(std::string_view shell);

}  // namespace dlog::cli
