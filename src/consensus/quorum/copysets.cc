#include "consensus/quorum/copysets.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/assert.h"

namespace dlog::consensus {

namespace {

template <class T>
void shuffle(std::vector<T>& values, Random& random) {
    for (std::size_t i = values.size(); i > 1; --i) {
        std::swap(values[i - 1], values[random.below(i)]);
    }
}

/// Combinations of k out of n, up to a bound above which nobody counts them.
std::size_t combinations(std::size_t n, std::size_t k, std::size_t bound) {
    std::size_t count = 1;
    for (std::size_t i = 1; i <= k; ++i) {
        count = count * (n - k + i) / i;
        if (count > bound) return bound + 1;
    }
    return count;
}

/// Sets as bits of words, over the positions of nodes: whether one lies within another is a few
/// instructions.
class Bits {
  public:
    explicit Bits(std::size_t size) : words_((size + 63) / 64) {}
    void set(std::size_t at) { words_[at / 64] |= std::uint64_t{1} << at % 64; }
    void clear() { std::ranges::fill(words_, 0); }
    [[nodiscard]] bool has_all_of(const Bits& other) const {
        for (std::size_t i = 0; i < words_.size(); ++i) {
            if ((other.words_[i] & ~words_[i]) != 0) return false;
        }
        return true;
    }

  private:
    std::vector<std::uint64_t> words_;
};

/// A node without a rack is a rack of its own, of a name that no rack has.
std::string rack_of(const Site& site) {
    return site.rack.empty() ? "\x01" + std::to_string(site.node.value) : site.rack;
}

bool is_any_within(const std::vector<Bits>& sets, const Bits& failed) {
    return std::ranges::any_of(sets, [&](const Bits& set) { return failed.has_all_of(set); });
}

}  // namespace

Copysets::Copysets(std::span<const Site> sites, CopysetRules rules, Random& random)
    : rules_(rules) {
    DLOG_ASSERT(rules.replication_factor >= 1 && rules.replication_factor <= sites.size(),
                rules.replication_factor, sites.size());
    for (const Site& site : sites) racks_[site.node] = rack_of(site);
    count_racks();
    for (const NodeId node : any_order(random)) widen(node, random);
}

void Copysets::count_racks() {
    std::set<std::string> racks;
    for (const auto& [node, rack] : racks_) racks.insert(rack);
    rack_count_ = racks.size();
}

std::vector<NodeId> Copysets::any_order(Random& random) const {
    std::vector<NodeId> nodes;
    for (const auto& [node, rack] : racks_) nodes.push_back(node);
    shuffle(nodes, random);
    return nodes;
}

std::size_t Copysets::scatter_width(NodeId node) const {
    std::set<NodeId> others;
    for (const Copyset& set : sets_) {
        if (std::ranges::find(set, node) != set.end()) others.insert(set.begin(), set.end());
    }
    others.erase(node);
    return others.size();
}

bool Copysets::fits(const Copyset& set, NodeId node) const {
    if (std::ranges::find(set, node) != set.end()) return false;
    if (rack_count_ < rules_.replication_factor) return true;
    const std::string& rack = racks_.at(node);
    return std::ranges::none_of(set, [&](NodeId other) { return racks_.at(other) == rack; });
}

Copyset Copysets::set_with(NodeId node, Random& random) const {
    // Those that it shares nothing with yet come first, and of these whoever needs it most: a set
    // then widens all of its nodes.
    std::set<NodeId> known;
    for (const Copyset& set : sets_) {
        if (std::ranges::find(set, node) != set.end()) known.insert(set.begin(), set.end());
    }
    std::vector<std::pair<std::size_t, NodeId>> wanted;
    for (const NodeId other : any_order(random)) {
        const std::size_t width = scatter_width(other);
        wanted.emplace_back(known.contains(other) ? 1'000'000 + width : width, other);
    }
    std::ranges::sort(wanted, {}, &std::pair<std::size_t, NodeId>::first);
    Copyset set{node};
    for (const auto& [width, other] : wanted) {
        if (set.size() < rules_.replication_factor && fits(set, other)) set.push_back(other);
    }
    // Racks of different sizes can leave no one that fits: then copies matter more than racks.
    for (const auto& [width, other] : wanted) {
        if (set.size() == rules_.replication_factor) break;
        if (std::ranges::find(set, other) == set.end()) set.push_back(other);
    }
    std::ranges::sort(set);
    return set;
}

void Copysets::insert(Copyset set) {
    DLOG_ASSERT(set.size() == rules_.replication_factor, set.size());
    if (std::ranges::find(sets_, set) == sets_.end()) sets_.push_back(std::move(set));
}

void Copysets::widen(NodeId node, Random& random) {
    const auto is_in_one = [&] {
        return std::ranges::any_of(
            sets_, [&](const Copyset& set) { return std::ranges::find(set, node) != set.end(); });
    };
    if (!is_in_one()) insert(set_with(node, random));
    std::size_t width = scatter_width(node);
    while (width < rules_.scatter_width) {
        insert(set_with(node, random));
        const std::size_t wider = scatter_width(node);
        if (wider == width) return;
        width = wider;
    }
}

void Copysets::add(const Site& site, Random& random) {
    DLOG_ASSERT(!racks_.contains(site.node), site.node);
    racks_[site.node] = rack_of(site);
    count_racks();
    widen(site.node, random);
}

void Copysets::remove(NodeId node, Random& random) {
    DLOG_ASSERT(racks_.contains(node) && racks_.size() > rules_.replication_factor, node);
    racks_.erase(node);
    count_racks();
    std::vector<Copyset> broken;
    std::erase_if(sets_, [&](const Copyset& set) {
        if (std::ranges::find(set, node) == set.end()) return false;
        broken.push_back(set);
        return true;
    });
    for (Copyset& set : broken) {
        std::erase(set, node);
        const std::vector<NodeId> order = any_order(random);
        auto other = std::ranges::find_if(order, [&](NodeId n) { return fits(set, n); });
        if (other == order.end()) {
            other = std::ranges::find_if(
                order, [&](NodeId n) { return std::ranges::find(set, n) == set.end(); });
        }
        set.push_back(*other);
        std::ranges::sort(set);
        insert(std::move(set));
    }
}

std::vector<NodeId> Copysets::place(const std::map<NodeId, std::size_t>& load,
                                    Random& random) const {
    const auto held = [&](NodeId node) {
        const auto at = load.find(node);
        return at == load.end() ? std::size_t{0} : at->second;
    };
    const auto held_by = [&](const Copyset& set) {
        std::size_t sum = 0;
        for (const NodeId node : set) sum += held(node);
        return sum;
    };
    std::vector<const Copyset*> order;
    for (const Copyset& set : sets_) order.push_back(&set);
    shuffle(order, random);
    const Copyset* least =
        *std::ranges::min_element(order, {}, [&](const Copyset* set) { return held_by(*set); });
    std::vector<NodeId> replicas = *least;
    shuffle(replicas, random);
    std::ranges::sort(replicas, {}, held);
    return replicas;
}

double loss_probability(std::span<const NodeId> nodes, std::span<const Copyset> sets,
                        std::size_t failed, Random& random, std::size_t samples) {
    DLOG_ASSERT(failed <= nodes.size(), failed, nodes.size());
    std::map<NodeId, std::size_t> positions;
    for (const NodeId node : nodes) positions.emplace(node, positions.size());
    std::vector<Bits> wanted;
    for (const Copyset& set : std::set<Copyset>(sets.begin(), sets.end())) {
        Bits& bits = wanted.emplace_back(nodes.size());
        for (const NodeId node : set) bits.set(positions.at(node));
    }
    Bits down(nodes.size());
    std::size_t lost = 0;
    if (combinations(nodes.size(), failed, samples) <= samples) {
        std::vector<bool> chosen(nodes.size());
        std::fill(chosen.begin(), chosen.begin() + static_cast<std::ptrdiff_t>(failed), true);
        std::size_t count = 0;
        do {
            down.clear();
            for (std::size_t i = 0; i < chosen.size(); ++i) {
                if (chosen[i]) down.set(i);
            }
            if (is_any_within(wanted, down)) ++lost;
            ++count;
        } while (std::prev_permutation(chosen.begin(), chosen.end()));
        return static_cast<double>(lost) / static_cast<double>(count);
    }
    std::vector<std::size_t> order(nodes.size());
    for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
    for (std::size_t sample = 0; sample < samples; ++sample) {
        down.clear();
        for (std::size_t i = 0; i < failed; ++i) {
            std::swap(order[i], order[i + random.below(order.size() - i)]);
            down.set(order[i]);
        }
        if (is_any_within(wanted, down)) ++lost;
    }
    return static_cast<double>(lost) / static_cast<double>(samples);
}

std::vector<Copyset> random_placement(std::span<const NodeId> nodes, std::size_t replication_factor,
                                      std::size_t partitions, Random& random) {
    DLOG_ASSERT(replication_factor <= nodes.size(), replication_factor, nodes.size());
    std::vector<NodeId> order(nodes.begin(), nodes.end());
    std::vector<Copyset> sets;
    for (std::size_t i = 0; i < partitions; ++i) {
        shuffle(order, random);
        Copyset set(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(replication_factor));
        std::ranges::sort(set);
        sets.push_back(std::move(set));
    }
    return sets;
}

}  // namespace dlog::consensus
