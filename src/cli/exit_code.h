/// What the process returns. docs/operations.md explains each to scripts.
#pragma once

namespace dlog::cli {

enum ExitCode : int {
    kOk = 0,
    kFailed = 1,       ///< The operation failed, or damage was found.
    kUsage = 2,        ///< The command line or the configuration is wrong; nothing was done.
    kUnreachable = 3,  ///< No broker answered.
};

}  // namespace dlog::cli
