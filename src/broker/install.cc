#include "broker/install.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/assert.h"
#include "base/log.h"
#include "broker/core.h"
#include "broker/groups.h"
#include "broker/leftovers.h"
#include "replication/partition.h"

namespace dlog::broker {

namespace {

/// How many partitions of one core are opened at a time.
constexpr std::size_t kOpensAtOnce = 64;

struct Place {
    const TopicView* topic = nullptr;
    std::int32_t partition = 0;
};

/// What changes for one core.
struct Changes {
    std::vector<Place> opened;
    std::vector<Place> removed;
    std::vector<Place> reconfigured;
};

/// The partitions that one core is opening; lives on that core while its workers run.
struct Opening {
    Core& core;
    std::span<const Place> places;
    std::size_t next = 0;
    port::Gate workers;
};

port::Task<void> open_some(Opening* opening) {
    const port::Gate::Hold hold = opening->workers.enter();
    Core& core = opening->core;
    while (opening->next < opening->places.size()) {
        const Place place = opening->places[opening->next++];
        const metadata::TopicState& topic = *place.topic->topic;
        replication::PartitionKey key{
            .topic = topic.name, .topic_id = topic.id, .partition = PartitionId(place.partition)};
        const auto opened =
            co_await core.shard.open(std::move(key), place.topic->log_config, core.shared.epoch);
        if (opened) continue;
        core.ports.log.error("a partition cannot be opened and is not served until it can",
                             {{"topic", topic.name},
                              {"partition", place.partition},
                              {"error", replication::error_name(opened.error())}});
    }
}

port::Task<void> open_partitions(Core& core, std::span<const Place> places) {
    if (places.empty()) co_return;
    Opening opening{.core = core, .places = places};
    const std::size_t workers = std::min(places.size(), kOpensAtOnce);
    for (std::size_t i = 0; i < workers; ++i) core.ports.spawn.spawn(open_some(&opening));
    while (opening.workers.held() > 0) co_await opening.workers.left().wait();
}

port::Task<void> remove_partitions(Core& core, std::span<const Place> places) {
    for (const Place& place : places) {
        const metadata::TopicState& topic = *place.topic->topic;
        const auto removed = co_await core.shard.remove(topic.id, PartitionId(place.partition));
        if (removed) continue;
        core.ports.log.error("the files of a deleted partition could not all be removed",
                             {{"topic", topic.name},
                              {"partition", place.partition},
                              {"error", replication::error_name(removed.error())}});
    }
}

void add_places(std::vector<Changes>& cores, std::vector<Place> Changes::* list,
                const TopicView& topic, std::int32_t first, std::int32_t last) {
    for (std::int32_t partition = first; partition < last; ++partition) {
        (cores[topic.owner(partition).value].*list).push_back({&topic, partition});
    }
}

/// What the step from `old` to `next` means for each core.
std::vector<Changes> compare(const View* old, const View& next, std::size_t core_count) {
    std::vector<Changes> cores(core_count);
    // In order of name, so that everything happens in the same order on every run.
    for (const auto& [name, state] : next.state().topics()) {
        const TopicView* topic = next.find(state->id);
        const TopicView* before = old == nullptr ? nullptr : old->find(state->id);
        if (before == topic) continue;
        const std::int32_t known = before == nullptr ? 0 : before->partition_count();
        add_places(cores, &Changes::opened, *topic, known, topic->partition_count());
        if (before != nullptr && before->log_config != topic->log_config) {
            add_places(cores, &Changes::reconfigured, *topic, 0, known);
        }
    }
    if (old == nullptr) return cores;
    for (const auto& [name, state] : old->state().topics()) {
        if (next.find(state->id) != nullptr) continue;
        const TopicView* topic = old->find(state->id);
        add_places(cores, &Changes::removed, *topic, 0, topic->partition_count());
    }
    return cores;
}

/// Opens one core's new partitions. Several cores do so at a time.
port::Task<void> open_on(Core* home, Core* owner, const Changes* changes, port::Gate* gate) {
    port::Gate::Hold hold = gate->enter();
    co_await port::hop(home->ports.spawn, owner->id());
    co_await open_partitions(*owner, changes->opened);
    co_await port::hop(owner->ports.spawn, home->id());
}

port::Task<void> switch_on(Core* home, Core* owner, const Changes* changes, ViewPtr next,
                           const std::vector<std::string>* deleted_topics) {
    co_await port::hop(home->ports.spawn, owner->id());
    owner->view = std::move(next);
    for (const Place& place : changes->reconfigured) {
        owner->shard.set_config(place.topic->topic->id, PartitionId(place.partition),
                                place.topic->log_config);
    }
    owner->groups->view_changed(*deleted_topics);
    co_await remove_partitions(*owner, changes->removed);
    co_await port::hop(owner->ports.spawn, home->id());
}

std::vector<std::string> deleted_topics(const View* old, const View& next) {
    std::vector<std::string> names;
    if (old == nullptr) return names;
    for (const auto& [name, state] : old->state().topics()) {
        if (next.find(state->id) == nullptr) names.push_back(name);
    }
    return names;
}

}  // namespace

port::Task<void> install_view(Core& controller_core, ViewPtr old, ViewPtr next) {
    const std::vector<Core*>& cores = controller_core.shared.cores;
    const std::vector<Changes> changes = compare(old.get(), *next, cores.size());
    port::Gate opening;
    for (std::size_t i = 0; i < cores.size(); ++i) {
        if (changes[i].opened.empty()) continue;
        controller_core.ports.spawn.spawn(
            open_on(&controller_core, cores[i], &changes[i], &opening));
    }
    while (opening.held() > 0) co_await opening.left().wait();
    const std::vector<std::string> deleted = deleted_topics(old.get(), *next);
    for (std::size_t i = 0; i < cores.size(); ++i) {
        co_await switch_on(&controller_core, cores[i], &changes[i], next, &deleted);
    }
    for (const std::string& name : deleted) {
        co_await remove_topic_folder(controller_core.ports, controller_core.config.data_dir, name);
    }
}

}  // namespace dlog::broker
