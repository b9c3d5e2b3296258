#include "metadata/loss_report.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <span>

#include "base/random.h"
#include "consensus/quorum/copysets.h"
#include "metadata/placement.h"

namespace dlog::metadata {

namespace {

constexpr std::size_t kFailedMax = 5;
/// Sets that are looked at in all samples together: a fraction of a second.
constexpr std::size_t kLooksMax = 20'000'000;
constexpr std::size_t kSamplesMin = 1'000;
constexpr std::size_t kSamplesMax = 200'000;
/// Below this the bound on a union is as good as its probability, and better than samples.
constexpr double kRare = 0.01;

/// That `failed` out of `nodes` contain given `members` of them.
double within(std::size_t nodes, std::size_t failed, std::size_t members) {
    if (members > failed) return 0;
    double probability = 1;
    for (std::size_t i = 0; i < members; ++i) {
        probability *= static_cast<double>(failed - i) / static_cast<double>(nodes - i);
    }
    return probability;
}

/// How many partitions, by their number of replicas.
using Factors = std::map<std::size_t, std::size_t>;

double random_loss(std::size_t nodes, std::size_t failed, const Factors& factors) {
    double log_survival = 0;
    for (const auto& [factor, partitions] : factors) {
        log_survival +=
            static_cast<double>(partitions) * std::log1p(-within(nodes, failed, factor));
    }
    return -std::expm1(log_survival);
}

double placed_loss(std::span<const NodeId> nodes, std::span<const consensus::Copyset> sets,
                   std::size_t failed, Random& random) {
    double bound = 0;
    for (const consensus::Copyset& set : sets) bound += within(nodes.size(), failed, set.size());
    if (bound < kRare) return bound;
    const std::size_t samples = std::clamp(kLooksMax / sets.size(), kSamplesMin, kSamplesMax);
    return consensus::loss_probability(nodes, sets, failed, random, samples);
}

}  // namespace

LossReport loss_report(const State& state) {
    std::set<NodeId> nodes;
    std::set<consensus::Copyset> sets;
    Factors factors;
    for (const auto& [id, node] : state.nodes()) nodes.insert(id);
    for (const auto& [name, topic] : state.topics()) {
        for (const PartitionState& partition : topic->partitions) {
            consensus::Copyset set = partition.replicas;
            std::ranges::sort(set);
            nodes.insert(set.begin(), set.end());
            ++factors[set.size()];
            sets.insert(std::move(set));
        }
    }
    LossReport report{
        .nodes = nodes.size(), .partitions = state.partition_count(), .replica_sets = sets.size()};
    const std::vector<NodeId> all(nodes.begin(), nodes.end());
    const std::vector<consensus::Copyset> used(sets.begin(), sets.end());
    Random random(placement_seed(state));
    for (std::size_t failed = 1; failed <= std::min(all.size(), kFailedMax); ++failed) {
        report.lines.push_back({.failed = failed,
                                .placed = placed_loss(all, used, failed, random),
                                .random = random_loss(all.size(), failed, factors)});
    }
    return report;
}

}  // namespace dlog::metadata
