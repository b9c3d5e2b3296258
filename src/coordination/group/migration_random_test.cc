/// Members of both protocols at random, in a group that goes from one to the other and back:
/// members fall silent, come and go, partitions are added, and the coordinator starts anew from its
/// log.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/random.h"
#include "coordination/group/classic_client.h"

namespace dlog::coordination::test {
namespace {

class Chaos {
  public:
    explicit Chaos(std::uint64_t seed) : random_(seed) {
        const bool is_cooperative = random_.chance(1, 2);
        const std::size_t count = 1 + random_.below(4);
        for (std::size_t i = 0; i < count; ++i) {
            ClassicClient client{.is_cooperative = is_cooperative};
            if (random_.chance(1, 3)) client.instance = "c" + std::to_string(i);
            classic_.push_back(client);
        }
        consumers_.resize(1 + random_.below(3));
        for (Consumer& consumer : consumers_) rename(consumer);
    }

    void run(int steps) {
        for (int i = 0; i < steps; ++i) {
            act();
            look();
        }
        converge(true);
        converge(false);
    }

    std::uint64_t upgrades = 0;
    std::uint64_t downgrades = 0;
    std::uint64_t shared = 0;

  private:
    void rename(Consumer& consumer) { consumer.id = "n" + std::to_string(++names_); }

    void act() {
        const auto dice = random_.below(100);
        if (dice < 50) return classic_[random_.below(classic_.size())].act(world_);
        Consumer& consumer = consumers_[random_.below(consumers_.size())];
        // They come and go together, so that the group goes over and back.
        if (dice < 72) return beat(consumer);
        if (dice < 93) return world_.advance(milliseconds(random_.between(1, 1'500)));
        if (dice < 95) return leave_all();
        if (dice < 96) return crash(classic_[random_.below(classic_.size())]);
        if (dice < 98) return restart();
        if (dice < 99) return add_partition();
        wants_new_ = !wants_new_;
        if (!wants_new_) leave_all();
    }
    void beat(Consumer& consumer) {
        if (!wants_new_) return;
        if (consumer.beat(world_) != ErrorCode::kNone) rename(consumer);
    }
    void leave_all() {
        for (Consumer& consumer : consumers_) {
            if (consumer.epoch > 0) consumer.leave(world_);
            rename(consumer);
        }
    }
    static void crash(ClassicClient& client) {
        client.abandon();
        client.id.clear();
    }
    void restart() {
        const auto before = describe_consumers(world_);
        world_.restart();
        CHECK(describe_consumers(world_) == before);
    }
    void add_partition() {
        Topics::Topic& topic = world_.topics.topics[0];
        if (topic.partition_count >= 12) return;
        ++topic.partition_count;
        ++world_.topics.changes;
    }

    void look() {
        const auto described = describe_consumers(world_);
        const bool is_new = described.error_code == ErrorCode::kNone;
        if (is_new && !was_new_) ++upgrades;
        if (!is_new && was_new_) ++downgrades;
        was_new_ = is_new;
        if (!is_new) return;
        const auto is_member = [&](const std::string& id, std::int32_t epoch) {
            return std::ranges::any_of(described.members, [&](const auto& each) {
                return each.member_id == id && each.member_epoch == epoch;
            });
        };
        Holding read;
        bool is_sound = true;
        std::size_t readers = 0;
        for (const ClassicClient& client : classic_) {
            if (!client.is_member || !is_member(client.id, client.generation)) continue;
            for (const auto& each : client.holding) is_sound = read.insert(each).second && is_sound;
            if (!client.holding.empty()) readers |= 1;
        }
        for (const Consumer& client : consumers_) {
            if (client.epoch <= 0 || !is_member(client.id, client.epoch)) continue;
            for (const auto& each : client.holding) is_sound = read.insert(each).second && is_sound;
            if (!client.holding.empty()) readers |= 2;
        }
        CHECK(is_sound);
        if (readers == 3) ++shared;
    }

    void converge(bool with_new) {
        wants_new_ = with_new;
        if (!with_new) leave_all();
        for (int round = 0; round < 120; ++round) {
            for (ClassicClient& client : classic_) client.act(world_);
            for (Consumer& consumer : consumers_) beat(consumer);
            look();
            world_.advance(milliseconds(500));
        }
        const auto described = describe_consumers(world_);
        CHECK((with_new ? described.group_state : world_.state()) == "Stable");
        Holding read;
        std::size_t held = 0;
        for (const ClassicClient& client : classic_) {
            read.insert(client.holding.begin(), client.holding.end());
            held += client.holding.size();
        }
        for (const Consumer& consumer : consumers_) {
            read.insert(consumer.holding.begin(), consumer.holding.end());
            held += consumer.holding.size();
        }
        const auto count = static_cast<std::size_t>(world_.topics.topics[0].partition_count);
        CHECK(read.size() == count);
        CHECK(held == count);
    }

    Random random_;
    World world_;
    std::vector<ClassicClient> classic_;
    std::vector<Consumer> consumers_;
    bool wants_new_ = true;
    bool was_new_ = false;
    int names_ = 0;
};

}  // namespace

TEST_CASE("a group that changes its protocol at any time gives every partition to one (KIP-848)") {
    const char* const wanted = std::getenv("DLOG_GROUP_SEEDS");
    const std::uint64_t seeds = wanted == nullptr ? 30 : std::strtoull(wanted, nullptr, 10);
    std::uint64_t upgrades = 0;
    std::uint64_t downgrades = 0;
    std::uint64_t shared = 0;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        CAPTURE(seed);
        Chaos chaos(seed);
        chaos.run(600);
        upgrades += chaos.upgrades;
        downgrades += chaos.downgrades;
        shared += chaos.shared;
    }
    // The test is about something.
    CHECK(upgrades > seeds * 2);
    CHECK(downgrades > seeds * 2);
    CHECK(shared > seeds * 10);
}

}  // namespace dlog::coordination::test
