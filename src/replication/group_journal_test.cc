// The journal of Raft's votes and epochs in the simulated world: what is confirmed survives
// whatever a disk and a loss of power do, and nothing is invented.

#include "replication/group_journal.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/random.h"
#include "consensus/quorum/configuration.h"
#include "port/spawn.h"
#include "replication/flusher.h"
#include "sim/world.h"

namespace dlog::replication {
namespace {

namespace raft = consensus::raft;
using port::Task;

const consensus::Configuration kVoters =
    consensus::make_configuration(std::vector{NodeId(1), NodeId(2), NodeId(3)});

raft::GroupId group(int number) {
    return {.topic = {.high = 7, .low = static_cast<std::uint64_t>(number)},
            .partition = PartitionId(number)};
}

raft::Epoch epoch(std::int32_t term, std::int64_t start) {
    return {.term = LeaderEpoch(term), .start = Offset(start), .configuration = kVoters};
}

raft::Note new_group(int number) {
    return raft::GroupNote{group(number), {.ballot = {}, .epochs = {epoch(-1, 0)}}};
}

raft::Note vote(int number, std::int32_t term, int node) {
    return raft::BallotNote{group(number), {.term = LeaderEpoch(term), .vote = NodeId(node)}};
}

/// A note that may come next, of a group that `core` of `cores` has.
raft::Note some_note(Random& random, const raft::Groups& groups, std::uint32_t core,
                     std::uint32_t cores) {
    const int number = static_cast<int>(random.below(12) * cores + core);
    const auto at = groups.find(group(number));
    if (at == groups.end()) return new_group(number);
    const raft::GroupState& state = at->second;
    const auto kind = random.below(20);
    if (kind == 0) return raft::RemovedNote{group(number)};
    if (kind < 12) return vote(number, state.ballot.term.value + 1, 1);
    const raft::Epoch& last = state.epochs[random.below(state.epochs.size())];
    return raft::EpochsNote{group(number),
                            {last.term, last.start + 3},
                            {epoch(state.epochs.back().term.value + 1, last.start.value + 3)}};
}

struct Program final : sim::Program {
    explicit Program(sim::Host& host) {
        for (std::uint32_t core = 0; core < host.core_count(); ++core) {
            flushers.push_back(std::make_unique<Flusher>(host.ports(CoreId(core))));
        }
        journals.resize(host.core_count());
    }
    std::vector<std::unique_ptr<Flusher>> flushers;
    std::vector<std::unique_ptr<GroupJournal>> journals;
};

constexpr std::uint32_t kCores = 3;

/// One machine, of whose cores a life uses some.
class Harness {
  public:
    explicit Harness(std::uint64_t seed, GroupJournalOptions journal_options = {})
        : options(journal_options), world(seed), host_(world.add_host("node", kCores)) {
        host_.boot([](sim::Host& host) { return std::make_unique<Program>(host); });
        run(make_folder(*this));
    }
    Program& program() { return static_cast<Program&>(*host_.program()); }
    GroupJournal& journal(std::uint32_t core = 0) { return *program().journals[core]; }
    sim::HostDisk& disk() { return host_.disk(); }
    sim::Host& host() { return host_; }
    port::Ports& ports(std::uint32_t core = 0) { return host_.ports(CoreId(core)); }

    void run(Task<void> task, std::uint32_t core = 0) {
        bool is_done = false;
        ports(core).spawn.spawn(note_end(std::move(task), is_done));
        REQUIRE(world.run_until([&] { return is_done; }, seconds(600)));
    }
    /// The error of a start; all journals are there when it is empty.
    std::string open(std::uint32_t count = 1) {
        std::string error;
        run(open_task(*this, count, error));
        return error;
    }
    port::DiskResult<void> note(raft::Note note, std::uint32_t core = 0) {
        port::DiskResult<void> result;
        run(note_task(*this, core, std::move(note), result), core);
        return result;
    }
    void crash() {
        world.crash(host_);
        world.restart(host_);
    }
    /// What all cores' journals say together.
    raft::Groups all() {
        raft::Groups groups;
        std::size_t count = 0;
        for (const auto& journal : program().journals) {
            if (journal == nullptr) continue;
            count += journal->groups().size();
            groups.insert(journal->groups().begin(), journal->groups().end());
        }
        REQUIRE(groups.size() == count);
        return groups;
    }
    std::vector<std::string> files() {
        std::vector<std::string> names;
        run(list_task(*this, names));
        std::erase(names, "stranger");
        return names;
    }

    GroupJournalOptions options;
    sim::World world;

  private:
    static Task<void> note_end(Task<void> task, bool& is_done) {
        co_await std::move(task);
        is_done = true;
    }
    static Task<void> make_folder(Harness& self) {
        port::Disk& disk = self.ports().disk;
        REQUIRE(co_await disk.make_directories("data"));
        REQUIRE(co_await disk.open("data/stranger", port::OpenMode::kCreate));
        std::vector<std::string> directories{".", "data"};
        REQUIRE(co_await disk.sync({}, std::move(directories)));
    }
    static Task<void> open_task(Harness& self, std::uint32_t count, std::string& error) {
        auto opened = co_await open_group_journals(
            self.ports(), "data", count,
            [count](const raft::GroupId& id) { return CoreId(id.topic.low % count); });
        if (!opened) {
            error = opened.error();
            co_return;
        }
        for (std::uint32_t core = 0; core < count; ++core) {
            Program& program = self.program();
            program.journals[core] =
                std::make_unique<GroupJournal>(self.ports(core), *program.flushers[core],
                                               std::move((*opened)[core]), self.options);
        }
    }
    static Task<void> note_task(Harness& self, std::uint32_t core, raft::Note note,
                                port::DiskResult<void>& result) {
        result = co_await self.journal(core).note(std::move(note));
    }
    static Task<void> list_task(Harness& self, std::vector<std::string>& names) {
        auto listed = co_await self.ports().disk.list("data");
        REQUIRE(listed);
        names = *std::move(listed);
    }

    sim::Host& host_;
};

TEST_CASE("what was noted is there after a loss of power, and a removed group is not") {
    Harness harness(1);
    REQUIRE(harness.open().empty());
    REQUIRE(harness.note(new_group(1)));
    REQUIRE(harness.note(new_group(2)));
    REQUIRE(harness.note(vote(1, 5, 2)));
    REQUIRE(harness.note(raft::EpochsNote{group(1), {LeaderEpoch(-1), Offset(9)}, {epoch(5, 9)}}));
    REQUIRE(harness.note(raft::RemovedNote{group(2)}));
    const raft::Groups before = harness.all();
    harness.crash();
    REQUIRE(harness.open().empty());
    CHECK(harness.all() == before);
    REQUIRE(harness.journal().find(group(1)) != nullptr);
    CHECK(harness.journal().find(group(1))->ballot.vote == NodeId(2));
    CHECK(harness.journal().find(group(2)) == nullptr);
}

Task<void> note_and_count(GroupJournal& journal, raft::Note note, int& good, int& bad) {
    const auto done = co_await journal.note(std::move(note));
    ++(done ? good : bad);
}

TEST_CASE("a thousand groups that elect at once share a few syncs") {
    int good = 0;
    int bad = 0;
    Harness harness(2);
    REQUIRE(harness.open().empty());
    auto& spawn = harness.ports().spawn;
    for (int i = 0; i < 1'000; ++i) {
        spawn.spawn(note_and_count(harness.journal(), new_group(i), good, bad));
    }
    REQUIRE(harness.world.run_until([&] { return good == 1'000; }, seconds(10)));
    for (int i = 0; i < 1'000; ++i) {
        spawn.spawn(note_and_count(harness.journal(), vote(i, 1, 1), good, bad));
    }
    REQUIRE(harness.world.run_until([&] { return good == 2'000; }, seconds(10)));
    CHECK(bad == 0);
    CHECK(harness.journal().metrics().notes == 2'000);
    CHECK(harness.journal().metrics().appends <= 4);
    CHECK(harness.program().flushers[0]->syncs() <= 4);
}

void fail_and_heal(bool is_write) {
    CAPTURE(is_write);
    int good = 0;
    int bad = 0;
    Harness harness(3);
    REQUIRE(harness.open().empty());
    REQUIRE(harness.note(new_group(1)));
    (is_write ? harness.disk().options.write_error : harness.disk().options.sync_error) = {1};
    for (int term = 1; term <= 5; ++term) {
        harness.ports().spawn.spawn(note_and_count(harness.journal(), vote(1, term, 1), good, bad));
    }
    REQUIRE(harness.world.run_until([&] { return bad == 5; }, seconds(10)));
    CHECK(harness.journal().is_broken());
    CHECK(!harness.note(vote(1, 6, 1)));
    harness.world.run_for(seconds(20));
    CHECK(harness.journal().is_broken());
    // 50 ms, 100 ms and so on up to 5 s: some ten attempts.
    CHECK(harness.journal().metrics().failures <= 15);
    harness.world.heal();
    REQUIRE(harness.world.run_until([&] { return !harness.journal().is_broken(); }, seconds(20)));
    CHECK(harness.journal().metrics().rewrites == 1);
    REQUIRE(harness.note(vote(1, 7, 3)));
    CHECK(good == 0);
    harness.crash();
    REQUIRE(harness.open().empty());
    CHECK(harness.journal().find(group(1))->ballot ==
          raft::Ballot{.term = LeaderEpoch(7), .vote = NodeId(3)});
}

TEST_CASE(
    "after a failure everyone of the batch hears it, and a whole new file comes before more") {
    fail_and_heal(false);
    fail_and_heal(true);
}

TEST_CASE("a file that has grown is written anew, and a full disk only puts that off") {
    Harness harness(4, {.rewrite_bytes = 2'000});
    REQUIRE(harness.open().empty());
    REQUIRE(harness.note(new_group(1)));
    for (int term = 1; term <= 200; ++term) REQUIRE(harness.note(vote(1, term, 1)));
    CHECK(harness.journal().metrics().rewrites >= 3);
    CHECK(harness.journal().size_bytes() <= 2'100);
    CHECK(harness.journal().metrics().failures == 0);
    // One page more than there is, so that the new file does not fit.
    harness.disk().set_capacity(harness.disk().image.used_bytes());
    const std::uint64_t rewrites = harness.journal().metrics().rewrites;
    for (int term = 201; term <= 240; ++term) REQUIRE(harness.note(vote(1, term, 1)));
    CHECK(harness.journal().metrics().rewrites == rewrites);
    CHECK(harness.journal().metrics().failures == 1);
    harness.world.heal();
    for (int term = 241; term <= 400; ++term) REQUIRE(harness.note(vote(1, term, 1)));
    CHECK(harness.journal().metrics().rewrites > rewrites);
    harness.crash();
    REQUIRE(harness.open().empty());
    CHECK(harness.journal().find(group(1))->ballot.term == LeaderEpoch(400));
}

TEST_CASE("a start with other cores gives every group to the one that has it now") {
    Harness harness(5);
    REQUIRE(harness.open(2).empty());
    for (int i = 0; i < 12; ++i) {
        REQUIRE(harness.note(new_group(i), static_cast<std::uint32_t>(i % 2)));
    }
    const raft::Groups before = harness.all();
    for (const std::uint32_t cores : {3U, 1U, 2U, 3U}) {
        harness.crash();
        REQUIRE(harness.open(cores).empty());
        CHECK(harness.all() == before);
        CHECK(harness.files().size() == cores);
        for (std::uint32_t core = 0; core < cores; ++core) {
            for (const auto& [id, state] : harness.journal(core).groups()) {
                CHECK(id.topic.low % cores == core);
            }
        }
    }
}

Task<void> open_and_drop(port::Ports ports, std::uint32_t cores, bool& is_done) {
    const auto opened = co_await open_group_journals(
        ports, "data", cores,
        [cores](const raft::GroupId& id) { return CoreId(id.topic.low % cores); });
    is_done = opened.has_value();
}

TEST_CASE("a loss of power at any instant of a start leaves the next what this one had") {
    for (std::uint64_t seed = 0; seed < 150; ++seed) {
        CAPTURE(seed);
        bool is_done = false;
        Harness harness(seed);
        raft::Groups before;
        const std::uint32_t old_cores = 1 + seed % 3;
        // Every third: the very first start is the one that breaks off.
        if (seed % 3 != 0) {
            REQUIRE(harness.open(old_cores).empty());
            for (std::uint32_t i = 0; i < 9; ++i) {
                REQUIRE(harness.note(new_group(static_cast<int>(i)), i % old_cores));
            }
            before = harness.all();
            harness.crash();
        }
        for (int start = 0; start < 4; ++start) {
            const auto cores = static_cast<std::uint32_t>(1 + harness.world.random().below(3));
            harness.ports().spawn.spawn(open_and_drop(harness.ports(), cores, is_done));
            harness.world.run_for(microseconds(harness.world.random().below(6'000)));
            harness.crash();
        }
        const std::string error = harness.open(2);
        REQUIRE_MESSAGE(error.empty(), error);
        REQUIRE(harness.all() == before);
        REQUIRE(harness.files().size() == 2);
    }
}

TEST_CASE("a damaged or missing journal refuses the start with its name and what to do") {
    Harness harness(6);
    REQUIRE(harness.open(2).empty());
    for (std::uint32_t i = 0; i < 6; ++i) {
        REQUIRE(harness.note(new_group(static_cast<int>(i)), i % 2));
    }
    harness.crash();
    const std::string path = "data/" + harness.files().back();
    REQUIRE(harness.disk().flip_bit(path, 30, 3));
    const std::string error = harness.open(2);
    CHECK(error.find(path + " is damaged") != std::string::npos);
    CHECK(error.find("do not delete it") != std::string::npos);
    REQUIRE(harness.disk().flip_bit(path, 30, 3));
    REQUIRE(harness.disk().image.remove(path));
    CHECK(harness.open(1).find(path + " is missing") != std::string::npos);
}

/// One core's calls in their order, and what came of them.
struct Calls {
    std::vector<raft::Note> notes;
    std::size_t confirmed = 0;  ///< All up to here have to be there.
};

Task<void> live(Harness& harness, std::uint32_t core, std::uint32_t cores, Calls& calls,
                Random random) {
    while (true) {
        GroupJournal& journal = harness.journal(core);
        const raft::Note note = some_note(random, journal.groups(), core, cores);
        calls.notes.push_back(note);
        const std::size_t number = calls.notes.size();
        if (co_await journal.note(note)) calls.confirmed = std::max(calls.confirmed, number);
        co_await port::sleep_for(harness.ports(core).clock,
                                 microseconds(static_cast<std::int64_t>(random.below(2'000))));
    }
}

/// Whether `found` is what `before` and the calls up to one at or behind the last confirmed say.
bool is_prefix(raft::Groups before, const Calls& calls, const raft::Groups& found) {
    bool is_found = calls.confirmed == 0 && before == found;
    for (std::size_t i = 0; i < calls.notes.size(); ++i) {
        if (!raft::fold(before, calls.notes[i])) return false;
        is_found |= i + 1 >= calls.confirmed && before == found;
    }
    return is_found;
}

raft::Groups of_core(const raft::Groups& groups, std::uint32_t core, std::uint32_t cores) {
    raft::Groups owned;
    for (const auto& [id, state] : groups) {
        if (id.topic.low % cores == core) owned.emplace(id, state);
    }
    return owned;
}

void live_and_crash(Harness& harness, std::vector<Calls>& calls) {
    Random& random = harness.world.random();
    const auto cores = static_cast<std::uint32_t>(1 + random.below(kCores));
    const std::string error = harness.open(cores);
    REQUIRE_MESSAGE(error.empty(), error);
    const raft::Groups before = harness.all();
    calls.assign(cores, {});
    for (std::uint32_t core = 0; core < cores; ++core) {
        for (int i = 0; i < 5; ++i) {
            harness.ports(core).spawn.spawn(live(harness, core, cores, calls[core], random.fork()));
        }
    }
    const auto fault = random.below(4);
    if (fault == 1) harness.disk().options.write_error = {10};
    if (fault == 2) harness.disk().options.sync_error = {10};
    if (fault == 3) harness.disk().set_capacity(harness.disk().image.used_bytes() + 4'096);
    harness.world.run_for(microseconds(static_cast<std::int64_t>(random.below(200'000))));
    harness.crash();
    harness.world.heal();
    REQUIRE(harness.open(cores).empty());
    const raft::Groups after = harness.all();
    for (std::uint32_t core = 0; core < cores; ++core) {
        CAPTURE(core);
        REQUIRE(is_prefix(of_core(before, core, cores), calls[core], of_core(after, core, cores)));
    }
    harness.crash();
}

TEST_CASE(
    "lives with any crash and any failing disk keep what was confirmed, and no more than was"
    " noted") {
    std::size_t confirmed = 0;
    for (std::uint64_t seed = 0; seed < 60; ++seed) {
        CAPTURE(seed);
        std::vector<Calls> calls;
        Harness harness(seed, {.rewrite_bytes = 3'000, .backoff = milliseconds(2)});
        for (int life = 0; life < 5; ++life) {
            CAPTURE(life);
            live_and_crash(harness, calls);
            for (const Calls& one : calls) confirmed += one.confirmed;
        }
    }
    CHECK(confirmed > 1'000);
}

Task<void> stop(GroupJournal& journal) {
    co_await journal.stop();
}

TEST_CASE("a stop waits for what is under way, and not for a broken disk") {
    int good = 0;
    int bad = 0;
    Harness harness(7);
    REQUIRE(harness.open(2).empty());
    harness.ports().spawn.spawn(note_and_count(harness.journal(), new_group(2), good, bad));
    harness.run(stop(harness.journal()));
    CHECK(good == 1);
    harness.disk().options.sync_error = {1};
    CHECK(!harness.note(new_group(1), 1));
    const Instant before = harness.world.now();
    harness.run(stop(harness.journal(1)), 1);
    CHECK(harness.world.now() - before < seconds(1));
}

}  // namespace
}  // namespace dlog::replication
