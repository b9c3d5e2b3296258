/// Many members of the consumer protocol at random: responses are lost, partitions are given up
/// late, members fall silent, come back and go, topics change, and the coordinator starts anew from
/// its log.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "coordination/group/consumer_harness.h"

namespace dlog::coordination::test {
namespace {

struct Client : Consumer {
    Holding told = {};  ///< What it shall have; it gets there in its own time.
    /// A response was lost. It may have told that what the client has not begun with, and so does
    /// not say to hold, goes to others: until the next one the client begins with nothing. (What
    /// one that does read in this time cannot be committed.)
    bool has_doubts = false;

    /// It gives up what it shall no longer have, and then begins with what is new.
    void reconcile() {
        std::erase_if(holding, [&](const auto& each) { return !told.contains(each); });
        if (!has_doubts) holding = told;
    }
    void abandon() {
        epoch = 0;
        holding.clear();
        told.clear();
        has_doubts = false;
    }
    void hear(const ConsumerGroupHeartbeatResponse& response) {
        if (response.error_code != ErrorCode::kNone) return abandon();
        has_doubts = false;
        Holding held = std::move(holding);
        take(response);
        if (response.assignment) told = holding;
        holding = std::move(held);
    }
};

constexpr std::string_view kPaymentsPattern = "pay.*";

class Chaos {
  public:
    explicit Chaos(std::uint64_t seed) : random_(seed) {
        const std::size_t count = 2 + random_.below(6);
        is_alike_ = random_.chance(1, 2);
        for (std::size_t i = 0; i < count; ++i) {
            Client client;
            if (random_.chance(1, 3)) client.instance = "i" + std::to_string(i);
            if (random_.chance(1, 4)) client.assignor = "range";
            client.rebalance_ms = static_cast<std::int32_t>(random_.between(5'000, 60'000));
            choose_topics(client);
            rename(client);
            clients_.push_back(client);
        }
    }

    void run(int steps) {
        for (int i = 0; i < steps; ++i) {
            act();
            check();
        }
        converge();
    }

    std::uint64_t handed_over = 0;
    std::uint64_t fenced = 0;
    std::uint64_t committed = 0;

  private:
    void rename(Client& client) { client.id = "m" + std::to_string(++names_); }
    void choose_topics(Client& client) {
        client.topics = {"orders", "payments"};
        client.pattern.reset();
        if (!is_alike_ && random_.chance(1, 2)) client.topics.erase(client.topics.begin());
        if (random_.chance(2, 3)) return;
        // The same, in other words.
        client.topics.pop_back();
        client.pattern = kPaymentsPattern;
    }

    void act() {
        Client& client = clients_[random_.below(clients_.size())];
        const auto dice = random_.below(100);
        if (dice < 45) return beat(client, random_.chance(1, 8));
        if (dice < 65) return client.reconcile();
        if (dice < 75) return commit(client);
        if (dice < 90) return world_.advance(milliseconds(random_.between(1, 6'000)));
        if (dice < 93) return restart();
        if (dice < 95) return leave(client);
        if (dice < 97) return choose_topics(client);
        if (dice < 99) return crash(client);
        change_topics();
    }

    void beat(Client& client, bool is_lost) {
        const bool says_all = client.epoch == 0 || client.has_doubts || random_.chance(3, 4);
        const auto response = send(world_, says_all ? client.full() : client.brief());
        client.has_doubts = is_lost;
        if (is_lost) return;
        if (response.error_code != ErrorCode::kNone) {
            ++fenced;
            // Its instance id is taken by what it was before: it waits for that to end.
            if (response.error_code != ErrorCode::kUnreleasedInstanceId) rename(client);
        }
        client.hear(response);
    }
    void leave(Client& client) {
        const bool comes_back = client.instance && random_.chance(2, 3);
        if (client.epoch == 0) return;
        client.leave(world_, comes_back ? -2 : -1);
        client.abandon();
        rename(client);
    }
    void crash(Client& client) {
        client.abandon();
        rename(client);
    }
    void commit(Client& client) {
        if (client.holding.empty() || !is_member(client)) return;
        // As long as it is a member, nobody else can have what it has not given up.
        auto held = client.holding.begin();
        std::advance(held, static_cast<std::ptrdiff_t>(random_.below(client.holding.size())));
        Topics::Topic topic;
        if (!world_.topics.find(held->first, topic)) return;
        const auto request =
            World::request_of(client.id, client.epoch, 1, std::string(topic.name), held->second);
        CHECK(world_.commit(request, 9) == ErrorCode::kNone);
        ++committed;
    }
    void restart() {
        const auto before = describe_consumers(world_);
        world_.restart();
        CHECK(describe_consumers(world_) == before);
    }
    void change_topics() {
        Topics::Topic& topic = world_.topics.topics[random_.below(2)];
        if (random_.chance(1, 4)) {
            topic.id = {topic.id.high, topic.id.low + 10};  // Deleted, and made anew.
        } else if (topic.partition_count < 20) {
            ++topic.partition_count;
        }
        ++world_.topics.changes;
    }

    [[nodiscard]] bool is_member(const Client& client) {
        const auto described = describe_consumers(world_);
        return client.epoch > 0 && std::ranges::any_of(described.members, [&](const auto& each) {
                   return each.member_id == client.id && each.member_epoch > 0;
               });
    }

    void check() {
        const auto described = describe_consumers(world_);
        Holding assigned;
        bool is_sound = true;
        for (const auto& member : described.members) {
            for (const auto& topic : member.assignment.topic_partitions) {
                for (const std::int32_t partition : topic.partitions) {
                    is_sound = assigned.emplace(topic.topic_id, partition).second && is_sound;
                }
            }
        }
        CHECK(is_sound);
        // What members read, whatever the coordinator believes.
        Holding read;
        for (Client& client : clients_) {
            if (client.holding.empty() || !is_member(client)) continue;
            for (const auto& each : client.holding) {
                is_sound = read.insert(each).second && is_sound;
                std::string& owner = owners_[each];
                if (!owner.empty() && owner != client.id) ++handed_over;
                owner = client.id;
            }
        }
        CHECK(is_sound);
    }

    void converge() {
        for (int round = 0; round < 80; ++round) {
            for (Client& client : clients_) {
                beat(client, false);
                client.reconcile();
                check();
            }
            world_.advance(seconds(1));
        }
        CHECK(describe_consumers(world_).group_state == "Stable");
        std::size_t wanted = 0;
        for (const auto& topic : world_.topics.topics) {
            const bool is_wanted = std::ranges::any_of(clients_, [&](const Client& client) {
                return std::ranges::find(client.topics, topic.name) != client.topics.end() ||
                       (client.pattern == kPaymentsPattern && topic.name == "payments");
            });
            if (is_wanted) wanted += static_cast<std::size_t>(topic.partition_count);
        }
        std::size_t held = 0;
        for (const Client& client : clients_) held += client.holding.size();
        CHECK(held == wanted);
        CHECK(describe_consumers(world_).members.size() == clients_.size());
        world_.advance(seconds(100));
        CHECK(describe_consumers(world_).group_state == "Empty");
    }

    Random random_;
    World world_;
    std::vector<Client> clients_;
    std::map<std::pair<TopicId, std::int32_t>, std::string> owners_;
    bool is_alike_ = false;
    int names_ = 0;
};

}  // namespace

TEST_CASE("no partition is read by two members, and the group gets where it is led (KIP-848)") {
    const char* const wanted = std::getenv("DLOG_GROUP_SEEDS");
    const std::uint64_t seeds = wanted == nullptr ? 30 : std::strtoull(wanted, nullptr, 10);
    std::uint64_t handed_over = 0;
    std::uint64_t fenced = 0;
    std::uint64_t committed = 0;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        CAPTURE(seed);
        Chaos chaos(seed);
        chaos.run(300);
        handed_over += chaos.handed_over;
        fenced += chaos.fenced;
        committed += chaos.committed;
    }
    // The test is about something.
    CHECK(handed_over > seeds * 5);
    CHECK(fenced > seeds);
    CHECK(committed > seeds * 5);
}

}  // namespace dlog::coordination::test
