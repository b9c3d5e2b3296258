/// From the words of a command line to the exit code.
#pragma once

#include <span>
#include <string>

namespace dlog::cli {

/// `words` are argv without the program's name.
[[nodiscard]] int run(std::span<const std::string> words);

}  // namespace dlog::cli
