#include "consensus/quorum/copysets.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <utility>

namespace dlog::consensus {
namespace {

std::vector<Site> sites(int nodes, int racks) {
    std::vector<Site> all;
    for (int i = 0; i < nodes; ++i) {
        const std::string rack = racks == 0 ? "" : "rack-" + std::to_string(i % racks);
        all.push_back({.node = NodeId(i + 1), .rack = rack});
    }
    return all;
}

std::vector<NodeId> nodes_of(const std::vector<Site>& all) {
    std::vector<NodeId> nodes;
    for (const Site& site : all) nodes.push_back(site.node);
    return nodes;
}

void check_sets(const Copysets& copysets, const std::vector<Site>& all, std::size_t replicas) {
    std::set<Copyset> seen;
    std::set<NodeId> covered;
    for (const Copyset& set : copysets.sets()) {
        CHECK(set.size() == replicas);
        CHECK(std::ranges::is_sorted(set));
        CHECK(std::ranges::adjacent_find(set) == set.end());
        CHECK(seen.insert(set).second);
        covered.insert(set.begin(), set.end());
    }
    for (const Site& site : all) CHECK(covered.contains(site.node));
}

TEST_CASE("each node is in copysets with as many others as the scatter width asks for") {
    Random random(1);
    for (const std::size_t width : {2U, 4U, 8U, 14U}) {
        const std::vector<Site> all = sites(50, 0);
        const Copysets copysets(all, {.replication_factor = 3, .scatter_width = width}, random);
        check_sets(copysets, all, 3);
        for (const Site& site : all) CHECK(copysets.scatter_width(site.node) >= width);
        // The least there can be is width / (R - 1) * nodes / R sets; greedy comes near.
        CHECK(copysets.sets().size() <= 2 * (width / 2 * 50 / 3 + 1));
    }
}

TEST_CASE("small clusters and scatter widths that they cannot give make all the sets there are") {
    Random random(2);
    for (int nodes = 1; nodes <= 6; ++nodes) {
        for (std::size_t replicas = 1; std::cmp_less_equal(replicas, nodes); ++replicas) {
            const std::vector<Site> all = sites(nodes, 0);
            const Copysets copysets(all, {.replication_factor = replicas, .scatter_width = 9},
                                    random);
            check_sets(copysets, all, replicas);
            for (const Site& site : all) {
                const auto most = static_cast<std::size_t>(nodes - 1);
                CHECK(copysets.scatter_width(site.node) == (replicas == 1 ? 0 : most));
            }
        }
    }
}

TEST_CASE("nodes of one copyset lie in different racks while there are enough of them") {
    Random random(3);
    const std::vector<Site> all = sites(20, 4);
    Copysets copysets(all, {}, random);
    const auto check_racks = [&] {
        for (const Copyset& set : copysets.sets()) {
            std::set<int> racks;
            for (const NodeId node : set) racks.insert((node.value - 1) % 4);
            CHECK(racks.size() == 3);
        }
    };
    check_racks();
    copysets.remove(NodeId(7), random);
    check_racks();
    const Copysets two_racks(sites(10, 2), {}, random);
    check_sets(two_racks, sites(10, 2), 3);
}

TEST_CASE("nodes come and go, and the sets they are not in stay as they are") {
    Random random(4);
    std::vector<Site> all = sites(12, 0);
    Copysets copysets(all, {}, random);
    const std::vector<Copyset> before = copysets.sets();
    copysets.add({.node = NodeId(13), .rack = ""}, random);
    for (const Copyset& set : before)
        CHECK(std::ranges::find(copysets.sets(), set) != copysets.sets().end());
    CHECK(copysets.scatter_width(NodeId(13)) >= 4);
    copysets.remove(NodeId(1), random);
    for (const Copyset& set : copysets.sets())
        CHECK(std::ranges::find(set, NodeId(1)) == set.end());
    for (const Copyset& set : before) {
        if (std::ranges::find(set, NodeId(1)) != set.end()) continue;
        CHECK(std::ranges::find(copysets.sets(), set) != copysets.sets().end());
    }
}

TEST_CASE("partitions spread evenly over nodes, and so do their leaders") {
    Random random(5);
    const std::vector<Site> all = sites(9, 3);
    const Copysets copysets(all, {}, random);
    std::map<NodeId, std::size_t> load;
    std::map<NodeId, std::size_t> leads;
    for (int i = 0; i < 900; ++i) {
        const std::vector<NodeId> replicas = copysets.place(load, random);
        for (const NodeId node : replicas) ++load[node];
        ++leads[replicas.front()];
    }
    for (const Site& site : all) {
        CHECK(load[site.node] >= 290);
        CHECK(load[site.node] <= 310);
        CHECK(leads[site.node] >= 60);
        CHECK(leads[site.node] <= 140);
    }
}

TEST_CASE("the probability of loss is counted: one set of three among five nodes") {
    Random random(6);
    const std::vector<NodeId> nodes = nodes_of(sites(5, 0));
    const std::vector<Copyset> sets{{NodeId(1), NodeId(2), NodeId(3)}};
    CHECK(loss_probability(nodes, sets, 2, random) == 0.0);
    CHECK(loss_probability(nodes, sets, 3, random) == doctest::Approx(1.0 / 10));
    CHECK(loss_probability(nodes, sets, 4, random) == doctest::Approx(2.0 / 5));
    CHECK(loss_probability(nodes, sets, 5, random) == 1.0);
}

TEST_CASE("sampled and counted probabilities of loss agree") {
    Random random(7);
    const std::vector<NodeId> nodes = nodes_of(sites(20, 0));
    const std::vector<Copyset> sets = random_placement(nodes, 3, 100, random);
    const double counted = loss_probability(nodes, sets, 3, random);
    const double sampled = loss_probability(nodes, sets, 3, random, 1'000);
    CHECK(counted > 0.05);
    CHECK(sampled == doctest::Approx(counted).epsilon(0.5));
}

TEST_CASE("copysets lose data far less often than random placement does (Cidon 2013, §1)") {
    Random random(8);
    const std::vector<Site> all = sites(100, 0);
    const std::vector<NodeId> nodes = nodes_of(all);
    const Copysets copysets(all, {}, random);
    const double ours = loss_probability(nodes, copysets.sets(), 3, random);
    const double theirs =
        loss_probability(nodes, random_placement(nodes, 3, 10'000, random), 3, random);
    CHECK(ours * 50 < theirs);
    CHECK(ours > 0.0);
}

}  // namespace
}  // namespace dlog::consensus
