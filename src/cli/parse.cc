#include "cli/parse.h"

#include <charconv>

#include "base/assert.h"
#include "base/nearest.h"
#include "base/result.h"
#include "cli/command.h"

namespace dlog::cli {

namespace {

template <class T>
using Parsed = std::expected<T, UsageError>;

const Option* find_option(const Command& command, std::string_view name) {
    for (const Option& option : command.options) {
        if (option.name == name) return &option;
    }
    for (const Option& option : common_options()) {
        if (option.name == name) return &option;
    }
    return nullptr;
}

const Option* find_letter(const Command& command, char letter) {
    for (const Option& option : command.options) {
        if (option.letter == letter) return &option;
    }
    for (const Option& option : common_options()) {
        if (option.letter == letter) return &option;
    }
    return nullptr;
}

std::string did_you_mean(std::string_view wanted, std::span<const std::string> names,
                         std::string_view before) {
    const std::string_view nearest = nearest_name(wanted, names);
    if (nearest.empty()) return {};
    return "; did you mean " + std::string(before) + std::string(nearest) + "?";
}

UsageError unknown_option(const Command& command, const std::string& name) {
    std::vector<std::string> names;
    for (const Option& option : command.options) names.push_back(option.name);
    for (const Option& option : common_options()) names.push_back(option.name);
    return {"unknown option --" + name + did_you_mean(name, names, "--"), &command};
}

bool is_choice(std::string_view choices, std::string_view value) {
    while (!choices.empty()) {
        const std::size_t end = choices.find('|');
        if (choices.substr(0, end) == value) return true;
        choices = end == std::string_view::npos ? std::string_view() : choices.substr(end + 1);
    }
    return false;
}

/// Walks the words behind a command's name.
class Parser {
  public:
    Parser(const Command& command, std::span<const std::string> words)
        : command_(command), words_(words) {
        invocation_.command = &command;
    }

    [[nodiscard]] Parsed<Invocation> run() {
        bool only_arguments = false;
        while (at_ < words_.size()) {
            const std::string& word = words_[at_++];
            if (only_arguments || word.size() < 2 || word[0] != '-') {
                invocation_.arguments.push_back(word);
            } else if (word == "--") {
                only_arguments = true;
            } else if (word[1] == '-') {
                DLOG_TRY(take_long(word.substr(2)));
            } else {
                DLOG_TRY(take_letters(std::string_view(word).substr(1)));
            }
        }
        if (invocation_.is_on("help")) {
            invocation_.kind = Invocation::Kind::kHelp;
        } else if (invocation_.is_on("version")) {
            invocation_.kind = Invocation::Kind::kVersion;
        } else {
            DLOG_TRY(check_arguments());
        }
        return std::move(invocation_);
    }

  private:
    [[nodiscard]] Parsed<void> take_long(std::string word) {
        const std::size_t equals = word.find('=');
        const std::string name = word.substr(0, equals);
        const Option* option = find_option(command_, name);
        if (option == nullptr && name.starts_with("no-")) {
            const Option* positive = find_option(command_, name.substr(3));
            if (positive != nullptr && positive->is_on_by_default) {
                invocation_.options.emplace_back(positive->name, "false");
                return {};
            }
        }
        if (option == nullptr) return unexpected(unknown_option(command_, name));
        if (option->value_name.empty()) {
            if (equals != std::string::npos) {
                return unexpected(UsageError{"--" + name + " takes no value", &command_});
            }
            invocation_.options.emplace_back(name, "true");
            return {};
        }
        if (equals != std::string::npos) return take_value(*option, word.substr(equals + 1));
        return take_next_word(*option, "--" + name);
    }

    /// `-q`, `-qx`, `-p 3`, `-p3`.
    [[nodiscard]] Parsed<void> take_letters(std::string_view letters) {
        while (!letters.empty()) {
            const std::string shown = std::string("-") + letters[0];
            const Option* option = find_letter(command_, letters[0]);
            if (option == nullptr) {
                return unexpected(UsageError{"unknown option " + shown, &command_});
            }
            letters.remove_prefix(1);
            if (!option->value_name.empty()) {
                if (letters.empty()) return take_next_word(*option, shown);
                return take_value(*option, std::string(letters));
            }
            invocation_.options.emplace_back(option->name, "true");
        }
        return {};
    }

    /// The word behind an option that wants a value is that value, also when it begins with '-'
    /// (`--from -1h`).
    [[nodiscard]] Parsed<void> take_next_word(const Option& option, const std::string& shown) {
        if (at_ == words_.size()) {
            return unexpected(UsageError{
                shown + " needs a value: " + shown + " " + option.value_name, &command_});
        }
        return take_value(option, words_[at_++]);
    }

    [[nodiscard]] Parsed<void> take_value(const Option& option, std::string value) {
        if (!option.choices.empty() && !is_choice(option.choices, value)) {
            return unexpected(UsageError{"--" + option.name + " must be one of " + option.choices +
                                             ", not \"" + value + "\"",
                                         &command_});
        }
        invocation_.options.emplace_back(option.name, std::move(value));
        return {};
    }

    [[nodiscard]] Parsed<void> check_arguments() const {
        std::size_t most = 0;
        for (const Argument& argument : command_.arguments) {
            if (argument.is_required && invocation_.arguments.size() <= most) {
                return unexpected(UsageError{"`dlog " + command_.name + "` needs " + argument.name +
                                                 ": " + argument.documentation,
                                             &command_});
            }
            most = argument.is_repeated ? SIZE_MAX : most + 1;
            if (argument.is_repeated) break;
        }
        if (invocation_.arguments.size() > most) {
            return unexpected(UsageError{"`dlog " + command_.name +
                                             "` does not know what to do with \"" +
                                             invocation_.arguments[most] + "\"",
                                         &command_});
        }
        return {};
    }

    const Command& command_;
    std::span<const std::string> words_;
    std::size_t at_ = 0;
    Invocation invocation_;
};

/// The command that the first one or two words name, and how many words that took.
struct Named {
    const Command* command = nullptr;
    std::size_t words = 0;
};

Named named_command(std::span<const std::string> words) {
    if (words.size() >= 2) {
        if (const Command* found = find_command(words[0] + " " + words[1])) return {found, 2};
    }
    if (!words.empty()) {
        if (const Command* found = find_command(words[0])) return {found, 1};
    }
    return {};
}

UsageError unknown_command(std::span<const std::string> words) {
    // "topic" alone, or "topic crate": name the ones that begin alike.
    std::vector<std::string> family;
    std::vector<std::string> names;
    for (const Command& command : commands()) {
        names.push_back(command.name);
        if (command.name.starts_with(words[0] + " ")) {
            family.push_back(command.name.substr(words[0].size() + 1));
        }
    }
    if (family.empty()) {
        return {"unknown command \"" + words[0] + "\"" + did_you_mean(words[0], names, "dlog ")};
    }
    if (words.size() > 1 && !words[1].starts_with('-')) {
        const std::string hint = did_you_mean(words[1], family, "dlog " + words[0] + " ");
        if (!hint.empty()) return {"unknown command \"" + words[0] + " " + words[1] + "\"" + hint};
    }
    std::string message = "`dlog " + words[0] + "` needs one of:";
    for (const std::string& name : family) message += " " + name;
    return {std::move(message)};
}

/// `dlog help topic create`.
Parsed<Invocation> parse_help(std::span<const std::string> words) {
    Invocation help{.kind = Invocation::Kind::kHelp};
    if (words.empty()) return help;
    help.command = named_command(words).command;
    if (help.command == nullptr) return unexpected(unknown_command(words));
    return help;
}

}  // namespace

std::string Invocation::option(std::string_view name) const {
    for (auto at = options.rbegin(); at != options.rend(); ++at) {
        if (at->first == name) return at->second;
    }
    DLOG_ASSERT(command != nullptr);
    const Option* described = find_option(*command, name);
    DLOG_ASSERT(described != nullptr, name);
    if (described->is_on_by_default) return "true";
    return described->default_value;
}

bool Invocation::is_given(std::string_view name) const {
    for (const auto& [given, value] : options) {
        if (given == name) return true;
    }
    return false;
}

std::vector<std::string> Invocation::all(std::string_view name) const {
    std::vector<std::string> values;
    for (const auto& [given, value] : options) {
        if (given == name) values.push_back(value);
    }
    return values;
}

std::expected<Invocation, UsageError> parse(std::span<const std::string> words) {
    if (!words.empty()) {
        if (words[0] == "--help" || words[0] == "-h")
            return Invocation{.kind = Invocation::Kind::kHelp};
        if (words[0] == "--version") return Invocation{.kind = Invocation::Kind::kVersion};
        if (words[0] == "help") return parse_help(words.subspan(1));
    }
    Named named = named_command(words);
    if (named.command == nullptr && (words.empty() || words[0].starts_with('-'))) {
        named = {find_command("serve"), 0};
    }
    if (named.command == nullptr) return unexpected(unknown_command(words));
    return Parser(*named.command, words.subspan(named.words)).run();
}

std::expected<std::int64_t, std::string> whole_number(std::string_view name, std::string_view text,
                                                      std::int64_t least, std::int64_t greatest) {
    std::int64_t number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc() || end != text.data() + text.size() || number < least ||
        number > greatest) {
        return unexpected("--" + std::string(name) + " must be a whole number from " +
                          std::to_string(least) + " to " + std::to_string(greatest) + ", not \"" +
                          std::string(text) + "\"");
    }
    return number;
}

}  // namespace dlog::cli
