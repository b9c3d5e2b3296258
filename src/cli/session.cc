#include "cli/session.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>

#include "base/log.h"
#include "base/result.h"
#include "cli/exit_code.h"
#include "cli/parse.h"
#include "port/clock.h"
#include "reactor/reactor.h"

namespace dlog::cli {

namespace {

using protocol::ErrorCode;

std::string_view advice(const client::Error& error) {
    switch (error.kind) {
        case client::ErrorKind::kUnreachable:
            return "is a node running there? `dlog serve` starts one, --bootstrap names another";
        case client::ErrorKind::kTimedOut:
            return "is the node overloaded or stopped? --timeout-ms waits longer";
        case client::ErrorKind::kBroker:
            break;
        default:
            return {};
    }
    switch (error.code) {
        case ErrorCode::kUnknownTopicOrPartition:
            return "`dlog topic list` shows the topics, `dlog topic create` makes one";
        case ErrorCode::kTopicAlreadyExists:
            return "--if-not-exists makes that no error";
        case ErrorCode::kMessageTooLarge:
        case ErrorCode::kRecordListTooLarge:
            return "raise the topic's max.message.bytes, or send smaller records";
        case ErrorCode::kKafkaStorageError:
            return "the node's disk is full or failing; its log says more";
        default:
            return {};
    }
}

port::Task<void> run_body(const port::Ports* ports, const client::ClusterConfig* config,
                          SessionBody* body, Duration timeout, int* exit_code) {
    client::Cluster cluster(*ports, *config);
    Session session{*ports, cluster, timeout};
    // Nobody there is told at once; a broker that goes away later may come back, and is waited for.
    const auto first = co_await cluster.any_connection();
    *exit_code = first ? co_await (*body)(session) : tell(first.error());
    cluster.close();
}

}  // namespace

std::string bootstrap_text(const Invocation& invocation) {
    const char* variable = std::getenv("DLOG_BOOTSTRAP");
    if (!invocation.is_given("bootstrap") && variable != nullptr && *variable != '\0') {
        return variable;
    }
    return invocation.option("bootstrap");
}

Instant Session::deadline() const {
    return ports.clock.now() + timeout;
}

int run_session(const Invocation& invocation, SessionBody body) {
    const auto endpoints = client::parse_bootstrap(bootstrap_text(invocation));
    if (!endpoints) return tell(kUsage, "--" + endpoints.error());
    const auto timeout_ms =
        whole_number("timeout-ms", invocation.option("timeout-ms"), 1, 86'400'000);
    if (!timeout_ms) return tell(kUsage, timeout_ms.error());
    client::ClusterConfig config{.bootstrap = *endpoints};
    config.connection.client_id = "dlog-cli";
    config.connection.connect_timeout = milliseconds(std::min<std::int64_t>(*timeout_ms, 10'000));
    config.request_timeout = milliseconds(*timeout_ms);
    reactor::Reactor reactor({.core_count = 1, .io_threads = 1, .compute_threads = 2});
    int exit_code = kFailed;
    const Duration timeout = milliseconds(*timeout_ms);
    reactor.run_and_wait(CoreId(0), [&](port::Ports& ports) {
        return run_body(&ports, &config, &body, timeout, &exit_code);
    });
    reactor.stop();
    return exit_code;
}

int tell(const client::Error& error) {
    std::string text = error.text();
    const std::string_view next = advice(error);
    if (!next.empty()) text += "\n  " + std::string(next);
    const bool is_unreachable =
        error.kind == client::ErrorKind::kUnreachable || error.kind == client::ErrorKind::kTimedOut;
    return tell(is_unreachable ? kUnreachable : kFailed, text);
}

int tell(int exit_code, std::string_view text) {
    std::fprintf(stderr, "dlog: %.*s\n", static_cast<int>(text.size()), text.data());
    return exit_code;
}

bool write_out(std::string_view text) {
    while (!text.empty()) {
        const ssize_t count = ::write(STDOUT_FILENO, text.data(), text.size());
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return false;
        text.remove_prefix(static_cast<std::size_t>(count));
    }
    return true;
}

}  // namespace dlog::cli
