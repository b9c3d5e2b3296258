#include "sim/world.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "port/teardown.h"

namespace dlog::sim {

Host::Core::Core(Host& host, Loop& loop, Network& network, Options& options, CoreId core)
    : clock(loop, host.places_[core.value], options.core, host.wall_skew_),
      disk(host.disk_, host.places_[core.value]),
      net(network, host.places_[core.value]),
      spawn(loop, host.places_, core, host.roots_, options.core),
      entropy(loop, host.places_[core.value]),
      ports{.clock = clock,
            .disk = disk,
            .net = net,
            .spawn = spawn,
            .entropy = entropy,
            .log = host.log_} {}

Host::Host(Loop& loop, Network& network, Options& options, std::uint32_t number, std::string name,
           std::uint32_t cores)
    : loop_(loop),
      network_(network),
      number_(number),
      name_(std::move(name)),
      places_(cores),
      disk_(loop, options.disk),
      log_(loop, options, name_) {
    DLOG_ASSERT(cores > 0);
    const std::int64_t skew = options.core.wall_skew_most.ns;
    wall_skew_ = {loop.random().between(-skew, skew)};
    for (std::uint32_t core = 0; core < cores; ++core) {
        places_[core].host = number;
        places_[core].core = core;
    }
    for (std::uint32_t core = 0; core < cores; ++core) {
        cores_.push_back(std::make_unique<Core>(*this, loop, network, options, CoreId(core)));
    }
    network.add_host(number, name_);
}

Host::~Host() {
    roots_.destroy_all();
    const port::Teardown teardown;
    program_.reset();
}

void Host::boot(Boot boot) {
    DLOG_ASSERT(is_up_ && program_ == nullptr);
    boot_ = std::move(boot);
    program_ = boot_(*this);
}

void Host::die(Death death) {
    DLOG_ASSERT(is_up_);
    loop_.effects().fold(Effect::kCrash, number_, static_cast<std::uint64_t>(death));
    is_up_ = false;
    for (Place& place : places_) {
        ++place.life;
        place.is_up = false;
    }
    // The network first, so that no destructor says goodbye to a peer.
    if (death == Death::kPowerLoss) {
        network_.host_lost_power(number_);
    } else {
        network_.process_died(number_);
    }
    roots_.destroy_all();
    {
        const port::Teardown teardown;
        program_.reset();
    }
    if (death == Death::kPowerLoss) {
        disk_.lose_power();
    } else {
        disk_.forget_handles();
    }
}

void Host::come_up() {
    DLOG_ASSERT(!is_up_);
    loop_.effects().fold(Effect::kCrash, number_, UINT64_MAX);
    is_up_ = true;
    for (Place& place : places_) place.is_up = true;
    network_.host_came_up(number_);
    if (boot_) program_ = boot_(*this);
}

World::World(std::uint64_t seed, Options options)
    : seed_(seed),
      options_(options),
      loop_(seed),
      random_(loop_.random().fork()),
      network_(loop_, options_.net) {}

World::~World() {
    // All frames before all programs and hosts: coroutines of one may refer to another.
    for (auto host = hosts_.rbegin(); host != hosts_.rend(); ++host) {
        network_.host_lost_power((*host)->number());
        (*host)->roots_.destroy_all();
    }
    hosts_.clear();
}

Host& World::add_host(std::string name, std::uint32_t cores) {
    const auto number = static_cast<std::uint32_t>(hosts_.size());
    hosts_.push_back(
        std::make_unique<Host>(loop_, network_, options_, number, std::move(name), cores));
    return *hosts_.back();
}

bool World::run_until(const std::function<bool()>& is_done, Duration limit) {
    const Instant end = loop_.now() + limit;
    DLOG_ASSERT(!loop_.is_stepping());
    while (true) {
        if (is_done()) return true;
        if (loop_.is_idle() || loop_.next_time() > end) {
            loop_.advance(end);
            return is_done();
        }
        loop_.step();
        bury();
        if (on_event_) on_event_();
    }
}

void World::run_for(Duration span) {
    run_until([] { return false; }, span);
}

void World::bury() {
    for (const Dying& dying : std::exchange(dying_, {})) {
        if (dying.host->is_up()) dying.host->die(dying.death);
    }
}

void World::die(Host& host, Host::Death death) {
    dying_.push_back({&host, death});
    if (!loop_.is_stepping()) bury();
}

void World::crash(Host& host) {
    die(host, Host::Death::kPowerLoss);
}
void World::kill(Host& host) {
    die(host, Host::Death::kProcess);
}

void World::restart(Host& host) {
    DLOG_ASSERT(!loop_.is_stepping());
    host.come_up();
}

void World::heal(std::uint64_t capacity_bytes) {
    network_.open_all_links();
    options_.net.reset = {};
    options_.net.refuse = {};
    for (const std::unique_ptr<Host>& host : hosts_) {
        DiskOptions& disk = host->disk().options;
        disk.read_error = {};
        disk.write_error = {};
        disk.sync_error = {};
        host->disk().stall(Instant{0});
        host->disk().set_capacity(capacity_bytes);
    }
}

std::string World::last_lines(std::size_t count) const {
    std::vector<const LogLine*> lines;
    for (const std::unique_ptr<Host>& host : hosts_) {
        for (const LogLine& line : host->log().lines()) lines.push_back(&line);
    }
    std::sort(lines.begin(), lines.end(),
              [](const LogLine* a, const LogLine* b) { return a->sequence < b->sequence; });
    std::string text;
    for (std::size_t at = lines.size() > count ? lines.size() - count : 0; at < lines.size();
         ++at) {
        text += lines[at]->text;
        text += '\n';
    }
    return text;
}

}  // namespace dlog::sim
