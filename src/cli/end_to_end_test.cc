#include <doctest/doctest.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>
#include <tuple>
#include <vector>

#include "cli/exit_code.h"
#include "cli/run.h"

namespace dlog::cli {
namespace {

namespace fs = std::filesystem;
using Words = std::vector<std::string>;

std::string contents(const std::string& path) {
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
}

/// A process of its own that runs one command. The test program itself never starts a thread, so
/// that forking is safe.
struct Process {
    Process(const Words& words, const std::string& input, const std::string& output,
            const std::string& errors) {
        std::fflush(nullptr);
        pid = ::fork();
        REQUIRE(pid >= 0);
        if (pid != 0) return;
        redirect(input, O_RDONLY, STDIN_FILENO);
        redirect(output, O_WRONLY | O_CREAT | O_TRUNC, STDOUT_FILENO);
        redirect(errors, O_WRONLY | O_CREAT | O_TRUNC, STDERR_FILENO);
        ::_exit(run(words));
    }
    static void redirect(const std::string& path, int flags, int fd) {
        const int file = ::open(path.c_str(), flags, 0600);
        if (file < 0 || ::dup2(file, fd) < 0) ::_exit(99);
    }
    /// The exit code, or 128 and the signal's number.
    int wait() {
        int status = 0;
        REQUIRE(::waitpid(pid, &status, 0) == pid);
        pid = -1;
        return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    ~Process() {
        if (pid <= 0) return;
        ::kill(pid, SIGKILL);
        ::waitpid(pid, nullptr, 0);
    }
    Process(const Process&) = delete;
    Process& operator=(const Process&) = delete;
    pid_t pid = -1;
};

struct Outcome {
    int exit_code = 0;
    std::string output;
    std::string errors;
};

/// A folder of its own, a node in it, and commands that talk to it.
struct Fixture {
    Fixture() {
        char name[] = "/tmp/dlog-end-to-end-XXXXXX";
        REQUIRE(::mkdtemp(name) != nullptr);
        folder = name;
    }
    ~Fixture() {
        node.reset();
        fs::remove_all(folder);
    }

    void start(Words more = {}) {
        Words words = {"serve",  "--data-dir",  folder + "/data", "--listen", "127.0.0.1:0",
                       "--http", "127.0.0.1:0", "--cores",        "2"};
        words.insert(words.end(), more.begin(), more.end());
        fs::remove(folder + "/log");
        node = std::make_unique<Process>(words, "/dev/null", folder + "/out", folder + "/log");
        for (int i = 0; i < 400; ++i) {
            const std::string log = contents(folder + "/log");
            const std::size_t ready = log.find("ready");
            if (ready != std::string::npos && log.find('\n', ready) != std::string::npos) {
                const auto field = [&](const std::string& name) {
                    const std::size_t at = log.find(name, ready) + name.size();
                    return log.substr(at, log.find(' ', at) - at);
                };
                address = field("listen=");
                http = field("http=");
                return;
            }
            ::usleep(25'000);
        }
        FAIL(contents(folder + "/log"));
    }

    Outcome command(Words words, const std::string& input = "") {
        const std::string prefix = folder + "/command";
        std::ofstream(prefix + ".in") << input;
        ::setenv("DLOG_BOOTSTRAP", address.c_str(), 1);
        Process process(words, prefix + ".in", prefix + ".out", prefix + ".err");
        const int exit_code = process.wait();
        ::unsetenv("DLOG_BOOTSTRAP");
        return {exit_code, contents(prefix + ".out"), contents(prefix + ".err")};
    }

    std::string folder;
    std::string address;
    std::string http;
    std::unique_ptr<Process> node;
};

std::string numbered_lines(int count) {
    std::string text;
    for (int i = 0; i < count; ++i)
        text += "k" + std::to_string(i) + ":v" + std::to_string(i) + "\n";
    return text;
}

std::string sorted(const std::string& text) {
    std::vector<std::string> lines;
    std::stringstream stream(text);
    for (std::string line; std::getline(stream, line);) lines.push_back(line);
    std::sort(lines.begin(), lines.end());
    std::string out;
    for (const std::string& line : lines) out += line + "\n";
    return out;
}

TEST_CASE("a node serves the commands, survives kill -9 and stops in order") {
    Fixture fixture;
    fixture.start();
    Outcome outcome = fixture.command({"topic", "create", "orders", "-p", "3", "-c",
                                       "retention.ms=3600000", "-c", "segment.bytes=32MiB"});
    CHECK_MESSAGE(outcome.exit_code == kOk, outcome.errors);
    CHECK(outcome.output == "created orders\n");
    CHECK(fixture.command({"topic", "list"}).output == "orders\n");

    const std::string lines = numbered_lines(2000);
    for (const std::string& codec : Words{"none", "gzip", "snappy", "lz4", "zstd"}) {
        CAPTURE(codec);
        outcome = fixture.command({"produce", "orders", "-K", ":", "-z", codec}, lines);
        CHECK_MESSAGE(outcome.exit_code == kOk, outcome.errors);
    }
    outcome = fixture.command({"consume", "orders", "--format", "%k:%v\\n"});
    CHECK_MESSAGE(outcome.exit_code == kOk, outcome.errors);
    const std::string all = sorted(lines + lines + lines + lines + lines);
    CHECK((sorted(outcome.output) == all));

    outcome = fixture.command({"topic", "describe", "orders"});
    CHECK(outcome.output.find("partitions=3") != std::string::npos);
    CHECK(outcome.output.find("retention.ms = 3600000") != std::string::npos);
    CHECK(outcome.output.find("segment.bytes = 33554432") != std::string::npos);

    ::kill(fixture.node->pid, SIGKILL);
    CHECK(fixture.node->wait() == 128 + SIGKILL);
    fixture.start();
    outcome = fixture.command({"consume", "orders", "--format", "%k:%v\\n"});
    CHECK((sorted(outcome.output) == all));

    ::kill(fixture.node->pid, SIGTERM);
    CHECK(fixture.node->wait() == kOk);
    outcome = fixture.command({"log", "check", fixture.folder + "/data"});
    CHECK_MESSAGE(outcome.exit_code == kOk, outcome.output);
    CHECK(outcome.output.find("all is well") != std::string::npos);
    outcome = fixture.command({"topic", "list"});
    CHECK(outcome.exit_code == kUnreachable);
    CHECK(outcome.errors.find("`dlog serve` starts one") != std::string::npos);
}

TEST_CASE("consume begins where it is told") {
    Fixture fixture;
    fixture.start();
    CHECK(fixture.command({"topic", "create", "log"}).exit_code == kOk);
    CHECK(fixture.command({"produce", "log", "-H", "a=1"}, "one\ntwo\nthree\nfour").exit_code ==
          kOk);
    CHECK(fixture.command({"consume", "log"}).output == "one\ntwo\nthree\nfour\n");
    CHECK(fixture.command({"consume", "log", "--from", "2"}).output == "three\nfour\n");
    CHECK(fixture.command({"consume", "log", "--from", "end-1"}).output == "four\n");
    CHECK(fixture.command({"consume", "log", "--from", "end"}).output.empty());
    CHECK(fixture.command({"consume", "log", "--from", "-1h", "-n", "1"}).output == "one\n");
    CHECK(fixture
              .command(
                  {"consume", "log", "--from", "2000-01-01", "-p", "0", "--format", "%t/%p/%o/%h "})
              .output == "log/0/0/a=1 log/0/1/a=1 log/0/2/a=1 log/0/3/a=1 ");
    CHECK(fixture.command({"consume", "log", "--from", "2100-01-01"}).output.empty());
    const Outcome wrong = fixture.command({"consume", "log", "--from", "whenever"});
    CHECK(wrong.exit_code == kUsage);
    CHECK(wrong.errors.find("cannot tell where to begin") != std::string::npos);
    const Outcome absent = fixture.command({"consume", "nothing"});
    CHECK(absent.exit_code == kFailed);
    CHECK(absent.errors.find("`dlog topic list`") != std::string::npos);
}

TEST_CASE("a second node on the same folder is refused and names the first one's process") {
    Fixture fixture;
    fixture.start();
    const Outcome second = fixture.command({"serve", "--data-dir", fixture.folder + "/data",
                                            "--listen", "127.0.0.1:0", "--http", "off"});
    CHECK(second.exit_code == kFailed);
    CHECK(second.errors.find("process " + std::to_string(fixture.node->pid)) != std::string::npos);
    const Outcome check = fixture.command({"log", "check", fixture.folder + "/data"});
    CHECK(check.exit_code == kFailed);
    CHECK(check.errors.find(std::to_string(fixture.node->pid)) != std::string::npos);
}

TEST_CASE("a wrong configuration ends with exit code 2 before anything is done") {
    Fixture fixture;
    const std::string file = fixture.folder + "/node.toml";
    std::ofstream(file) << "[log]\nretention.hurs = 3\n";
    Outcome outcome = fixture.command({"serve", "--config", file});
    CHECK(outcome.exit_code == kUsage);
    CHECK(outcome.errors.find(file + ":2: unknown key \"log.retention.hurs\"; did you mean "
                                     "\"log.retention.hours\"?") != std::string::npos);
    outcome = fixture.command({"serve", "--listen", "0.0.0.0:9092"});
    CHECK(outcome.exit_code == kUsage);
    CHECK(outcome.errors.find("--advertise") != std::string::npos);
    outcome = fixture.command({"serve", "--print-config", "--log-retention-hours", "24"});
    CHECK(outcome.exit_code == kOk);
    CHECK(outcome.output.find("log.retention.hours = 24  # flag\n") != std::string::npos);
}

TEST_CASE("a topic is made with the node's defaults and deleted with its data") {
    Fixture fixture;
    fixture.start({"--num-partitions", "4", "--log-segment-bytes", "64MiB"});
    CHECK(fixture.command({"produce", "made"}, "x\n").exit_code == kOk);
    const Outcome described = fixture.command({"topic", "describe", "made"});
    CHECK(described.output.find("partitions=4") != std::string::npos);
    CHECK(described.output.find("segment.bytes = 67108864  (set for the whole node)") !=
          std::string::npos);
    CHECK(fixture.command({"topic", "create", "made"}).exit_code == kFailed);
    CHECK(fixture.command({"topic", "create", "made", "--if-not-exists"}).exit_code == kOk);
    CHECK(fixture.command({"topic", "delete", "made"}).output == "deleted made\n");
    CHECK(fixture.command({"topic", "list"}).output.empty());
    CHECK(fixture.command({"topic", "delete", "made"}).exit_code == kFailed);
    CHECK(fixture.command({"topic", "delete", "made", "--if-exists"}).exit_code == kOk);
}

TEST_CASE("topics are altered while the node runs, and their settings outlast it") {
    Fixture fixture;
    fixture.start();
    CHECK(fixture.command({"topic", "create", "orders", "-c", "retention.ms=1000"}).exit_code ==
          kOk);
    Outcome outcome = fixture.command(
        {"topic", "alter", "orders", "-c", "segment.bytes=2MiB", "-d", "retention.ms", "-p", "3"});
    CHECK_MESSAGE(outcome.exit_code == kOk, outcome.errors);
    CHECK(outcome.output == "altered orders\n");
    ::kill(fixture.node->pid, SIGKILL);
    CHECK(fixture.node->wait() == 128 + SIGKILL);
    fixture.start();
    outcome = fixture.command({"topic", "describe", "orders"});
    CHECK(outcome.output.find("partitions=3") != std::string::npos);
    CHECK(outcome.output.find("segment.bytes = 2097152") != std::string::npos);
    CHECK(outcome.output.find("retention.ms") == std::string::npos);

    outcome = fixture.command({"topic", "alter", "orders", "-c", "retention.mss=1"});
    CHECK(outcome.exit_code == kFailed);
    CHECK(outcome.errors.find("Did you mean retention.ms?") != std::string::npos);
    CHECK(fixture.command({"topic", "alter", "orders", "-p", "2"}).exit_code == kFailed);
    CHECK(fixture.command({"topic", "alter", "orders"}).exit_code == kUsage);
    CHECK(fixture.command({"topic", "alter", "orders", "-c", "nonsense"}).exit_code == kUsage);
}

TEST_CASE("settings of a node are changed and shown with where they come from") {
    Fixture fixture;
    fixture.start({"--log-retention-hours", "24"});
    CHECK(fixture.command({"topic", "create", "t"}).exit_code == kOk);
    const Outcome set = fixture.command(
        {"config", "set", "--broker", "default", "message.max.bytes=2MiB", "log.retention.ms=5"});
    CHECK_MESSAGE(set.exit_code == kOk, set.errors);
    CHECK(set.output == "altered every node\n");
    CHECK(fixture.command({"config", "set", "--broker", "1", "log.retention.ms=7"}).output ==
          "altered node 1\n");
    CHECK(fixture.command({"config", "get", "--broker", "1", "log.retention.ms"}).output ==
          "log.retention.ms = 7  (node)\n");
    CHECK(fixture.command({"config", "get", "--broker", "default"}).output ==
          "log.retention.ms = 5  (every node)\nmessage.max.bytes = 2097152  (every node)\n");
    CHECK(fixture.command({"config", "get", "-t", "t"}).output ==
          "max.message.bytes = 2097152  (every node)\nretention.ms = 7  (node)\n");
    CHECK(fixture.command({"config", "set", "--broker", "1", "-d", "log.retention.ms"}).exit_code ==
          kOk);
    CHECK(fixture.command({"config", "set", "--broker", "default", "-d", "log.retention.ms"})
              .exit_code == kOk);
    CHECK(fixture.command({"config", "get", "-t", "t", "retention.ms"}).output ==
          "retention.ms = 86400000  (start)\n");
    const Outcome unset =
        fixture.command({"config", "get", "--broker", "default", "log.retention.ms"});
    CHECK(unset.exit_code == kOk);
    CHECK(unset.output.empty());
}

TEST_CASE("a change of settings that is refused says why, and a dry run changes nothing") {
    Fixture fixture;
    fixture.start();
    CHECK(fixture.command({"topic", "create", "t"}).exit_code == kOk);
    Outcome outcome = fixture.command({"config", "set", "--broker", "1", "num.partitions=3"});
    CHECK(outcome.exit_code == kFailed);
    CHECK(outcome.errors.find("Cannot update these configs dynamically") != std::string::npos);
    CHECK(fixture.command({"config", "set", "-t", "t", "retention.ms=5", "--dry-run"}).exit_code ==
          kOk);
    CHECK(fixture.command({"config", "set", "-t", "t", "retention.ms=x", "--dry-run"}).exit_code ==
          kFailed);
    CHECK(fixture.command({"config", "get", "-t", "t"}).output.empty());
    outcome = fixture.command({"config", "get", "-t", "t", "retention.mss"});
    CHECK(outcome.exit_code == kFailed);
    CHECK(outcome.errors.find("did you mean \"retention.ms\"?") != std::string::npos);
    CHECK(fixture.command({"config", "get"}).exit_code == kUsage);
    CHECK(fixture.command({"config", "set", "-t", "t"}).exit_code == kUsage);
    CHECK(fixture.command({"config", "set", "-t", "t", "--broker", "1", "a=b"}).exit_code ==
          kUsage);
}

TEST_CASE("a group's offsets are set, shown, moved and deleted") {
    Fixture fixture;
    fixture.start();
    CHECK(fixture.command({"topic", "create", "orders", "-p", "2"}).exit_code == kOk);
    CHECK(fixture.command({"produce", "orders", "-p", "1"}, numbered_lines(10)).exit_code == kOk);
    Outcome outcome = fixture.command({"group", "reset", "billing", "--to", "beginning"});
    CHECK(outcome.exit_code == kFailed);
    CHECK(outcome.errors.find("--topic TOPIC") != std::string::npos);

    const Words to_four = {"group", "reset", "billing", "--topic", "orders:1", "--to", "4"};
    Words dry = to_four;
    dry.emplace_back("--dry-run");
    outcome = fixture.command(dry);
    CHECK(outcome.output ==
          "billing  would be reset\n  topic   partition  from  to\n  orders  1          -     4\n");
    CHECK(fixture.command({"group", "list"}).output.empty());
    CHECK(fixture.command(to_four).exit_code == kOk);
    CHECK(fixture.command({"group", "list"}).output == "  billing  Empty  classic  \n");
    outcome = fixture.command({"group", "describe", "billing"});
    CHECK(outcome.output.find("state=Empty") != std::string::npos);
    CHECK(outcome.output.find("orders  1          4          10   6    -") != std::string::npos);

    // Each goes from where the one before it went; what lies outside the log is brought into it.
    for (const auto& [option, value, target] :
         std::vector<std::tuple<std::string, std::string, std::string>>{
             {"--shift", "-3", "1"},
             {"--shift", "100", "10"},
             {"--to", "end-2", "8"},
             {"--to", "-1h", "0"},
             {"--to", "end", "10"},
             {"--to", "beginning", "0"}}) {
        CAPTURE(value);
        outcome = fixture.command({"group", "reset", "billing", option, value, "--json"});
        CHECK_MESSAGE(outcome.exit_code == kOk, outcome.errors);
        CHECK(outcome.output.find("\"to\":" + target + "}") != std::string::npos);
    }
    outcome = fixture.command({"group", "describe", "billing", "--json"});
    CHECK(outcome.output.find("\"committed\":0,\"end\":10,\"lag\":10,\"member\":null") !=
          std::string::npos);
    CHECK(fixture.command({"group", "reset", "billing"}).exit_code == kUsage);
    CHECK(fixture.command({"group", "delete", "billing"}).output == "deleted billing\n");
    CHECK(fixture.command({"group", "list"}).output.empty());
    outcome = fixture.command({"group", "describe", "billing"});
    CHECK(outcome.exit_code == kFailed);
    CHECK(outcome.errors.find("GROUP_ID_NOT_FOUND") != std::string::npos);
}

TEST_CASE("--json is for programs") {
    Fixture fixture;
    fixture.start();
    CHECK(fixture.command({"topic", "create", "b", "a", "--json"}).output ==
          R"([{"name":"b","result":"created"},{"name":"a","result":"created"}])"
          "\n");
    CHECK(fixture.command({"topic", "list", "--json"}).output == "[\"a\",\"b\"]\n");
    CHECK(fixture.command({"topic", "alter", "a", "-c", "flush.ms=9", "--json"}).output ==
          R"([{"name":"a","result":"altered"}])"
          "\n");
    CHECK(fixture.command({"config", "get", "-t", "a", "--json"}).output ==
          R"([{"name":"flush.ms","value":"9","source":"topic","read_only":false}])"
          "\n");
    const std::string described = fixture.command({"topic", "describe", "a", "--json"}).output;
    CHECK(described.starts_with(R"([{"name":"a","id":")"));
    CHECK(described.find(R"("partitions":[{"partition":0,"leader":1,"first_offset":0,)"
                         R"("next_offset":0}],"settings":[{"name":"cleanup.policy",)") !=
          std::string::npos);
    const std::string failed = fixture.command({"topic", "delete", "c", "--json"}).output;
    CHECK(failed.find(R"("error":"UNKNOWN_TOPIC_OR_PARTITION")") != std::string::npos);
    CHECK(fixture.command({"topic", "delete", "c", "--if-exists", "--json"}).output == "[]\n");
}

TEST_CASE("quotas are set, listed and deleted by entity") {
    Fixture fixture;
    fixture.start();
    CHECK(fixture.command({"quota", "list"}).output.empty());
    CHECK(fixture.command({"quota", "list", "--json"}).output == "[]\n");
    Outcome outcome = fixture.command({"quota", "set", "--client-id", "loader",
                                       "producer_byte_rate=10MB", "request_percentage=0.5"});
    CHECK_MESSAGE(outcome.exit_code == kOk, outcome.errors);
    CHECK(outcome.output == "set client-id loader\n");
    const Words set_for[] = {{"--user", "u", "--default-client-id"}, {"--default-user"}};
    for (const Words& entity : set_for) {
        Words words = {"quota", "set", "consumer_byte_rate=2000000"};
        words.insert(words.end(), entity.begin(), entity.end());
        CHECK(fixture.command(words).exit_code == kOk);
    }
    CHECK(fixture.command({"quota", "set", "--default-ip", "connection_creation_rate=1000"})
              .exit_code == kOk);
    CHECK(sorted(fixture.command({"quota", "list"}).output) ==
          sorted("client-id loader: producer_byte_rate=10000000 request_percentage=0.5\n"
                 "user u, default client-id: consumer_byte_rate=2000000\n"
                 "default user: consumer_byte_rate=2000000\n"
                 "default ip: connection_creation_rate=1000\n"));
    CHECK(fixture.command({"quota", "list", "--user", "u", "--json"}).output ==
          "[{\"entity\":[{\"type\":\"user\",\"name\":\"u\"},"
          "{\"type\":\"client-id\",\"name\":null}],"
          "\"values\":[{\"key\":\"consumer_byte_rate\",\"value\":2000000}]}]\n");

    CHECK(fixture.command({"quota", "delete", "--client-id", "loader", "request_percentage"})
              .exit_code == kOk);
    CHECK(fixture.command({"quota", "list", "--client-id", "loader"}).output ==
          "client-id loader: producer_byte_rate=10000000\n");
    CHECK(fixture.command({"quota", "delete", "--client-id", "loader"}).exit_code == kOk);
    outcome = fixture.command({"quota", "delete", "--client-id", "loader"});
    CHECK(outcome.exit_code == kFailed);
    CHECK(outcome.errors.find("client-id loader has no quota") != std::string::npos);
    outcome = fixture.command({"quota", "delete", "--user", "u"});
    CHECK(outcome.exit_code == kFailed);  // Its client ids have one, it has none by itself.
    outcome = fixture.command({"quota", "set", "--client-id", "c", "producer_byte_rate=0"});
    CHECK(outcome.exit_code == kFailed);
    CHECK(outcome.errors.find("must be greater than 0") != std::string::npos);
    const Words wrong[] = {
        {"quota", "set", "producer_byte_rate=1"},
        {"quota", "set", "--user", "u", "producer_byte_rate"},
        {"quota", "set", "--user", "u", "request_percentage=1x"},
        {"quota", "set", "--user", "u", "--default-user", "consumer_byte_rate=1"},
        {"quota", "delete"}};
    for (const Words& words : wrong) CHECK(fixture.command(words).exit_code == kUsage);
}

/// The number behind `"name":` in JSON text.
double number_in(const std::string& json, const std::string& name) {
    const std::size_t at = json.find('"' + name + "\":");
    REQUIRE_MESSAGE(at != std::string::npos, json);
    return std::stod(json.substr(at + name.size() + 3));
}

TEST_CASE("what bench produce writes, bench consume reads") {
    Fixture fixture;
    fixture.start();
    Outcome outcome =
        fixture.command({"bench", "produce", "load", "-n", "5000", "-s", "100", "--partitions", "3",
                         "--key-count", "50", "-z", "lz4", "--compressible", "50", "--json"});
    REQUIRE_MESSAGE(outcome.exit_code == kOk, outcome.errors);
    CHECK(outcome.output.starts_with("{\"records\":5000,\"failed\":0,\"bytes\":500000,"));
    CHECK(std::count(outcome.output.begin(), outcome.output.end(), '\n') == 1);
    CHECK(number_in(outcome.output, "p50") <= number_in(outcome.output, "p99"));
    CHECK(number_in(outcome.output, "p99") <= number_in(outcome.output, "max"));
    CHECK(fixture.command({"topic", "describe", "load"}).output.find("partitions=3") !=
          std::string::npos);

    outcome = fixture.command({"bench", "consume", "load", "--json"});
    REQUIRE_MESSAGE(outcome.exit_code == kOk, outcome.errors);
    CHECK(number_in(outcome.output, "records") == 5000);
    const std::string keys = fixture.command({"consume", "load", "--format", "%k"}).output;
    CHECK(number_in(outcome.output, "bytes") == 500'000 + static_cast<double>(keys.size()));
    CHECK(number_in(outcome.output, "first_record_ms") > 0);
    outcome = fixture.command({"bench", "consume", "load", "-n", "1234"});
    CHECK(outcome.output.starts_with("1234 records, "));
}

TEST_CASE("bench produce writes the same records again, at the rate asked for") {
    Fixture fixture;
    fixture.start();
    for (const std::string topic : {"a", "b"}) {
        const Outcome outcome = fixture.command(
            {"bench", "produce", topic, "-n", "100", "-s", "20", "--rate", "1000", "--seed", "7"});
        REQUIRE_MESSAGE(outcome.exit_code == kOk, outcome.errors);
        CHECK(outcome.output.starts_with("100 records, "));
        CHECK(outcome.output.find("\nlatency: p50 ") != std::string::npos);
    }
    const std::string first = fixture.command({"consume", "a"}).output;
    CHECK(first.size() == 2100);
    CHECK(first == fixture.command({"consume", "b"}).output);
    CHECK(fixture.command({"bench", "produce", "c", "-n", "100", "-s", "20", "--seed", "8"})
              .exit_code == kOk);
    CHECK(first != fixture.command({"consume", "c"}).output);
}

TEST_CASE("bench e2e receives every record that it sends, and no other") {
    Fixture fixture;
    fixture.start();
    CHECK(fixture.command({"bench", "produce", "e", "-n", "50", "-s", "64"}).exit_code == kOk);
    for (const std::string rate : {"0", "2000"}) {
        const Outcome outcome =
            fixture.command({"bench", "e2e", "e", "-n", "200", "--rate", rate, "--json"});
        REQUIRE_MESSAGE(outcome.exit_code == kOk, outcome.errors);
        CHECK(outcome.output.starts_with("{\"records\":200,\"latency_ms\":{"));
        CHECK(number_in(outcome.output, "p50") > 0);
    }
    CHECK(fixture.command({"bench", "consume", "e"}).output.starts_with("450 records, "));
}

TEST_CASE("records go in and out as JSON") {
    Fixture fixture;
    fixture.start();
    CHECK(fixture.command({"topic", "create", "log"}).exit_code == kOk);
    Outcome outcome =
        fixture.command({"produce", "log", "-K", ":", "-H", "a=1", "--json"}, "k:one\n\xff\n");
    CHECK_MESSAGE(outcome.exit_code == kOk, outcome.errors);
    CHECK(outcome.output == R"({"records":2,"failed":0,"unknown":0,"bytes_read":8})"
                            "\n");
    outcome = fixture.command({"consume", "log", "--json"});
    CHECK_MESSAGE(outcome.exit_code == kOk, outcome.errors);
    CHECK(outcome.output.starts_with(R"({"topic":"log","partition":0,"offset":0,"timestamp_ms":)"));
    CHECK(outcome.output.find(R"("key":"k","value":"one","headers":[{"name":"a","value":"1"}]})"
                              "\n") != std::string::npos);
    CHECK(outcome.output.find(R"("key":null,"value":{"hex":"ff"},)") != std::string::npos);
    CHECK(fixture.command({"consume", "log", "--json", "--format", "%v"}).exit_code == kUsage);
    ::kill(fixture.node->pid, SIGTERM);
    CHECK(fixture.node->wait() == kOk);
    outcome = fixture.command({"log", "check", "--json", fixture.folder + "/data"});
    CHECK_MESSAGE(outcome.exit_code == kOk, outcome.output);
    CHECK(outcome.output.starts_with(R"({"damaged":false,)"));
}

TEST_CASE("a benchmark that is asked for wrongly does nothing") {
    Fixture fixture;
    fixture.start();
    const Words wrong[] = {{"bench", "produce"},
                           {"bench"},
                           {"bench", "produce", "t", "--records", "0"},
                           {"bench", "produce", "t", "--compressible", "101"},
                           {"bench", "produce", "t", "--acks", "1", "--idempotent"},
                           {"bench", "e2e", "t", "--size", "15"},
                           {"bench", "consume", "t", "--records", "many"}};
    for (const Words& words : wrong) CHECK(fixture.command(words).exit_code == kUsage);
    CHECK(fixture.command({"topic", "list"}).output.empty());
    CHECK(fixture.command({"bench", "consume", "nowhere"}).exit_code == kFailed);
    CHECK(fixture.command({"bench", "produce", "t", "-n", "9", "-p", "1"}).exit_code == kFailed);
}

TEST_CASE("top shows topics, and groups with their lag") {
    Fixture fixture;
    fixture.start();
    CHECK(fixture.command({"topic", "create", "orders", "-p", "2"}).exit_code == kOk);
    CHECK(fixture.command({"produce", "orders", "-p", "1"}, numbered_lines(10)).exit_code == kOk);
    CHECK(fixture.command({"group", "reset", "billing", "--topic", "orders:1", "--to", "4"})
              .exit_code == kOk);
    Outcome outcome = fixture.command({"top", "-n", "1", "--json", "--interval", "0.05"});
    CHECK_MESSAGE(outcome.exit_code == kOk, outcome.errors);
    const auto has = [&](const std::string& text) {
        return outcome.output.find(text) != std::string::npos;
    };
    CHECK(outcome.output.starts_with("{\"time_ms\":"));
    CHECK(has(R"("nodes":[{"id":1,"address":")" + fixture.address + R"(","partitions_led":2,)"));
    CHECK(has(R"({"name":"orders","partitions":2,"records":10,"records_in_per_second":0.0,)"
              R"("bytes_in_per_second":0.0,"records_out_per_second":0.0,"size_bytes":)"));
    CHECK(number_in(outcome.output, "size_bytes") > 0);
    CHECK(has(R"("groups":[{"id":"billing","state":"Empty","members":0,"lag":6,)"
              R"("lag_per_second":0.0,"records_out_per_second":0.0}],"requests":[]})"
              "\n"));
    outcome = fixture.command({"top", "--iterations", "2", "--interval", "0.05"});
    const std::string group =
        "  group    state  members  lag  lag/s  read/s\n"
        "  billing  Empty        0    6    0.0     0.0\n\n";
    CHECK(outcome.output.ends_with(group));
    CHECK(outcome.output.find(group) < outcome.output.size() - group.size());
    CHECK(
        has("  topic   partitions  records  records/s  in/s  read/s   size\n"
            "  orders           2       10        0.0   0 B     0.0  "));
    for (const char* interval : {"0", "nan", "-1", "1s", ""}) {
        CHECK(fixture.command({"top", "--interval", interval}).exit_code == kUsage);
    }
    CHECK(fixture.command({"top", "--http", "nowhere"}).exit_code == kUsage);
    CHECK(fixture.command({"top", "orders"}).exit_code == kUsage);
}

TEST_CASE("top has latencies of requests from a node's metrics, and goes on without them") {
    Fixture fixture;
    fixture.start();
    Outcome outcome =
        fixture.command({"top", "-n", "1", "--json", "--interval", "0.05", "--http", fixture.http});
    CHECK_MESSAGE(outcome.exit_code == kOk, outcome.errors);
    CHECK(number_in(outcome.output, "bytes_in_per_second") == 0);
    CHECK(outcome.output.find(R"({"api":"Metadata","per_second":)") != std::string::npos);
    CHECK(outcome.errors.empty());
    outcome = fixture.command({"top", "-n", "1", "--interval", "0.05", "--http", fixture.address});
    CHECK_MESSAGE(outcome.exit_code == kOk, outcome.errors);
    CHECK(outcome.errors.find("http://" + fixture.address + "/metrics: ") != std::string::npos);
    CHECK(outcome.output.find("  node  address") == 0);
}

TEST_CASE("top counts what is written between two looks") {
    Fixture fixture;
    fixture.start();
    CHECK(fixture.command({"topic", "create", "orders"}).exit_code == kOk);
    const std::string out = fixture.folder + "/top";
    ::setenv("DLOG_BOOTSTRAP", fixture.address.c_str(), 1);
    Process top({"top", "--json", "--interval", "0.02"}, "/dev/null", out, "/dev/null");
    for (int i = 0; i < 400 && contents(out).find("orders") == std::string::npos; ++i) {
        ::usleep(25'000);
    }
    CHECK(fixture.command({"produce", "orders"}, numbered_lines(1000)).exit_code == kOk);
    for (int i = 0; i < 400 && contents(out).find("\"records\":1000") == std::string::npos; ++i) {
        ::usleep(25'000);
    }
    ::kill(top.pid, SIGTERM);
    CHECK(top.wait() == 128 + SIGTERM);
    double most = 0;
    std::stringstream lines(contents(out));
    for (std::string line; std::getline(lines, line);) {
        if (line.ends_with("}")) most = std::max(most, number_in(line, "records_in_per_second"));
    }
    CHECK(most > 0);
}

}  // namespace
}  // namespace dlog::cli
