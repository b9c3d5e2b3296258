/// Any bytes as records of __consumer_offsets: what is refused is refused in words, and what is
/// accepted, however senseless, makes a coordinator that serves requests, lets time go by, and
/// writes records from which another one learns the same.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/assert.h"
#include "coordination/group/consumer_harness.h"

using namespace dlog;
using namespace dlog::coordination;

namespace {

/// Takes a piece that begins with its length, two bytes.
ByteView take(ByteView& rest) {
    if (rest.size() < 2) return {};
    const std::size_t wanted = load_big_endian<std::uint16_t>(rest.data());
    rest = rest.subspan(2);
    const std::size_t size = std::min(wanted, rest.size());
    const ByteView result = rest.first(size);
    rest = rest.subspan(size);
    return result;
}

/// Does what clients do to a group whatever it is.
void use(test::World& world, const std::string& group_id) {
    const auto described = world.describe(group_id);
    for (const auto& member : described.members) {
        world.beat(member.member_id, 1, member.group_instance_id, group_id);
        world.sync(member.member_id, 1, {}, group_id);
    }
    if (!group_id.empty()) {
        world.join({.group = group_id, .type = described.protocol_type + "x"});
        world.join({.group = group_id, .type = described.protocol_type});
        world.join({.group = group_id, .instance = "i", .type = described.protocol_type});
    }
    const auto consumers = test::describe_consumers(world, group_id);
    for (const auto& member : consumers.members) {
        test::Consumer consumer{.id = member.member_id, .instance = member.instance_id};
        consumer.group = group_id;
        for (const std::int32_t epoch : {member.member_epoch, 1, 0}) {
            consumer.epoch = epoch;
            consumer.beat(world);
            test::send(world, consumer.brief());
        }
    }
    for (const char* const instance : {"i", "j"}) {
        test::Consumer consumer{.id = "new", .instance = instance, .group = group_id};
        consumer.beat(world);
        consumer.beat(world);
        consumer.leave(world, -2);
    }
    world.fetch({.group_id = group_id, .topics = std::nullopt});
    protocol::OffsetDeleteRequest remove;
    remove.group_id = group_id;
    remove.topics.push_back({.name = "orders", .partitions = {{.partition_index = 0}}});
    const Ticket ticket = ++world.last_ticket;
    world.apply(DeleteOffsets{ticket, remove}, ticket);
    world.commit("", -1, 1, "orders", 1, group_id);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    ByteView rest(data, size);
    test::World world;
    Coordinator reader({}, 1);
    for (int count = 0; count < 64 && !rest.empty(); ++count) {
        const bool is_tombstone = (rest[0] & 1) != 0;
        rest = rest.subspan(1);
        const ByteView key = take(rest);
        const ByteView value = is_tombstone ? ByteView() : take(rest);
        const auto folded = reader.replay(key, is_tombstone, value);
        if (!folded) {
            DLOG_ASSERT(!folded.error().empty());
            continue;
        }
        world.log.push_back({Buffer::copy_of(key), Buffer::copy_of(value), is_tombstone});
    }
    world.restart();
    const std::vector<std::string> groups = world.list({});
    for (const std::string& group_id : groups) use(world, group_id);
    world.advance(seconds(400));
    for (const std::string& group_id : groups) world.remove(group_id);
    world.restart();
    // What a damaged record says lasts only until members and offsets expire.
    world.advance(seconds(3'000'000));
    return 0;
}
