#include "metadata/placement.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/assert.h"

namespace dlog::metadata {

namespace {

/// The copysets that the comings and goings of nodes lead to. Nothing while there are fewer nodes
/// than replicas.
std::optional<consensus::Copysets> replay(const State& state, consensus::CopysetRules rules,
                                          Random& random) {
    std::optional<consensus::Copysets> copysets;
    std::vector<consensus::Site> sites;
    for (const MembershipChange& change : state.membership()) {
        if (change.joins) {
            sites.push_back({.node = change.node, .rack = change.rack});
            if (copysets) {
                copysets->add(sites.back(), random);
            } else if (sites.size() == rules.replication_factor) {
                copysets.emplace(sites, rules, random);
            }
            continue;
        }
        std::erase_if(sites, [&](const consensus::Site& site) { return site.node == change.node; });
        if (!copysets) continue;
        if (sites.size() < rules.replication_factor) {
            copysets.reset();
        } else {
            copysets->remove(change.node, random);
        }
    }
    return copysets;
}

}  // namespace

std::uint64_t placement_seed(const State& state) {
    // FNV-1a.
    std::uint64_t hash = 0xcbf29ce484222325ULL;
    for (const char c : state.cluster_id()) {
        hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
    }
    return mix_bits(hash);
}

Placer::Placer(const State& state, std::size_t scatter_width)
    : state_(state),
      scatter_width_(scatter_width),
      random_(mix_bits(placement_seed(state) + state.partition_count())) {
    for (const auto& [id, node] : state.nodes()) {
        if (node.status != NodeStatus::kActive) continue;
        const NodeLoad load = state.load_of(id);
        held_[id] = load.replicas;
        leads_[id] = load.preferred_leads;
    }
}

const consensus::Copysets& Placer::sets_of(std::size_t factor) {
    DLOG_ASSERT(factor >= 1 && factor <= node_count(), factor, node_count());
    const auto known = copysets_.find(factor);
    if (known != copysets_.end()) return known->second;
    const std::size_t width = scatter_width_ == 0 ? 2 * (factor - 1) : scatter_width_;
    Random random(mix_bits(placement_seed(state_) + factor));
    auto copysets = replay(state_, {.replication_factor = factor, .scatter_width = width}, random);
    DLOG_ASSERT(copysets.has_value(), factor, node_count());
    return copysets_.emplace(factor, *std::move(copysets)).first->second;
}

const std::vector<consensus::Copyset>& Placer::copysets(std::size_t factor) {
    return sets_of(factor).sets();
}

void Placer::count(std::span<const NodeId> replicas) {
    for (const NodeId node : replicas) ++held_[node];
    ++leads_[replicas.front()];
}

void Placer::lead_first(std::vector<NodeId>& replicas) const {
    const auto burden = [this](NodeId node) { return std::pair{leads_.at(node), held_.at(node)}; };
    std::iter_swap(replicas.begin(), std::ranges::min_element(replicas, {}, burden));
}

std::vector<NodeId> Placer::place(std::size_t factor) {
    std::vector<NodeId> replicas = sets_of(factor).place(held_, random_);
    lead_first(replicas);
    count(replicas);
    return replicas;
}

std::vector<NodeId> Placer::move(std::span<const NodeId> replicas) {
    // Fewest that have to be copied, then the least loaded.
    const auto cost = [&](const consensus::Copyset& set) {
        std::size_t copied = 0;
        std::size_t load = 0;
        for (const NodeId node : set) {
            if (std::ranges::find(replicas, node) != replicas.end()) continue;
            ++copied;
            load += held_.at(node);
        }
        return std::pair{copied, load};
    };
    const consensus::Copyset& set = *std::ranges::min_element(copysets(replicas.size()), {}, cost);
    std::vector<NodeId> moved(replicas.begin(), replicas.end());
    const auto stays = [&](NodeId node) { return std::ranges::find(set, node) != set.end(); };
    const bool is_leader_gone = !stays(moved.front());
    for (const NodeId node : set) {
        if (std::ranges::find(moved, node) != moved.end()) continue;
        *std::ranges::find_if_not(moved, stays) = node;
    }
    if (is_leader_gone) lead_first(moved);
    for (const NodeId node : replicas) {
        const auto found = held_.find(node);
        if (found == held_.end()) continue;
        --found->second;
        if (node == replicas.front()) --leads_[node];
    }
    count(moved);
    return moved;
}

}  // namespace dlog::metadata
