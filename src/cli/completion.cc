// Completion scripts for bash, zsh and fish.
#include <algorithm>
#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/help.h"

namespace dlog::cli {

namespace {

std::string first_word(const std::string& name) {
    return name.substr(0, name.find(' '));
}

/// The words that can follow `dlog`.
std::vector<std::string> first_words() {
    std::vector<std::string> words;
    for (const Command& command : commands()) {
        std::string word = first_word(command.name);
        if (std::find(words.begin(), words.end(), word) == words.end()) {
            words.push_back(std::move(word));
        }
    }
    words.emplace_back("help");
    return words;
}

/// The words that can follow `dlog WORD`.
std::vector<std::string> second_words(const std::string& word) {
    std::vector<std::string> words;
    for (const Command& command : commands()) {
        if (command.name.starts_with(word + " ")) {
            words.push_back(command.name.substr(word.size() + 1));
        }
    }
    return words;
}

std::string joined(const std::vector<std::string>& words, std::string_view between) {
    std::string out;
    for (const std::string& word : words) {
        if (!out.empty()) out += between;
        out += word;
    }
    return out;
}

std::vector<std::string> option_words(const Command& command) {
    std::vector<std::string> words;
    for (const Option& option : command.options) {
        words.push_back((option.is_on_by_default ? "--no-" : "--") + option.name);
    }
    for (const Option& option : common_options()) words.push_back("--" + option.name);
    return words;
}

std::string spaced(std::string choices) {
    std::replace(choices.begin(), choices.end(), '|', ' ');
    return choices;
}

bool has_second_words(const Command& command) {
    return command.name.find(' ') != std::string::npos;
}

/// Cases on the value of `$command` for bash: what its options are, and what values they take.
std::string bash_cases() {
    std::string out;
    for (const Command& command : commands()) {
        out += "        '" + command.name + "')\n            case \"$previous\" in\n";
        for (const Option& option : command.options) {
            if (option.choices.empty()) continue;
            out += "                --" + option.name + ") COMPREPLY=($(compgen -W '" +
                   spaced(option.choices) + "' -- \"$current\")); return ;;\n";
        }
        out += "            esac\n            options='" + joined(option_words(command), " ") +
               "' ;;\n";
    }
    return out;
}

std::string bash_script() {
    std::string out =
        "# bash completion for dlog\n_dlog() {\n"
        "    local current=\"${COMP_WORDS[COMP_CWORD]}\" previous=\"${COMP_WORDS[COMP_CWORD-1]}\"\n"
        "    local options='' command=\"${COMP_WORDS[1]}\"\n"
        "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
        "        COMPREPLY=($(compgen -W '" +
        joined(first_words(), " ") +
        " --help --version' -- \"$current\")); return\n    fi\n    case \"$command\" in\n";
    std::vector<std::string> families;
    for (const Command& command : commands()) {
        if (!has_second_words(command)) continue;
        const std::string word = first_word(command.name);
        if (std::find(families.begin(), families.end(), word) != families.end()) continue;
        families.push_back(word);
        out += "        " + word + ")\n            if [ \"$COMP_CWORD\" -eq 2 ]; then\n" +
               "                COMPREPLY=($(compgen -W '" + joined(second_words(word), " ") +
               "' -- \"$current\")); return\n            fi\n" +
               "            command=\"$command ${COMP_WORDS[2]}\" ;;\n";
    }
    out +=
        "        completion) COMPREPLY=($(compgen -W 'bash zsh fish' -- \"$current\")); return "
        ";;\n";
    out += "    esac\n    case \"$command\" in\n" + bash_cases() + "    esac\n";
    out +=
        "    if [[ \"$current\" == -* ]]; then\n"
        "        COMPREPLY=($(compgen -W \"$options\" -- \"$current\"))\n"
        "    else\n        COMPREPLY=($(compgen -f -- \"$current\"))\n    fi\n}\n"
        "complete -o filenames -F _dlog dlog\n";
    return out;
}

/// Text inside single quotes of zsh's and fish's option descriptions.
std::string escaped(std::string_view text, std::string_view special) {
    std::string out;
    for (const char c : text) {
        if (c == '\'') {
            out += "'\\''";
            continue;
        }
        if (special.find(c) != std::string_view::npos) out += '\\';
        out += c;
    }
    return out;
}

std::string zsh_arguments(const Command& command) {
    std::string out = "_arguments";
    auto append = [&out](const Option& option) {
        out += " \\\n                '--";
        out += option.is_on_by_default ? "no-" + option.name : option.name;
        out += "[" + escaped(option.documentation, "[]:\\") + "]";
        if (!option.value_name.empty()) {
            out += ":" + escaped(option.value_name, ":[]\\") + ":";
            out += option.choices.empty() ? "_files" : "(" + spaced(option.choices) + ")";
        }
        out += "'";
    };
    for (const Option& option : command.options) append(option);
    for (const Option& option : common_options()) append(option);
    return out + " \\\n                '*:file:_files'";
}

std::string zsh_script() {
    std::string out =
        "#compdef dlog\n_dlog() {\n    local command=\"$words[2]\"\n"
        "    if (( CURRENT == 2 )); then compadd -- " +
        joined(first_words(), " ") + " --help --version; return; fi\n    case \"$command\" in\n";
    std::vector<std::string> families;
    for (const Command& command : commands()) {
        if (!has_second_words(command)) continue;
        const std::string word = first_word(command.name);
        if (std::find(families.begin(), families.end(), word) != families.end()) continue;
        families.push_back(word);
        out += "        " + word + ") if (( CURRENT == 3 )); then compadd -- " +
               joined(second_words(word), " ") +
               "; return; fi; command=\"$command $words[3]\"; shift words; (( CURRENT-- )) ;;\n";
    }
    out += "        completion) compadd -- bash zsh fish; return ;;\n    esac\n";
    out += "    shift words; (( CURRENT-- ))\n    case \"$command\" in\n";
    for (const Command& command : commands()) {
        out += "        '" + command.name + "')\n            " + zsh_arguments(command) + " ;;\n";
    }
    out +=
        "    esac\n}\nif [ \"$funcstack[1]\" = _dlog ]; then _dlog \"$@\"; else compdef _dlog "
        "dlog; fi\n";
    return out;
}

std::string fish_condition(const Command& command) {
    const std::string word = first_word(command.name);
    std::string condition = "__fish_seen_subcommand_from " + word;
    if (has_second_words(command)) {
        condition += "; and __fish_seen_subcommand_from " + command.name.substr(word.size() + 1);
    }
    return condition;
}

std::string fish_script() {
    std::string out = "# fish completion for dlog\n";
    for (const std::string& word : first_words()) {
        out += "complete -c dlog -n __fish_use_subcommand -a " + word + "\n";
        const std::vector<std::string> second = second_words(word);
        if (second.empty()) continue;
        out += "complete -c dlog -f -n '__fish_seen_subcommand_from " + word +
               "; and not __fish_seen_subcommand_from " + joined(second, " ") + "' -a '" +
               joined(second, " ") + "'\n";
    }
    out += "complete -c dlog -f -n '__fish_seen_subcommand_from completion' -a 'bash zsh fish'\n";
    for (const Command& command : commands()) {
        for (const Option& option : command.options) {
            out += "complete -c dlog -n '" + fish_condition(command) + "' -l ";
            out += option.is_on_by_default ? "no-" + option.name : option.name;
            if (option.letter != 0) out += std::string(" -s ") + option.letter;
            if (!option.value_name.empty()) out += " -r";
            if (!option.choices.empty()) out += " -f -a '" + spaced(option.choices) + "'";
            out += " -d '" + escaped(option.documentation, "\\") + "'\n";
        }
    }
    return out;
}

}  // namespace

std::optional<std::string> completion_script(std::string_view shell) {
    if (shell == "bash") return bash_script();
    if (shell == "zsh") return zsh_script();
    if (shell == "fish") return fish_script();
    return std::nullopt;
}

}  // namespace dlog::cli
