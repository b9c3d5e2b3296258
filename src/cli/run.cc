#include "cli/run.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cstdio>
#include <string_view>
#include <vector>

#include "cli/bench.h"
#include "cli/command.h"
#include "cli/config.h"
#include "cli/consume.h"
#include "cli/exit_code.h"
#include "cli/group.h"
#include "cli/help.h"
#include "cli/log_check.h"
#include "cli/log_dump.h"
#include "cli/parse.h"
#include "cli/produce.h"
#include "cli/quota.h"
#include "cli/session.h"
#include "cli/top.h"
#include "cli/topic.h"
#include "server/config.h"
#include "server/serve.h"

extern char** environ;

namespace dlog::cli {

namespace {

std::vector<server::NamedValue> environment() {
    std::vector<server::NamedValue> variables;
    for (char** variable = environ; variable != nullptr && *variable != nullptr; ++variable) {
        const std::string_view text = *variable;
        const std::size_t equals = text.find('=');
        if (equals == std::string_view::npos) continue;
        variables.emplace_back(text.substr(0, equals), text.substr(equals + 1));
    }
    return variables;
}

int serve(const Invocation& invocation) {
    std::vector<server::NamedValue> flags;
    for (const auto& [name, value] : invocation.options) {
        if (name != "print-config") flags.emplace_back(name, value);
    }
    const auto config = server::load_config(flags, environment());
    if (!config) return tell(kUsage, config.error().message);
    if (invocation.is_on("print-config")) {
        for (const std::string& warning : config->warnings) static_cast<void>(tell(kOk, warning));
        return write_out(config->as_toml()) ? kOk : kFailed;
    }
    switch (server::serve(*config)) {
        case server::ServeOutcome::kStopped:
            return kOk;
        case server::ServeOutcome::kBadConfig:
            return kUsage;
        case server::ServeOutcome::kFailed:
            return kFailed;
    }
    return kFailed;
}

int dump(const Invocation& invocation) {
    const DumpOptions options{.shows_records = invocation.is_on("records"),
                              .shows_values = invocation.is_on("values"),
                              .is_json = invocation.is_on("json")};
    int exit_code = kOk;
    for (const std::string& path : invocation.arguments) {
        if (invocation.arguments.size() > 1 && !options.is_json) {
            std::printf("%s:\n", path.c_str());
        }
        const auto is_intact = dump_file(path, options);
        if (!is_intact) {
            exit_code = tell(kFailed, is_intact.error());
        } else if (!*is_intact) {
            exit_code = kFailed;
        }
    }
    std::fflush(stdout);
    return exit_code;
}

int check(const Invocation& invocation) {
    const std::string& folder = invocation.arguments.front();
    const std::string owner = server::pid_of_running_node(folder);
    if (!owner.empty()) {
        return tell(kFailed, "a node (process " + owner + ") is using " + folder +
                                 ": stop it before its files are checked");
    }
    const auto report = check_folder(folder);
    if (!report) return tell(kFailed, report.error());
    const bool is_quiet = invocation.is_on("quiet");
    const std::string text =
        invocation.is_on("json") ? check_json(*report, is_quiet) : check_text(*report, is_quiet);
    static_cast<void>(write_out(text));
    return report->has_damage() ? kFailed : kOk;
}

int completion(const Invocation& invocation) {
    const auto script = completion_script(invocation.arguments.front());
    if (!script) {
        return tell(kUsage, "no completion for \"" + invocation.arguments.front() +
                                "\"; there is one for bash, zsh and fish");
    }
    return write_out(*script) ? kOk : kFailed;
}

struct Handler {
    std::string_view command;
    int (*run)(const Invocation&);
};

constexpr Handler kHandlers[] = {
    {"serve", serve},
    {"topic create", topic_create},
    {"topic list", topic_list},
    {"topic describe", topic_describe},
    {"topic alter", topic_alter},
    {"topic delete", topic_delete},
    {"config get", config_get},
    {"config set", config_set},
    {"group list", group_list},
    {"group describe", group_describe},
    {"group reset", group_reset},
    {"group delete", group_delete},
    {"produce", produce},
    {"consume", consume},
    {"quota list", quota_list},
    {"quota set", quota_set},
    {"quota delete", quota_delete},
    {"bench produce", bench_produce},
    {"bench consume", bench_consume},
    {"bench e2e", bench_e2e},
    {"top", top},
    {"log dump", dump},
    {"log check", check},
    {"completion", completion},
};

}  // namespace

int run(std::span<const std::string> words) {
    const auto invocation = parse(words);
    if (!invocation) {
        const UsageError& error = invocation.error();
        const std::string help =
            error.command == nullptr ? "dlog help" : "dlog help " + error.command->name;
        return tell(kUsage, error.message + "\n  `" + help + "` says more");
    }
    switch (invocation->kind) {
        case Invocation::Kind::kVersion:
            return write_out(version_text()) ? kOk : kFailed;
        case Invocation::Kind::kHelp: {
            const bool is_whole = invocation->command == nullptr;
            return write_out(is_whole ? program_help() : command_help(*invocation->command))
                       ? kOk
                       : kFailed;
        }
        case Invocation::Kind::kRun:
            break;
    }
    for (const Handler& handler : kHandlers) {
        if (handler.command == invocation->command->name) return handler.run(*invocation);
    }
    return tell(kFailed, "the command has no body");
}

}  // namespace dlog::cli
