/// `dlog log dump`: prints a segment, an index or a checkpoint, as text or as JSON objects.
#pragma once

#include <expected>
#include <string>

namespace dlog::cli {

struct DumpOptions {
    bool shows_records = false;
    bool shows_values = false;
    bool is_json = false;
};

/// Prints to standard output. False when the file is damaged, which has been printed too; the error
/// says why nothing could be printed.
[[nodiscard]] std::expected<bool, std::string> dump_file(const std::string& path,
                                                         const DumpOptions& options);

}  // namespace dlog::cli
