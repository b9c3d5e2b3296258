/// Metrics of the process as a whole, by the names that Prometheus' client libraries use.
#pragma once

#include <string>

namespace dlog::server {

/// Resident memory, CPU seconds and open files, in Prometheus' text format.
[[nodiscard]] std::string process_metrics_text();

}  // namespace dlog::server
