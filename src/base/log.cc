#include "base/log.h"

namespace dlog {

std::string_view log_level_name(LogLevel level) {
    switch (level) {
        case LogLevel::kDebug:
            return "debug";
        case LogLevel::kInfo:
            return "info";
        case LogLevel::kWarn:
            return "warn";
        case LogLevel::kError:
            return "error";
    }
    return "unknown";
}

LogSink& null_log() {
    class NullLog final : public LogSink {
      public:
        void write(LogLevel, std::string_view, std::span<const LogField>) override {}
        [[nodiscard]] bool is_enabled(LogLevel) const override { return false; }
    };
    static NullLog sink;
    return sink;
}

}  // namespace dlog
