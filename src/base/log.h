/// Structured log lines. Whoever composes the program gives a sink: text or JSON lines in the
/// server, a recorder in the simulator. Pure rooms do not log: they return what happened.
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>

namespace dlog {

enum class LogLevel : std::uint8_t { kDebug, kInfo, kWarn, kError };

[[nodiscard]] std::string_view log_level_name(LogLevel level);

/// A name and a value of a log line, e.g. {"file", path} or {"position", 4096}.
struct LogField {
    std::string_view name;
    std::string value;
    /// True for numbers and booleans, which JSON writes bare.
    bool is_bare = false;

    LogField(std::string_view field_name, std::string_view text) : name(field_name), value(text) {}
    LogField(std::string_view field_name, const char* text) : name(field_name), value(text) {}
    LogField(std::string_view field_name, const std::string& text)
        : name(field_name), value(text) {}
    LogField(std::string_view field_name, bool flag)
        : name(field_name), value(flag ? "true" : "false"), is_bare(true) {}
    template <class Number>
        requires std::integral<Number>
    LogField(std::string_view field_name, Number number)
        : name(field_name), value(std::to_string(number)), is_bare(true) {}
    template <class Id>
        requires std::integral<typename Id::Representation>
    LogField(std::string_view field_name, Id id) : LogField(field_name, id.value) {}
};

/// Where log lines go. `write` may be called from any core and does not block on a slow reader.
class LogSink {
  public:
    virtual ~LogSink() = default;
    virtual void write(LogLevel level, std::string_view message,
                       std::span<const LogField> fields) = 0;
    [[nodiscard]] virtual bool is_enabled(LogLevel level) const = 0;

    void debug(std::string_view message, std::initializer_list<LogField> fields = {}) {
        line(LogLevel::kDebug, message, fields);
    }
    void info(std::string_view message, std::initializer_list<LogField> fields = {}) {
        line(LogLevel::kInfo, message, fields);
    }
    void warn(std::string_view message, std::initializer_list<LogField> fields = {}) {
        line(LogLevel::kWarn, message, fields);
    }
    void error(std::string_view message, std::initializer_list<LogField> fields = {}) {
        line(LogLevel::kError, message, fields);
    }

  private:
    void line(LogLevel level, std::string_view message, std::initializer_list<LogField> fields) {
        if (is_enabled(level)) write(level, message, {fields.begin(), fields.size()});
    }
};

/// A sink that drops every line.
[[nodiscard]] LogSink& null_log();

}  // namespace dlog
