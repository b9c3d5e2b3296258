#include "cli/help.h"

#include "cli/command.h"

#ifndef DLOG_VERSION
#error "the build defines DLOG_VERSION"
#endif

namespace dlog::cli {

namespace {

constexpr std::size_t kLineWidth = 100;

std::string usage_line(const Command& command) {
    std::string line = "dlog " + command.name;
    for (const Argument& argument : command.arguments) {
        std::string shown = argument.name;
        if (argument.is_repeated) shown += "...";
        line += argument.is_required ? " " + shown : " [" + shown + "]";
    }
    return line + " [options]";
}

std::string option_left_side(const Option& option) {
    std::string left = option.letter != 0 ? std::string("-") + option.letter + ", " : "    ";
    left += option.is_on_by_default ? "--[no-]" + option.name : "--" + option.name;
    if (!option.value_name.empty()) left += " " + option.value_name;
    return left;
}

/// `text` wrapped at the line width, its lines beginning at `indent`; the first continues where
/// `out` stands.
void append_wrapped(std::string& out, std::string_view text, std::size_t indent) {
    std::size_t column = indent;
    while (!text.empty()) {
        const std::size_t space = text.find(' ');
        const std::string_view word = text.substr(0, space);
        if (column > indent && column + 1 + word.size() > kLineWidth) {
            out += '\n' + std::string(indent, ' ');
            column = indent;
        } else if (column > indent) {
            out += ' ';
            ++column;
        }
        out += word;
        column += word.size();
        text = space == std::string_view::npos ? std::string_view() : text.substr(space + 1);
    }
    out += '\n';
}

void append_option(std::string& out, const Option& option, std::size_t indent) {
    std::string left = "  " + option_left_side(option);
    if (left.size() + 2 > indent) {
        out += left + '\n' + std::string(indent, ' ');
    } else {
        out += left + std::string(indent - left.size(), ' ');
    }
    std::string text = option.documentation;
    if (!option.choices.empty() && option.value_name != option.choices) {
        text += " One of " + option.choices + ".";
    }
    if (!option.default_value.empty()) text += " [" + option.default_value + "]";
    append_wrapped(out, text, indent);
}

}  // namespace

std::string program_help() {
    std::string out =
        "dlog: a distributed log that Kafka clients can use\n\n"
        "Usage: dlog [command] [options]\n\nCommands:\n";
    for (const Command& command : commands()) {
        out += "  " + command.name + std::string(18 - command.name.size(), ' ') + command.summary +
               '\n';
    }
    out +=
        "\n`dlog help COMMAND` shows a command's options and examples.\n"
        "Exit codes: 0 done, 1 failed or damage found, 2 wrong usage or configuration, 3 no broker "
        "answered.\n";
    return out;
}

std::string command_help(const Command& command) {
    std::string out = command.summary + "\n\nUsage: " + usage_line(command) + '\n';
    if (!command.description.empty()) out += '\n' + command.description + '\n';
    if (!command.arguments.empty()) out += "\nArguments:\n";
    for (const Argument& argument : command.arguments) {
        out += "  " + argument.name + std::string(10 - argument.name.size(), ' ') +
               argument.documentation + '\n';
    }
    out += "\nOptions:\n";
    constexpr std::size_t kIndent = 34;
    for (const Option& option : command.options) append_option(out, option, kIndent);
    for (const Option& option : common_options()) append_option(out, option, kIndent);
    if (!command.examples.empty()) out += "\nExamples:\n";
    for (const Example& example : command.examples) {
        out += "  # " + example.documentation + "\n  " + example.line + '\n';
    }
    return out;
}

std::string version_text() {
    return std::string("dlog ") + DLOG_VERSION + '\n';
}

}  // namespace dlog::cli
