#include "consensus/raft/journal.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "base/random.h"

namespace dlog::consensus::raft {
namespace {

const Configuration kVoters = make_configuration(std::vector{NodeId(1), NodeId(2), NodeId(3)});

GroupId group(int number) {
    return {.topic = {.high = 7, .low = static_cast<std::uint64_t>(number)},
            .partition = PartitionId(number)};
}

Epoch epoch(std::int32_t term, std::int64_t start) {
    return {.term = LeaderEpoch(term), .start = Offset(start), .configuration = kVoters};
}

Ballot ballot(std::int32_t term, int vote) {
    return {.term = LeaderEpoch(term), .vote = NodeId(vote)};
}

/// A journal as a driver writes it, and what it should say after each note.
struct Journal {
    std::vector<std::uint8_t> file;
    std::vector<std::size_t> ends;
    std::vector<Groups> said;
    Groups groups;
    std::uint64_t synced = 0;

    Journal() {
        const Buffer head = begin_journal({});
        file.assign(head.view().begin(), head.view().end());
        keep();
        sync();
    }
    void keep() {
        ends.push_back(file.size());
        said.push_back(groups);
    }
    void sync() { synced = file.size(); }
    void note(const Note& one) {
        REQUIRE(fold(groups, one));
        const Buffer bytes = encode_note(one, synced);
        file.insert(file.end(), bytes.view().begin(), bytes.view().end());
        keep();
    }
};

/// The life of two groups: `sync` after each note if `is_synced`.
Journal sample(bool is_synced) {
    Journal journal;
    const std::vector<Note> notes{
        GroupNote{group(1), {.ballot = {}, .epochs = {epoch(-1, 0)}}},
        BallotNote{group(1), ballot(0, 2)},
        EpochsNote{group(1), {LeaderEpoch(-1), Offset(0)}, {epoch(0, 0)}},
        GroupNote{group(2), {.ballot = ballot(4, 1), .epochs = {epoch(3, 100)}}},
        EpochsNote{group(1), {LeaderEpoch(0), Offset(30)}, {epoch(2, 40), epoch(5, 40)}},
        EpochsNote{group(1), {LeaderEpoch(2), Offset(40)}, {epoch(6, 40)}},
        BallotNote{group(1), {.term = LeaderEpoch(9), .vote = {}}},
        RemovedNote{group(2)},
    };
    for (const Note& note : notes) {
        journal.note(note);
        if (is_synced) journal.sync();
    }
    return journal;
}

TEST_CASE("a journal says what was noted, and a new file says the same") {
    const Journal journal = sample(true);
    const Result<JournalImage> image = read_journal(journal.file);
    REQUIRE(image.has_value());
    CHECK(image->groups == journal.groups);
    CHECK(image->size_bytes == journal.file.size());
    const std::vector<Epoch> expected{epoch(-1, 0), epoch(0, 0), epoch(2, 40), epoch(6, 40)};
    CHECK(image->groups.at(group(1)).epochs == expected);
    CHECK(!image->groups.contains(group(2)));
    const Buffer anew = begin_journal(image->groups);
    CHECK(read_journal(anew.view()).value().groups == journal.groups);
    CHECK(anew.size() < journal.file.size());
}

TEST_CASE("a file that a loss of power cut short says what was whole") {
    const Journal journal = sample(false);
    for (std::size_t size = journal.ends.front(); size <= journal.file.size(); ++size) {
        const Result<JournalImage> image = read_journal(ByteView(journal.file).first(size));
        REQUIRE(image.has_value());
        std::size_t whole = 0;
        while (whole + 1 < journal.ends.size() && journal.ends[whole + 1] <= size) ++whole;
        CHECK(image->size_bytes == journal.ends[whole]);
        CHECK(image->groups == journal.said[whole]);
    }
}

TEST_CASE("a changed byte that was on stable storage is damage, but for the last note's") {
    const Journal journal = sample(true);
    const std::size_t last = journal.ends[journal.ends.size() - 2];
    for (std::size_t at = 0; at < journal.file.size(); ++at) {
        std::vector<std::uint8_t> changed = journal.file;
        changed[at] ^= 0x20;
        const Result<JournalImage> image = read_journal(changed);
        if (at < last) {
            CHECK(!image.has_value());
        } else if (image) {
            CHECK(image->groups == journal.said[journal.said.size() - 2]);
        }
    }
}

TEST_CASE("what a file began with is damaged by any changed byte and by any cut") {
    const Buffer begun = begin_journal(sample(true).groups);
    REQUIRE(read_journal(begun.view()).has_value());
    const std::vector<std::uint8_t> file(begun.view().begin(), begun.view().end());
    for (std::size_t at = 0; at < file.size(); ++at) {
        std::vector<std::uint8_t> changed = file;
        changed[at] ^= 0x20;
        CHECK(!read_journal(changed).has_value());
        CHECK(read_journal(ByteView(file).first(at)).error() == Error::kDamaged);
    }
}

TEST_CASE("what was never synced may be lost in the middle: the file ends there") {
    const Journal journal = sample(false);
    for (std::size_t i = 1; i + 1 < journal.ends.size(); ++i) {
        std::vector<std::uint8_t> torn = journal.file;
        std::fill(torn.begin() + static_cast<std::ptrdiff_t>(journal.ends[i]),
                  torn.begin() + static_cast<std::ptrdiff_t>(journal.ends[i + 1]), 0);
        const Result<JournalImage> image = read_journal(torn);
        REQUIRE(image.has_value());
        CHECK(image->groups == journal.said[i]);
    }
}

TEST_CASE("no bytes, however hostile, make a journal that contradicts itself") {
    Random random(4);
    const Journal journal = sample(true);
    for (int round = 0; round < 2'000; ++round) {
        std::vector<std::uint8_t> bytes = journal.file;
        for (std::uint64_t i = random.below(6); i > 0; --i) {
            bytes[random.below(bytes.size())] = static_cast<std::uint8_t>(random.below(256));
        }
        bytes.resize(random.below(bytes.size() + 20));
        const Result<JournalImage> image = read_journal(bytes);
        if (!image) continue;
        CHECK(image->size_bytes <= bytes.size());
        for (const auto& [id, state] : image->groups) CHECK(!state.epochs.empty());
    }
    CHECK(read_journal({}).error() == Error::kDamaged);
    std::vector<std::uint8_t> newer = journal.file;
    newer[4] = 2;
    CHECK(read_journal(newer).error() == Error::kUnsupportedVersion);
}

TEST_CASE("notes that do not follow from what is known are refused") {
    Groups groups;
    CHECK(!fold(groups, BallotNote{group(1), ballot(1, 1)}));
    CHECK(!fold(groups, RemovedNote{group(1)}));
    REQUIRE(fold(groups, GroupNote{group(1), {.ballot = ballot(5, 1), .epochs = {epoch(5, 50)}}}));
    CHECK(!fold(groups, BallotNote{group(1), ballot(4, 1)}));
    CHECK(!fold(groups, EpochsNote{group(1), {LeaderEpoch(4), Offset(50)}, {epoch(6, 50)}}));
    CHECK(!fold(groups, EpochsNote{group(1), {LeaderEpoch(5), Offset(50)}, {epoch(6, 49)}}));
    CHECK(fold(groups, EpochsNote{group(1), {LeaderEpoch(5), Offset(50)}, {epoch(6, 50)}}));
}

TEST_CASE("a history begins and ends where the log does") {
    const GroupState state{.ballot = ballot(9, 1),
                           .epochs = {epoch(-1, 0), epoch(0, 0), epoch(3, 40), epoch(9, 90)}};
    const Result<History> whole = recover_history(state, Offset(0), Offset(90));
    REQUIRE(whole.has_value());
    CHECK(whole->end() == LogPosition{LeaderEpoch(9), Offset(90)});
    const Result<History> shorter = recover_history(state, Offset(45), Offset(60));
    REQUIRE(shorter.has_value());
    CHECK(shorter->start() == LogPosition{LeaderEpoch(3), Offset(45)});
    CHECK(shorter->end() == LogPosition{LeaderEpoch(3), Offset(60)});
    CHECK(!recover_history({.epochs = {epoch(3, 40)}}, Offset(0), Offset(60)).has_value());
    CHECK(!recover_history({}, Offset(0), Offset(0)).has_value());
}

}  // namespace
}  // namespace dlog::consensus::raft
