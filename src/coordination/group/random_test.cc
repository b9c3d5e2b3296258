/// Many members that join, sync, beat, commit, leave and fall silent at random, and a coordinator
/// that starts anew from its log now and then.
#include <doctest/doctest.h>

#include <cstdlib>
#include <map>
#include <string>
#include <vector>

#include "base/random.h"
#include "coordination/group/harness.h"

namespace dlog::coordination::test {
namespace {

constexpr int kPartitions = 6;

struct Client {
    std::optional<std::string> instance;
    std::int16_t version = 3;
    std::string id = {};
    std::int32_t generation = -1;
    std::optional<Ticket> join = {};
    std::optional<Ticket> sync = {};
    bool is_stable = false;
    std::string partitions = {};  ///< A digit for each.

    /// What partitions are assigned to: a static member keeps its own under a new id.
    [[nodiscard]] std::string owner() const { return instance.value_or(id); }
    void forget() {
        id.clear();
        drop_requests();
    }
    void drop_requests() {
        generation = -1;
        is_stable = false;
        partitions.clear();
        join.reset();
        sync.reset();
    }
};

class Chaos {
  public:
    explicit Chaos(std::uint64_t seed) : random_(seed) {
        const std::size_t count = 2 + random_.below(6);
        for (std::size_t i = 0; i < count; ++i) {
            Client client;
            client.version = static_cast<std::int16_t>(3 + random_.below(7));
            if (random_.chance(1, 3)) client.instance = "i" + std::to_string(i);
            clients_.push_back(client);
        }
    }

    void run(int steps) {
        for (int i = 0; i < steps; ++i) {
            if (random_.chance(1, 150)) {
                restart();
            } else if (random_.chance(1, 3)) {
                world_.advance(milliseconds(random_.between(1, 3'000)));
            } else {
                act(clients_[random_.below(clients_.size())]);
            }
        }
        check_offsets();
        // Whoever waits is answered in the end, and nobody is left.
        world_.advance(seconds(1'000));
        CHECK(world_.waiting.empty());
        CHECK(world_.state() == "Empty");
        check_offsets();
    }

    std::uint64_t assigned = 0;
    std::uint64_t committed = 0;

  private:
    void act(Client& client) {
        if (client.join) return take_join(client);
        if (client.sync) return take_sync(client);
        if (!client.is_stable) return send_join(client);
        switch (random_.below(12)) {
            case 0:
                return leave(client);
            case 1:
                return client.forget();  // Falls silent, and comes back as another.
            case 2:
                return send_join(client);
            case 3:
            case 4:
            case 5:
                return commit(client);
            default:
                return react(client, world_.beat(client.id, client.generation, client.instance));
        }
    }

    void send_join(Client& client) {
        client.is_stable = false;
        const std::string metadata = random_.chance(1, 4) ? "new" : "old";
        client.join = world_.join({.member = client.id,
                                   .instance = client.instance,
                                   .protocols = {{"range", metadata}},
                                   .session_ms = 10'000,
                                   .rebalance_ms = 12'000,
                                   .version = client.version});
    }

    void take_join(Client& client) {
        if (world_.waits(*client.join)) {
            // The connection broke: the client asks again.
            if (random_.chance(1, 20)) send_join(client);
            return;
        }
        const auto reply = world_.joined(*client.join);
        client.join.reset();
        if (reply.error_code == ErrorCode::kMemberIdRequired) client.id = reply.member_id;
        if (reply.error_code != ErrorCode::kNone) return react(client, reply.error_code);
        client.id = reply.member_id;
        client.generation = reply.generation_id;
        std::map<std::string, std::string> assignments;
        for (int partition = 0; partition < kPartitions && !reply.members.empty(); ++partition) {
            const std::size_t turn = static_cast<std::size_t>(partition) % reply.members.size();
            assignments[reply.members[turn].member_id] += static_cast<char>('0' + partition);
        }
        if (reply.skip_assignment) assignments.clear();
        client.sync = world_.sync(client.id, client.generation, assignments);
    }

    void take_sync(Client& client) {
        if (world_.waits(*client.sync)) return;
        const auto& reply = world_.synced(*client.sync);
        client.sync.reset();
        if (reply.error_code != ErrorCode::kNone) return react(client, reply.error_code);
        client.is_stable = true;
        client.partitions = std::string(as_text(reply.assignment));
        for (const char partition : client.partitions) {
            const auto& owner =
                owners_.try_emplace({client.generation, partition}, client.owner()).first->second;
            CHECK(owner == client.owner());
            ++assigned;
        }
    }

    void react(Client& client, ErrorCode error) {
        switch (error) {
            case ErrorCode::kNone:
            case ErrorCode::kMemberIdRequired:
                return;
            case ErrorCode::kRebalanceInProgress:
            case ErrorCode::kIllegalGeneration:
                return client.drop_requests();
            case ErrorCode::kUnknownMemberId:
            case ErrorCode::kFencedInstanceId:
                return client.forget();
            default:
                FAIL_CHECK("unexpected error " << static_cast<int>(error));
        }
    }

    void commit(Client& client) {
        if (client.partitions.empty()) return;
        const int partition = client.partitions[random_.below(client.partitions.size())] - '0';
        const std::int64_t offset =
            offsets_[partition] + static_cast<std::int64_t>(1 + random_.below(9));
        auto request = World::request_of(client.id, client.generation, offset, "orders", partition);
        request.group_instance_id = client.instance;
        const ErrorCode error = world_.commit(request);
        if (error == ErrorCode::kNone) {
            offsets_[partition] = offset;
            ++committed;
        }
        // A rebalance is learnt of by a heartbeat.
        if (error != ErrorCode::kRebalanceInProgress) react(client, error);
    }

    void leave(Client& client) {
        const auto reply = world_.leave({{client.id, client.instance}});
        REQUIRE(reply.members.size() == 1);
        client.forget();
    }

    void restart() {
        const auto before = world_.describe();
        const auto offsets_before = world_.coordinator->counts().offsets;
        world_.restart();
        const auto after = world_.describe();
        if (before.group_state == "Stable" || before.group_state == "Empty") {
            CHECK(before == after);
        }
        CHECK(world_.coordinator->counts().offsets == offsets_before);
        check_offsets();
        for (Client& client : clients_) {
            if (client.join || client.sync) client.drop_requests();
        }
    }

    void check_offsets() {
        for (const auto& [partition, offset] : offsets_) {
            if (offset > 0) CHECK(world_.committed("orders", partition) == offset);
        }
    }

    Random random_;
    World world_;
    std::vector<Client> clients_;
    std::map<std::pair<std::int32_t, char>, std::string> owners_;
    std::map<int, std::int64_t> offsets_;
};

TEST_CASE("whatever members do, no partition has two owners and no commit is lost") {
    const char* const wanted = std::getenv("DLOG_GROUP_SEEDS");
    const std::uint64_t seeds = wanted == nullptr ? 40 : std::strtoull(wanted, nullptr, 10);
    std::uint64_t assigned = 0;
    std::uint64_t committed = 0;
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        CAPTURE(seed);
        Chaos chaos(seed);
        chaos.run(1'500);
        assigned += chaos.assigned;
        committed += chaos.committed;
    }
    // The test has tested something.
    CHECK(assigned > seeds * 20);
    CHECK(committed > seeds * 20);
}

}  // namespace
}  // namespace dlog::coordination::test
