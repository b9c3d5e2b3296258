#include "sdk/core.h"

#include <algorithm>
#include <string>
#include <utility>

#include "port/clock.h"
#include "port/net.h"

namespace dlog::sdk {

namespace {

/// About two seconds at the default waits: a loaded cluster takes one to tell of a new topic.
constexpr int kUnknownTopicTries = 7;

port::Task<client::Result<void>> say_hello(client::Cluster& cluster) {
    const auto connection = co_await cluster.any_connection();
    if (!connection) co_return std::unexpected(connection.error());
    co_return client::Result<void>();
}

client::ClusterConfig cluster_config(const ClientOptions& options,
                                     std::vector<port::Endpoint> bootstrap) {
    client::ClusterConfig config{.bootstrap = std::move(bootstrap)};
    config.connection.client_id = options.client_id.view();
    config.connection.connect_timeout = duration_of(options.connect_timeout);
    config.request_timeout = duration_of(options.request_timeout);
    config.backoff_min = duration_of(options.backoff_min);
    config.backoff_max = std::max(duration_of(options.backoff_max), config.backoff_min);
    config.unknown_topic_tries = kUnknownTopicTries;
    config.metadata_age_max = duration_of(options.metadata_age_max);
    return config;
}

}  // namespace

Core::Core(const ClientOptions& options)
    : request_timeout_(duration_of(options.request_timeout)),
      reactor_(std::make_unique<reactor::Reactor>(reactor::Options{.core_count = 1,
                                                                   .io_threads = 1,
                                                                   .compute_threads = 1,
                                                                   .ignores_signals = false,
                                                                   .drain_limit = seconds(2)})) {}

Core::~Core() {
    shut_down();
}

Result<Ref<Core>> Core::open(std::string_view bootstrap, const ClientOptions& options) {
    auto endpoints = client::parse_bootstrap(bootstrap);
    if (!endpoints) return std::unexpected(error_of(ErrorKind::kBadRequest, endpoints.error()));
    if (options.backoff_min.ns <= 0 || options.request_timeout.ns <= 0 ||
        options.connect_timeout.ns <= 0) {
        return std::unexpected(
            error_of(ErrorKind::kBadRequest, "ClientOptions: timeouts and waits are above zero"));
    }
    Ref<Core> core(new Core(options));
    core->cluster_ = std::make_unique<client::Cluster>(
        core->ports(), cluster_config(options, *std::move(endpoints)));
    Result<void> met = core->call<void>([core = core.get()](client::Cluster& cluster, Instant) {
        core->thread_ = std::this_thread::get_id();
        return say_hello(cluster);
    });
    if (!met) return std::unexpected(std::move(met).error());
    return core;
}

bool Core::run(reactor::Reactor::Start start) {
    const std::lock_guard lock(mutex_);
    if (is_closed_) return false;
    reactor_->run(CoreId(0), std::move(start));
    return true;
}

bool Core::run_part(Ref<Part> part, reactor::Reactor::Start start) {
    const std::lock_guard lock(mutex_);
    if (is_closed_) return false;
    parts_.push_back(std::move(part));
    reactor_->run(CoreId(0), std::move(start));
    return true;
}

void Core::forget_part(const Part& part) {
    Ref<Part> last;  // destroyed after the lock is
    const std::lock_guard lock(mutex_);
    const auto found = std::find_if(parts_.begin(), parts_.end(),
                                    [&](const Ref<Part>& one) { return one.get() == &part; });
    if (found == parts_.end() || is_closed_) return;
    last = std::move(*found);
    parts_.erase(found);
}

/// Everything that waits for the brokers ends with kClosed, and those who wait for it are told.
port::Task<void> Core::close(Core* core) {
    constexpr int kTriesMax = 2000;
    core->cluster_->close();
    for (const Ref<Part>& part : core->parts_) part->end();
    port::Clock& clock = core->ports().clock;
    for (int tries = 0; tries < kTriesMax; ++tries) {
        const bool is_over = std::all_of(core->parts_.begin(), core->parts_.end(),
                                         [](const Ref<Part>& part) { return part->has_ended(); });
        if (is_over) break;
        co_await port::sleep_for(clock, milliseconds(1));
    }
}

void Core::shut_down() {
    {
        const std::lock_guard lock(mutex_);
        if (std::exchange(is_closed_, true)) return;
    }
    // From here on nobody adds to parts_ or takes from it.
    reactor_->run_and_wait(CoreId(0), [this](port::Ports&) { return close(this); });
    for (const Ref<Part>& part : parts_) part->silence();
    reactor_->stop();
    for (const Ref<Part>& part : parts_) part->abandon();
    parts_.clear();
    cluster_.reset();
    reactor_.reset();
}

}  // namespace dlog::sdk
