#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#include "broker/metrics.h"
#include "server/config_keys.h"
#include "server/process_metrics.h"

namespace {

const std::string kPath = DLOG_ROOT "/docs/operations.md";

std::string read_file(const std::string& path) {
    std::ifstream file(path);
    REQUIRE_MESSAGE(file.good(), path);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
}

void write_file(const std::string& text) {
    std::ofstream(kPath) << text;
}

/// Compares the part between `name`'s two markers with `wanted`, or writes it.
void check_part(const std::string& name, const std::string& wanted) {
    std::string text = read_file(kPath);
    const std::size_t marker = text.find("<!-- " + name + ":begin");
    const std::size_t end = text.find("<!-- " + name + ":end -->");
    REQUIRE(marker != std::string::npos);
    REQUIRE(end != std::string::npos);
    const std::size_t begin = text.find('\n', marker) + 1;
    if (std::getenv("DLOG_UPDATE_DOCS") != nullptr) {
        text.replace(begin, end - begin, "\n" + wanted + "\n");
        write_file(text);
        return;
    }
    CHECK_MESSAGE(text.substr(begin, end - begin) == "\n" + wanted + "\n",
                  "run test_server with DLOG_UPDATE_DOCS=1 and commit the file");
}

/// A table of the metrics' names, types and help, from Prometheus' own text.
std::string metrics_table(const std::string& text) {
    std::string table = "| metric | type | what it counts |\n| --- | --- | --- |\n";
    std::stringstream lines(text);
    std::string help;
    for (std::string line; std::getline(lines, line);) {
        std::stringstream words(line);
        std::string mark;
        std::string kind;
        std::string name;
        words >> mark >> kind >> name;
        std::string rest;
        std::getline(words >> std::ws, rest);
        if (mark == "#" && kind == "HELP") help = rest;
        if (mark == "#" && kind == "TYPE") {
            table += "| `" + name + "` | " + rest + " | " + help + " |\n";
        }
    }
    return table;
}

}  // namespace

TEST_CASE("docs/operations.md has the table of all configuration keys as they are") {
    check_part("config", dlog::server::config_table_markdown());
}

TEST_CASE("docs/operations.md has the table of all metrics as they are") {
    check_part("metrics", metrics_table(dlog::broker::render_metrics({}) +
                                        dlog::server::process_metrics_text()));
}
