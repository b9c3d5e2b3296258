#include "server/process_metrics.h"

#include <dirent.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <string_view>

namespace dlog::server {

namespace {

std::uint64_t resident_bytes() {
    std::FILE* file = std::fopen("/proc/self/statm", "r");
    if (file == nullptr) return 0;
    unsigned long long total = 0;
    unsigned long long resident = 0;
    const int count = std::fscanf(file, "%llu %llu", &total, &resident);
    std::fclose(file);
    return count == 2 ? resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE)) : 0;
}

std::uint64_t open_files() {
    DIR* folder = ::opendir("/proc/self/fd");
    if (folder == nullptr) return 0;
    std::uint64_t count = 0;
    while (const dirent* entry = ::readdir(folder)) {
        if (entry->d_name[0] != '.') ++count;
    }
    ::closedir(folder);
    return count > 0 ? count - 1 : 0;  // without the listing itself
}

double cpu_seconds() {
    rusage usage{};
    if (::getrusage(RUSAGE_SELF, &usage) != 0) return 0;
    const auto seconds_of = [](const timeval& time) {
        return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) * 1e-6;
    };
    return seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime);
}

void append(std::string& out, std::string_view name, std::string_view type, std::string_view help,
            double value) {
    char number[64];
    std::snprintf(number, sizeof(number), "%.17g", value);
    out += "# HELP ";
    out += name;
    out += ' ';
    out += help;
    out += "\n# TYPE ";
    out += name;
    out += ' ';
    out += type;
    out += '\n';
    out += name;
    out += ' ';
    out += number;
    out += '\n';
}

}  // namespace

std::string process_metrics_text() {
    std::string out;
    append(out, "process_resident_memory_bytes", "gauge", "Resident memory.",
           static_cast<double>(resident_bytes()));
    append(out, "process_cpu_seconds_total", "counter", "User and system CPU time.", cpu_seconds());
    append(out, "process_open_fds", "gauge", "Open file descriptors.",
           static_cast<double>(open_files()));
    return out;
}

}  // namespace dlog::server
