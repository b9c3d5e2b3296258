#include "server/log_sink.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <unistd.h>

#include <vector>

using namespace dlog;
using namespace dlog::server;

namespace {

std::string line(LogFormat format, std::string_view message, std::vector<LogField> fields) {
    return format_log_line(format, 1'763'841'600'123, LogLevel::kWarn, message, fields);
}

std::string read_all(int fd) {
    std::string text;
    char chunk[4096];
    for (;;) {
        const ssize_t count = ::read(fd, chunk, sizeof(chunk));
        if (count <= 0) return text;
        text.append(chunk, static_cast<std::size_t>(count));
    }
}

}  // namespace

TEST_CASE("a text line has time, level, message and fields") {
    CHECK(line(LogFormat::kText, "topic made", {{"topic", "orders"}, {"partitions", 3}}) ==
          "2025-11-22T20:00:00.123Z WARN  topic made topic=orders partitions=3\n");
}

TEST_CASE("a JSON line is one object, with numbers and booleans bare") {
    CHECK(line(LogFormat::kJson, "ready", {{"listen", "a:1"}, {"port", 1}, {"ok", true}}) ==
          "{\"time\":\"2025-11-22T20:00:00.123Z\",\"level\":\"warn\",\"message\":\"ready\","
          "\"listen\":\"a:1\",\"port\":1,\"ok\":true}\n");
}

TEST_CASE("a client's bytes cannot forge a line or a field") {
    CHECK(line(LogFormat::kText, "m", {{"client", "x\ny=1 \"q\""}}) ==
          "2025-11-22T20:00:00.123Z WARN  m client=\"x\\ny=1 \\\"q\\\"\"\n");
    CHECK(line(LogFormat::kJson, "m", {{"client", "a\"b\\\x01\xff"}})
              .ends_with("\"client\":\"a\\\"b\\\\\\u0001\xef\xbf\xbd\"}\n"));
}

TEST_CASE("lines below the least level are left out and the others arrive in order") {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    {
        FileLogSink sink(ends[1], LogFormat::kText, LogLevel::kInfo);
        sink.debug("one");
        sink.info("two");
        sink.error("three");
    }
    ::close(ends[1]);
    const std::string text = read_all(ends[0]);
    ::close(ends[0]);
    CHECK(text.find("one") == std::string::npos);
    CHECK(text.find("INFO  two") < text.find("ERROR three"));
    CHECK(text.find("ERROR three") != std::string::npos);
}

TEST_CASE("a reader that does not read costs lines, not the writer's time") {
    int ends[2];
    REQUIRE(::pipe(ends) == 0);
    const std::string large(1000, 'x');
    std::string text;
    {
        FileLogSink sink(ends[1], LogFormat::kText, LogLevel::kInfo);
        for (int i = 0; i < 3000; ++i) sink.info(large);  // three times the buffer; must not block
        ::fcntl(ends[0], F_SETFL, O_NONBLOCK);
        for (int i = 0; i < 200 && text.size() < FileLogSink::kBufferBytesMax / 2; ++i) {
            text += read_all(ends[0]);
            ::usleep(5000);
        }
        sink.info("the last");
        text += read_all(ends[0]);
        ::fcntl(ends[0], F_SETFL, 0);
        // The writer thread drains the rest while the sink's destructor waits.
        for (int i = 0; i < 100 && text.find("the last") == std::string::npos; ++i) {
            char chunk[65536];
            const ssize_t count = ::read(ends[0], chunk, sizeof(chunk));
            if (count > 0) text.append(chunk, static_cast<std::size_t>(count));
        }
    }
    ::close(ends[1]);
    ::close(ends[0]);
    CHECK(text.find("log lines were dropped") != std::string::npos);
    CHECK(text.find("the last") != std::string::npos);
}
