/// Where replicas lie (Cidon, Rumble, Stutsman, Katti, Ousterhout and Rosenblum, "Copysets:
/// Reducing the Frequency of Data Loss in Cloud Storage", USENIX ATC 2013). Data is lost when all
/// nodes of some replica set fail at once. Random placement makes nearly every combination of nodes
/// such a set; here few are, each node still sharing data with `scatter width` others, so that what
/// a dead node held is rebuilt from and to many.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/ids.h"
#include "base/random.h"

namespace dlog::consensus {

/// A node that may hold replicas. Nodes of one rack fail together; without a name each is its own.
struct Site {
    NodeId node;
    std::string rack;
};

/// The nodes of one set, ascending.
using Copyset = std::vector<NodeId>;

struct CopysetRules {
    /// R. At most as many as there are nodes.
    std::size_t replication_factor = 3;
    /// S: with how many others a node shares data, at least; as far as the nodes allow.
    std::size_t scatter_width = 4;
};

/// The copysets of a cluster. Nodes of one copyset lie in different racks as long as there are
/// enough of these.
class Copysets {
  public:
    /// No two sets are the same. Every node is in at least one.
    Copysets(std::span<const Site> sites, CopysetRules rules, Random& random);

    [[nodiscard]] const std::vector<Copyset>& sets() const { return sets_; }
    /// How many others `node` is in a set with.
    [[nodiscard]] std::size_t scatter_width(NodeId node) const;

    /// The sets that a new node joins are new; those that are stay.
    void add(const Site& site, Random& random);
    /// Another node takes its place in every set that it was in. At least as many nodes as replicas
    /// are left.
    void remove(NodeId node, Random& random);

    /// Where the next partition goes: the set whose nodes hold the least, its least loaded node
    /// first, as the one to lead. `load` says how many replicas a node holds.
    [[nodiscard]] std::vector<NodeId> place(const std::map<NodeId, std::size_t>& load,
                                            Random& random) const;

  private:
    void count_racks();
    [[nodiscard]] std::vector<NodeId> any_order(Random& random) const;
    [[nodiscard]] bool fits(const Copyset& set, NodeId node) const;
    [[nodiscard]] Copyset set_with(NodeId node, Random& random) const;
    void insert(Copyset set);
    void widen(NodeId node, Random& random);

    CopysetRules rules_;
    std::map<NodeId, std::string> racks_;
    std::size_t rack_count_ = 0;  ///< of different ones in racks_
    std::vector<Copyset> sets_;
};

/// How likely it is that `failed` nodes out of `nodes`, any with the same probability, hold all
/// copies of something: `sets` are the replica sets that are in use. Exact where the combinations
/// can be counted, else from `samples` of them.
[[nodiscard]] double loss_probability(std::span<const NodeId> nodes, std::span<const Copyset> sets,
                                      std::size_t failed, Random& random,
                                      std::size_t samples = 200'000);

/// The replica sets of `partitions` partitions that are each placed on any nodes.
[[nodiscard]] std::vector<Copyset> random_placement(std::span<const NodeId> nodes,
                                                    std::size_t replication_factor,
                                                    std::size_t partitions, Random& random);

}  // namespace dlog::consensus
