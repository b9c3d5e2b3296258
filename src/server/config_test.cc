#include "server/config.h"

#include <doctest/doctest.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>

#include "server/config_keys.h"
#include "server/node_config.h"

using namespace dlog;
using namespace dlog::server;

namespace {

std::string refused(const ConfigResult<Config>& config) {
    REQUIRE(!config.has_value());
    return config.error().message;
}

/// A file that lives as long as the object.
struct TemporaryFile {
    std::string path = "/tmp/dlog-config-test-" + std::to_string(::getpid()) + ".toml";
    explicit TemporaryFile(const std::string& text) {
        std::FILE* file = std::fopen(path.c_str(), "wb");
        REQUIRE(file != nullptr);
        std::fwrite(text.data(), 1, text.size(), file);
        std::fclose(file);
    }
    ~TemporaryFile() { std::remove(path.c_str()); }
};

}  // namespace

TEST_CASE(
    "a flag wins over the environment, the environment over the file, the file over the default") {
    const TemporaryFile file("node.id = 7\ncores = 3\n[log]\nlevel = \"warn\"\n");
    const NamedValue flags[] = {{"config", file.path}, {"node-id", "9"}};
    const NamedValue environment[] = {
        {"DLOG_NODE_ID", "8"}, {"DLOG_CORES", "2"}, {"HOME", "/nowhere"}};
    const auto config = load_config(flags, environment);
    REQUIRE(config.has_value());
    CHECK(config->integer("node.id") == 9);
    CHECK(config->source("node.id") == ConfigSource::kFlag);
    CHECK(config->integer("cores") == 2);
    CHECK(config->source("cores") == ConfigSource::kEnvironment);
    CHECK(config->text("log.level") == "warn");
    CHECK(config->source("log.level") == ConfigSource::kFile);
    CHECK(config->text("listen") == "127.0.0.1:9092");
    CHECK(config->warnings.empty());
}

TEST_CASE("an unknown key of the file is refused with its line and the nearest key") {
    Config config;
    const auto result = apply_toml(config, "node.id = 1\n\nnode.di = 2\n", "node.toml");
    REQUIRE(!result.has_value());
    CHECK(result.error().message ==
          "node.toml:3: unknown key \"node.di\"; did you mean \"node.id\"?");
    const auto far = apply_toml(config, "[weather]\nin.spring = \"mild\"\n", "node.toml");
    REQUIRE(!far.has_value());
    CHECK(far.error().message ==
          "node.toml:2: unknown key \"weather.in.spring\"; `dlog serve --help` lists all keys");
}

TEST_CASE("a value of the wrong type or out of range is refused with its place") {
    Config config;
    CHECK(apply_toml(config, "cores = \"many\"", "f").error().message ==
          "f:1: the value \"many\" of cores is not a whole number");
    CHECK(apply_toml(config, "cores = 100000", "f").error().message ==
          "f:1: the value \"100000\" of cores is above the greatest value 1024");
    CHECK(apply_toml(config, "cores = [1]", "f").error().message ==
          "f:1: the value of cores must be a string, a whole number or a boolean");
    CHECK(apply_toml(config, "log.level = \"loud\"", "f").error().message ==
          "f:1: the value \"loud\" of log.level is not one of debug|info|warn|error");
    CHECK(apply_toml(config, "listen = \"here\"", "f").error().message ==
          "f:1: the value \"here\" of listen is not HOST:PORT");
    CHECK(apply_toml(config, "cores = \n", "f").error().message.starts_with("f:1: "));
}

TEST_CASE("an unknown flag is refused with the nearest one") {
    const NamedValue flags[] = {{"data-dri", "x"}};
    CHECK(refused(load_config(flags, {})) == "unknown flag --data-dri; did you mean --data-dir?");
}

TEST_CASE("an unknown variable only warns, because orchestrators set their own") {
    const NamedValue environment[] = {{"DLOG_PORT_9092_TCP", "tcp://10.0.0.1"},
                                      {"DLOG_LOGLEVEL", "debug"},
                                      {"DLOG_BOOTSTRAP", "b:9092"}};
    const auto config = load_config({}, environment);
    REQUIRE(config.has_value());
    REQUIRE(config->warnings.size() == 2);
    CHECK(config->warnings[1].find("did you mean DLOG_LOG_LEVEL?") != std::string::npos);
}

TEST_CASE("a configuration file that is not there is an error with advice") {
    const NamedValue flags[] = {{"config", "/nonexistent/node.toml"}};
    CHECK(refused(load_config(flags, {})).find("check the path") != std::string::npos);
}

TEST_CASE("the printed configuration is a file that gives the same configuration") {
    const NamedValue flags[] = {{"data-dir", "/a \"b\"\\c"}, {"cores", "4"}, {"http", "off"}};
    const auto config = load_config(flags, {});
    REQUIRE(config.has_value());
    Config again;
    const auto applied = apply_toml(again, config->as_toml(), "printed");
    REQUIRE_MESSAGE(applied.has_value(), applied.error().message);
    for (const ConfigKey& key : config_keys())
        CHECK(again.text(key.name) == config->text(key.name));
}

TEST_CASE("every default is a value that its own key accepts") {
    Config config;
    for (const ConfigKey& key : config_keys()) {
        if (!key.default_value.empty()) {
            const auto result =
                config.set(key.name, key.default_value, ConfigSource::kFlag, "test");
            CHECK_MESSAGE(result.has_value(), key.name);
        }
        CHECK(!key.documentation.empty());
    }
}

TEST_CASE("a key that begins with another one stands in quotes") {
    Config config;
    const auto applied =
        apply_toml(config, "max.connections = 50\n\"max.connections.per.ip\" = 5\n", "node.toml");
    REQUIRE_MESSAGE(applied.has_value(), applied.error().message);
    CHECK(config.integer("max.connections") == 50);
    CHECK(config.integer("max.connections.per.ip") == 5);
    CHECK(config.as_toml().find("\n\"max.connections.per.ip\" = 5") != std::string::npos);
    const auto refused =
        apply_toml(config, "max.connections = 50\nmax.connections.per.ip = 5\n", "node.toml");
    REQUIRE(!refused.has_value());
    CHECK(refused.error().message.find("stands in quotes") != std::string::npos);
}

TEST_CASE("sizes are read with their units") {
    CHECK(parse_bytes("64MiB").value() == 64 << 20);
    CHECK(parse_bytes("1 GB").value() == 1'000'000'000);
    CHECK(parse_bytes("17").value() == 17);
    CHECK(parse_bytes("-1").value() == -1);
    CHECK_FALSE(parse_bytes("3 miles").has_value());
    CHECK_FALSE(parse_bytes("9999999TiB").has_value());
    CHECK_FALSE(parse_bytes("").has_value());
}

TEST_CASE("connections and segment files fit into the descriptors that the process may have") {
    broker::NodeConfig node;
    node.connections_max = 1000;
    node.open_files_max = 100;
    CHECK(!fit_into_descriptors(node, 2000, 2));
    CHECK(node.connections_max == 1000);
    CHECK(node.open_files_max == 100);

    broker::NodeConfig unlimited;
    CHECK(fit_into_descriptors(unlimited, 20'000, 2));
    CHECK(unlimited.connections_max == 15'000);
    CHECK(unlimited.open_files_max == (5000 - 64) / 2);

    broker::NodeConfig few;
    CHECK(fit_into_descriptors(few, 4, 8));
    CHECK(few.connections_max == 3);
    CHECK(few.open_files_max == 16);

    broker::NodeConfig many;
    many.connections_max = 100'000;
    CHECK(!fit_into_descriptors(many, 1 << 20, 16));
    CHECK(many.connections_max == 100'000);
}
