#include "storage/epochs.h"

#include <doctest/doctest.h>

namespace dlog::storage {
namespace {

EpochList three_epochs() {
    EpochList list;
    list.append(LeaderEpoch{2}, Offset{0});
    list.append(LeaderEpoch{2}, Offset{5});
    list.append(LeaderEpoch{4}, Offset{10});
    list.append(LeaderEpoch{7}, Offset{20});
    return list;
}

TEST_CASE("an epoch begins where it first wrote") {
    const EpochList list = three_epochs();
    REQUIRE(list.entries().size() == 3);
    CHECK(list.latest() == LeaderEpoch{7});
    CHECK(list.epoch_of(Offset{0}) == LeaderEpoch{2});
    CHECK(list.epoch_of(Offset{9}) == LeaderEpoch{2});
    CHECK(list.epoch_of(Offset{10}) == LeaderEpoch{4});
    CHECK(list.epoch_of(Offset{400}) == LeaderEpoch{7});
}

TEST_CASE("the end of an epoch follows Kafka's OffsetForLeaderEpoch (KIP-101)") {
    const EpochList list = three_epochs();
    const Offset end{30};
    CHECK(list.end_of(LeaderEpoch{7}, end) == EpochEnd{LeaderEpoch{7}, end});
    CHECK(list.end_of(LeaderEpoch{4}, end) == EpochEnd{LeaderEpoch{4}, Offset{20}});
    // An epoch that wrote nothing: the largest one below it.
    CHECK(list.end_of(LeaderEpoch{5}, end) == EpochEnd{LeaderEpoch{4}, Offset{20}});
    // Later than all: unknown. Earlier than all: nothing of it is here.
    CHECK(list.end_of(LeaderEpoch{8}, end) == EpochEnd{});
    CHECK(list.end_of(LeaderEpoch{1}, end) == EpochEnd{LeaderEpoch{1}, Offset{0}});
    CHECK(list.end_of(LeaderEpoch{-1}, end) == EpochEnd{});
    CHECK(EpochList().end_of(LeaderEpoch{1}, end) == EpochEnd{});
}

TEST_CASE("cutting the end forgets the epochs that began there") {
    EpochList list = three_epochs();
    list.truncate_end(Offset{20});
    CHECK(list.latest() == LeaderEpoch{4});
    list.truncate_end(Offset{11});
    CHECK(list.latest() == LeaderEpoch{4});
    list.truncate_end(Offset{0});
    CHECK(list.entries().empty());
}

TEST_CASE("moving the start keeps the epoch that covers it") {
    EpochList list = three_epochs();
    list.truncate_start(Offset{12});
    REQUIRE(list.entries().size() == 2);
    CHECK(list.entries()[0] == EpochStart{LeaderEpoch{4}, Offset{12}});
    list.truncate_start(Offset{12});
    CHECK(list.entries().size() == 2);
    list.truncate_start(Offset{50});
    REQUIRE(list.entries().size() == 1);
    CHECK(list.entries()[0] == EpochStart{LeaderEpoch{7}, Offset{50}});
}

TEST_CASE("an epoch that wrote nothing gives way to the next") {
    EpochList list;
    list.append(LeaderEpoch{1}, Offset{5});
    list.append(LeaderEpoch{2}, Offset{5});
    REQUIRE(list.entries().size() == 1);
    CHECK(list.entries()[0] == EpochStart{LeaderEpoch{2}, Offset{5}});
}

}  // namespace
}  // namespace dlog::storage
