#include "server/serve.h"

#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <memory>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "base/log.h"
#include "base/result.h"
#include "broker/node.h"
#include "port/disk.h"
#include "port/spawn.h"
#include "reactor/reactor.h"
#include "server/http.h"
#include "server/log_sink.h"
#include "server/node_config.h"
#include "server/process_metrics.h"

namespace dlog::server {

namespace {

constexpr std::string_view kLockFile = "/lock";

/// Below this a node that serves many partitions or clients runs out of descriptors.
constexpr std::uint64_t kFewDescriptors = 16'384;

/// Segments and connections each take a file descriptor; the usual soft limit of 1024 is for
/// programs that use select(2). The hard limit is the operator's word. Returns it.
std::uint64_t raise_file_limit() {
    rlimit limit{};
    const int status = ::getrlimit(RLIMIT_NOFILE, &limit);
    DLOG_ASSERT(status == 0, errno);
    const rlim_t before = std::exchange(limit.rlim_cur, limit.rlim_max);
    return ::setrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_max : before;
}

/// Says what the process's limit of descriptors leaves for connections and files.
void fit_into_file_limit(broker::NodeConfig& node, const Config& config, std::uint32_t core_count,
                         LogSink& log) {
    const std::uint64_t descriptors = raise_file_limit();
    if (!fit_into_descriptors(node, descriptors, core_count)) return;
    const bool is_short = config.source("max.connections") != ConfigSource::kDefault ||
                          config.source("open.files.max") != ConfigSource::kDefault ||
                          descriptors < kFewDescriptors;
    const std::initializer_list<LogField> fields = {
        {"descriptors", descriptors},
        {"connections", node.connections_max},
        {"segment_files_of_a_core", node.open_files_max}};
    if (is_short) {
        log.warn(
            "too few open files for the settings: raise the hard limit (ulimit -Hn, or "
            "LimitNOFILE of systemd)",
            fields);
    } else {
        log.info("the limit of open files bounds connections and segment files", fields);
    }
}

/// Request frames come and go by the megabyte. By default glibc gives their pages back to the
/// system each time, to fault them in again for the next one.
void keep_freed_memory() {
    static_cast<void>(::mallopt(M_MMAP_THRESHOLD, 32 << 20));
    static_cast<void>(::mallopt(M_TRIM_THRESHOLD, 64 << 20));
    static_cast<void>(::mallopt(M_TOP_PAD, 1 << 20));
}

LogLevel level_of(std::string_view name) {
    for (const LogLevel level : {LogLevel::kDebug, LogLevel::kInfo, LogLevel::kWarn}) {
        if (log_level_name(level) == name) return level;
    }
    return LogLevel::kError;
}

Instant monotonic_now() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    return {static_cast<std::int64_t>(now.tv_sec) * 1'000'000'000 + now.tv_nsec};
}

/// What runs on core 0 beside the node, and answers the HTTP port.
class Server final : public HttpHandler {
  public:
    Server(std::vector<port::Ports> cores, broker::NodeConfig config, std::string http)
        : cores_(std::move(cores)),
          http_text_(std::move(http)),
          node_(cores_, std::move(config)),
          http_(cores_[0], *this) {}

    /// The reason in words when it cannot start.
    port::Task<std::expected<void, std::string>> start() {
        DLOG_CO_TRY(co_await start_http());
        DLOG_CO_TRY(co_await node_.start());
        co_return std::expected<void, std::string>();
    }

    port::Task<void> stop() {
        co_await node_.stop();
        co_await http_.stop();
    }

    port::Task<HttpResponse> get(std::string path) override {
        if (path == "/metrics") {
            co_return HttpResponse{
                .content_type = "text/plain; version=0.0.4; charset=utf-8",
                .body = node_.is_ready() ? co_await node_.metrics_text() + process_metrics_text()
                                         : process_metrics_text()};
        }
        if (path == "/healthz") {
            co_await visit_cores();
            co_return HttpResponse{.body = "ok\n"};
        }
        if (path == "/readyz") {
            if (node_.is_ready()) co_return HttpResponse{.body = "ready\n"};
            co_return HttpResponse{.status = 503, .body = "not ready\n"};
        }
        co_return HttpResponse{.status = 404, .body = "there are /metrics, /healthz and /readyz\n"};
    }

    [[nodiscard]] port::Endpoint endpoint() const { return node_.endpoint(); }
    [[nodiscard]] const std::string& http() const { return http_text_; }

  private:
    port::Task<std::expected<void, std::string>> start_http() {
        if (http_text_ == "off") co_return std::expected<void, std::string>();
        port::Endpoint endpoint;
        const bool is_endpoint = port::parse_endpoint(http_text_, endpoint);
        DLOG_ASSERT(is_endpoint);
        const auto bound = co_await http_.start(endpoint);
        if (!bound) {
            co_return unexpected("Cannot listen on " + http_text_ +
                                 " for HTTP: " + std::string(port::net_error_name(bound.error())) +
                                 ". Choose another address with --http, or --http off.");
        }
        http_text_ = bound->text();
        co_return std::expected<void, std::string>();
    }

    /// Every loop takes its turn: a stuck one keeps the answer away.
    port::Task<void> visit_cores() {
        for (std::size_t core = 1; core < cores_.size(); ++core) {
            const CoreId there{static_cast<std::uint32_t>(core)};
            co_await port::hop(cores_[0].spawn, there);
            co_await port::hop(cores_[core].spawn, CoreId{0});
        }
    }

    const std::vector<port::Ports> cores_;
    std::string http_text_;
    broker::Node node_;
    HttpServer http_;
};

/// The parts of a running node, from the outside in.
struct Running {
    Running(const Config& config, LogSink& log_sink)
        : log(log_sink),
          reactor({.core_count = static_cast<std::uint32_t>(config.integer("cores")),
                   .log = &log_sink,
                   .handles_signals = true}) {}

    LogSink& log;
    reactor::Reactor reactor;
    std::unique_ptr<Server> server;  // made and destroyed on core 0
    bool is_started = false;
};

void handle_signals(Running& running) {
    running.reactor.on_signal([&running, count = 0](int signal) mutable {
        if (++count > 1) {
            ::signal(signal, SIG_DFL);
            ::raise(signal);
            ::_exit(128 + signal);
        }
        running.log.info("stopping", {{"signal", signal == SIGTERM ? "SIGTERM" : "SIGINT"}});
        running.reactor.request_stop();
    });
}

port::Task<void> start_on_core(Running* running, broker::NodeConfig node_config, std::string http,
                               Instant began) {
    std::vector<port::Ports> cores;
    for (std::uint32_t core = 0; core < running->reactor.core_count(); ++core) {
        cores.push_back(running->reactor.ports(CoreId{core}));
    }
    port::Endpoint advertised = node_config.advertised;
    const std::string data_dir = node_config.data_dir;
    const NodeId node_id = node_config.node_id;
    running->server = std::make_unique<Server>(std::move(cores), std::move(node_config), http);
    const auto started = co_await running->server->start();
    if (!started) {
        running->log.error(started.error());
        running->reactor.request_stop();
        co_return;
    }
    running->is_started = true;
    if (advertised.port == 0) advertised = running->server->endpoint();
    running->log.info("ready", {{"node", node_id},
                                {"listen", running->server->endpoint().text()},
                                {"advertise", advertised.text()},
                                {"http", running->server->http()},
                                {"data", data_dir},
                                {"cores", running->reactor.core_count()},
                                {"pid", ::getpid()},
                                {"start_ms", (monotonic_now() - began).ms()}});
}

port::Task<void> stop_on_core(Running* running) {
    co_await running->server->stop();
    running->server.reset();
}

}  // namespace

ServeOutcome serve(const Config& config) {
    const Instant began = monotonic_now();
    auto node_config = make_node_config(config);
    if (!node_config) {
        std::fprintf(stderr, "dlog: %s\n", node_config.error().message.c_str());
        return ServeOutcome::kBadConfig;
    }
    node_config->process_id = ::getpid();
    const std::string owner = pid_of_running_node(node_config->data_dir);
    if (!owner.empty()) {
        std::fprintf(stderr,
                     "dlog: a node (process %s) is using %s already\n"
                     "  stop it first, or choose another folder with --data-dir\n",
                     owner.c_str(), node_config->data_dir.c_str());
        return ServeOutcome::kFailed;
    }
    const LogFormat format =
        config.text("log.format") == "json" ? LogFormat::kJson : LogFormat::kText;
    FileLogSink log(STDERR_FILENO, format, level_of(config.text("log.level")));
    for (const std::string& warning : config.warnings) log.warn(warning);
    keep_freed_memory();
    Running running(config, log);
    fit_into_file_limit(*node_config, config, running.reactor.core_count(), log);
    handle_signals(running);
    running.reactor.run_and_wait(CoreId{0}, [&](port::Ports&) {
        return start_on_core(&running, *std::move(node_config), config.text("http"), began);
    });
    running.reactor.wait();
    running.reactor.run_and_wait(CoreId{0}, [&](port::Ports&) { return stop_on_core(&running); });
    running.reactor.stop();
    if (!running.is_started) return ServeOutcome::kFailed;
    log.info("stopped");
    return ServeOutcome::kStopped;
}

std::string pid_of_running_node(const std::string& folder) {
    const std::string path = folder + std::string(kLockFile);
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (fd < 0) return {};
    std::string pid;
    if (::flock(fd, LOCK_SH | LOCK_NB) != 0) {
        char text[32];
        const ssize_t count = ::read(fd, text, sizeof(text));
        for (ssize_t i = 0; i < count && text[i] >= '0' && text[i] <= '9'; ++i) pid += text[i];
        if (pid.empty()) pid = "?";
    }
    ::close(fd);
    return pid;
}

}  // namespace dlog::server
