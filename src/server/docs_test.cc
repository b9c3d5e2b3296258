#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#include "server/config_keys.h"

namespace {

/// The repository's root, two folders above this room.
std::string root() {
    const std::string room = DLOG_TESTDATA;
    return room.substr(0, room.rfind("/src/"));
}

const std::string kPath = root() + "/docs/operations.md";

std::string read_file(const std::string& path) {
    std::ifstream file(path);
    REQUIRE_MESSAGE(file.good(), path);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
}

}  // namespace

TEST_CASE("docs/operations.md has the table of all configuration keys as they are") {
    std::string text = read_file(kPath);
    const std::size_t begin = text.find('\n', text.find("<!-- config:begin")) + 1;
    const std::size_t end = text.find("<!-- config:end -->");
    REQUIRE(begin != std::string::npos);
    REQUIRE(end != std::string::npos);
    const std::string wanted = "\n" + dlog::server::config_table_markdown() + "\n";
    if (std::getenv("DLOG_UPDATE_DOCS") != nullptr) {
        text.replace(begin, end - begin, wanted);
        std::ofstream(kPath) << text;
        return;
    }
    CHECK_MESSAGE(text.substr(begin, end - begin) == wanted,
                  "run test_server with DLOG_UPDATE_DOCS=1 and commit the file");
}
