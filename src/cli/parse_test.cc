#include "cli/parse.h"

#include <doctest/doctest.h>

#include <cstdio>

#include "cli/command.h"
#include "cli/help.h"

using namespace dlog::cli;

namespace {

using Words = std::vector<std::string>;

Invocation parsed(const Words& words) {
    const auto invocation = parse(words);
    REQUIRE_MESSAGE(invocation.has_value(), invocation.error().message);
    return *invocation;
}

std::string refused(const Words& words) {
    const auto invocation = parse(words);
    REQUIRE(!invocation.has_value());
    return invocation.error().message;
}

/// Whether `program` (a shell) finds the script's syntax right; true as well when the shell is not
/// installed.
bool shell_accepts(const std::string& shell, const std::string& script) {
    if (std::system(("command -v " + shell + " >/dev/null 2>&1").c_str()) != 0) return true;
    std::FILE* pipe = ::popen((shell + " -n /dev/stdin").c_str(), "w");
    REQUIRE(pipe != nullptr);
    std::fwrite(script.data(), 1, script.size(), pipe);
    return ::pclose(pipe) == 0;
}

}  // namespace

TEST_CASE("no command at all runs a node, with the node's flags") {
    CHECK(parsed({}).command->name == "serve");
    const Invocation invocation = parsed({"--data-dir", "/var/lib/dlog", "--cores=2"});
    CHECK(invocation.command->name == "serve");
    CHECK(invocation.option("data-dir") == "/var/lib/dlog");
    CHECK(invocation.option("cores") == "2");
    CHECK(invocation.option("node-id") == "1");
    CHECK(invocation.is_given("cores"));
    CHECK_FALSE(invocation.is_given("node-id"));
}

TEST_CASE("commands of two words take options before, between and behind their arguments") {
    const Invocation invocation =
        parsed({"topic", "create", "-p3", "orders", "--config", "a=1", "-c", "b=2", "payments"});
    CHECK(invocation.command->name == "topic create");
    CHECK(invocation.option("partitions") == "3");
    CHECK(invocation.all("config") == Words{"a=1", "b=2"});
    CHECK(invocation.arguments == Words{"orders", "payments"});
}

TEST_CASE("the word behind an option is its value even when it begins with a dash") {
    CHECK(parsed({"consume", "t", "--from", "-1h"}).option("from") == "-1h");
    CHECK(parsed({"produce", "t", "--key-separator", "-"}).option("key-separator") == "-");
    CHECK(parsed({"produce", "--", "--strange-topic"}).arguments == Words{"--strange-topic"});
}

TEST_CASE("a switch that is on by default is turned off by --no-") {
    CHECK(parsed({"produce", "t"}).is_on("idempotent"));
    CHECK_FALSE(parsed({"produce", "t", "--no-idempotent"}).is_on("idempotent"));
    CHECK(refused({"produce", "t", "--no-quiet"}).starts_with("unknown option --no-quiet"));
}

TEST_CASE("letters can stand together") {
    const Invocation invocation = parsed({"consume", "t", "-Fn5"});
    CHECK(invocation.is_on("follow"));
    CHECK(invocation.option("count") == "5");
    CHECK(refused({"consume", "t", "-Q"}) == "unknown option -Q");
}

TEST_CASE("errors name what was meant") {
    CHECK(refused({"prodcue", "t"}) == "unknown command \"prodcue\"; did you mean dlog produce?");
    CHECK(refused({"topic", "crate", "t"}) ==
          "unknown command \"topic crate\"; did you mean dlog topic create?");
    CHECK(refused({"topic"}) == "`dlog topic` needs one of: create list describe alter delete");
    CHECK(refused({"consume", "t", "--folow"}) == "unknown option --folow; did you mean --follow?");
    CHECK(refused({"--data-dri", "x"}) == "unknown option --data-dri; did you mean --data-dir?");
    CHECK(refused({"consume"}) == "`dlog consume` needs TOPIC: the topic to read");
    CHECK(refused({"consume", "a", "b"}) == "`dlog consume` does not know what to do with \"b\"");
    CHECK(refused({"consume", "a", "--count"}) == "--count needs a value: --count N");
    CHECK(refused({"produce", "a", "--acks", "2"}) == "--acks must be one of 0|1|all, not \"2\"");
    CHECK(refused({"produce", "a", "--quiet=yes"}) == "--quiet takes no value");
}

TEST_CASE("help is asked for in any of the usual ways") {
    CHECK(parsed({"--help"}).kind == Invocation::Kind::kHelp);
    CHECK(parsed({"help"}).command == nullptr);
    CHECK(parsed({"help", "topic", "create"}).command->name == "topic create");
    CHECK(parsed({"consume", "--help"}).kind == Invocation::Kind::kHelp);
    CHECK(parsed({"--version"}).kind == Invocation::Kind::kVersion);
    CHECK(refused({"help", "fly"}).starts_with("unknown command"));
}

TEST_CASE("every command has a summary, examples that parse, and help that names all its options") {
    for (const Command& command : commands()) {
        CAPTURE(command.name);
        CHECK(!command.summary.empty());
        CHECK(!command.examples.empty());
        const std::string help = command_help(command);
        for (const Option& option : command.options) {
            CAPTURE(option.name);
            CHECK(help.find(option.name) != std::string::npos);
            CHECK(!option.documentation.empty());
        }
        CHECK(program_help().find("  " + command.name) != std::string::npos);
    }
}

TEST_CASE("no command has two options of one name or letter") {
    for (const Command& command : commands()) {
        std::vector<Option> all = command.options;
        all.insert(all.end(), common_options().begin(), common_options().end());
        for (std::size_t i = 0; i < all.size(); ++i) {
            for (std::size_t j = i + 1; j < all.size(); ++j) {
                CAPTURE(all[i].name);
                CHECK(all[i].name != all[j].name);
                CHECK((all[i].letter == 0 || all[i].letter != all[j].letter));
            }
        }
    }
}

TEST_CASE("completion scripts name every command and option and are right for their shell") {
    for (const std::string shell : {"bash", "zsh", "fish"}) {
        CAPTURE(shell);
        const auto script = completion_script(shell);
        REQUIRE(script.has_value());
        for (const Command& command : commands()) {
            for (const Option& option : command.options) {
                CHECK(script->find(option.name) != std::string::npos);
            }
        }
        CHECK(shell_accepts(shell, *script));
    }
    CHECK_FALSE(completion_script("powershell").has_value());
}

TEST_CASE("whole numbers are checked against their limits") {
    CHECK(whole_number("count", "5", 1, 10).value() == 5);
    CHECK(whole_number("count", "0", 1, 10).error() ==
          "--count must be a whole number from 1 to 10, not \"0\"");
    CHECK_FALSE(whole_number("count", "5x", 1, 10).has_value());
}
