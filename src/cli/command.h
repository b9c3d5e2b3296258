/// The one table of what `dlog` can be told. Parsing, help, shell completion and the documentation
/// are made from it.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace dlog::cli {

/// `--name VALUE`, or a switch when `value_name` is empty.
struct Option {
    std::string name;
    char letter = 0;  ///< `-x`, or 0 for none
    std::string value_name;
    std::string documentation;
    std::string default_value = {};
    std::string choices = {};  ///< "a|b|c"; empty allows anything
    bool is_repeated = false;
    /// A switch that is on by itself; it is turned off by `--no-name`.
    bool is_on_by_default = false;
};

/// An argument without a name.
struct Argument {
    std::string name;
    std::string documentation;
    bool is_required = true;
    bool is_repeated = false;
};

struct Example {
    std::string line;
    std::string documentation;
};

struct Command {
    std::string name;     ///< "serve", "topic create"
    std::string summary;  ///< one line
    std::string description;
    std::vector<Argument> arguments;
    std::vector<Option> options;
    std::vector<Example> examples;
};

/// Every command, in the order in which help lists them. Made at the first call.
[[nodiscard]] const std::vector<Command>& commands();

/// nullptr when there is none of this name.
[[nodiscard]] const Command* find_command(std::string_view name);

/// Options that every command has.
[[nodiscard]] const std::vector<Option>& common_options();

}  // namespace dlog::cli
