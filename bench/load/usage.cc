#include "load/usage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>

#include "load/options.h"

namespace dlog::load {

namespace {

std::string read_proc(const std::string& pid, const char* name) {
    std::string text(8192, '\0');
    FILE* const file = ::fopen(("/proc/" + pid + "/" + name).c_str(), "r");
    if (file == nullptr) return "";
    text.resize(::fread(text.data(), 1, text.size(), file));
    ::fclose(file);
    return text;
}

double status_mb(const std::string& status, const char* key) {
    const std::size_t at = status.find(key);
    return at == std::string::npos ? 0 : ::atof(status.c_str() + at + ::strlen(key)) / 1024;
}

}  // namespace

Usage usage_of(const std::string& pids) {
    Usage usage;
    for (std::size_t begin = 0; begin < pids.size();) {
        const std::size_t end = std::min(pids.find(',', begin), pids.size());
        const std::string pid = pids.substr(begin, end - begin);
        begin = end + 1;
        const std::string stat = read_proc(pid, "stat");
        const std::size_t name_end = stat.rfind(')');
        unsigned long user = 0;
        unsigned long system = 0;
        if (name_end == std::string::npos ||
            ::sscanf(stat.c_str() + name_end + 2,
                     "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) != 2) {
            die("no process " + pid);
        }
        usage.cpu_seconds +=
            static_cast<double>(user + system) / static_cast<double>(::sysconf(_SC_CLK_TCK));
        const std::string status = read_proc(pid, "status");
        usage.rss_mb += status_mb(status, "VmRSS:");
        usage.peak_mb += status_mb(status, "VmHWM:");
    }
    return usage;
}

double own_cpu_seconds() {
    rusage use{};
    ::getrusage(RUSAGE_SELF, &use);
    const auto seconds = [](timeval t) {
        return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) * 1e-6;
    };
    return seconds(use.ru_utime) + seconds(use.ru_stime);
}

std::int64_t now_ns() {
    timespec time{};
    ::clock_gettime(CLOCK_MONOTONIC, &time);
    return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

double quantile_ms(const std::vector<std::int64_t>& sorted_ns, double quantile) {
    if (sorted_ns.empty()) return 0.0;
    const auto at = static_cast<std::size_t>(quantile * static_cast<double>(sorted_ns.size() - 1));
    return static_cast<double>(sorted_ns[at]) * 1e-6;
}

}  // namespace dlog::load
