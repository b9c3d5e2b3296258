/// What the commands that talk to a broker share: a loop to run on, the cluster, the deadline, and
/// how failures are told.
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "base/time.h"
#include "client/cluster.h"
#include "client/error.h"
#include "port/ports.h"
#include "port/task.h"

namespace dlog::cli {

struct Invocation;

struct Session {
    const port::Ports& ports;
    client::Cluster& cluster;
    /// For one request and its repetitions: --timeout-ms.
    Duration timeout;

    [[nodiscard]] Instant deadline() const;
};

/// The brokers to ask first: --bootstrap, or DLOG_BOOTSTRAP when it is not given.
[[nodiscard]] std::string bootstrap_text(const Invocation& invocation);

/// The body of a command; its result is the exit code.
using SessionBody = std::move_only_function<port::Task<int>(Session&)>;

/// Runs `body` on a loop of its own with the cluster that `bootstrap_text` names.
[[nodiscard]] int run_session(const Invocation& invocation, SessionBody body);

/// Prints what went wrong and what to do next, and returns the exit code for it.
int tell(const client::Error& error);
/// The same for failures that are the caller's words.
int tell(int exit_code, std::string_view text);

/// Writes all of `text` to standard output. False when nobody reads it any more.
[[nodiscard]] bool write_out(std::string_view text);

}  // namespace dlog::cli
