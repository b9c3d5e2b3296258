#include "consensus/raft/journal.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/assert.h"
#include "base/result.h"
#include "codec/crc32c.h"
#include "consensus/messages/raft_messages.h"
#include "consensus/raft/wire_epochs.h"
#include "protocol/record_variant.h"

namespace dlog::consensus::raft {

namespace {

using Entry = std::variant<BallotEntry, EpochsEntry, GroupEntry, RemovedEntry>;

/// A file's head: magic, version, the CRC-32C of what follows in it, the size that the file began
/// with.
constexpr std::uint32_t kMagic = 0x4a474c44;  // "DLGJ"
constexpr std::uint32_t kVersion = 1;
constexpr std::size_t kHeadBytes = 20;
/// An entry's: its body's length, the CRC-32C of what follows, how much was synced before it.
constexpr std::size_t kEntryHeadBytes = 16;
constexpr std::uint32_t kBodyBytesMax = 1 << 26;

Entry to_entry(const BallotNote& note) {
    BallotEntry entry;
    entry.term = note.ballot.term.value;
    entry.vote = note.ballot.vote.value_or(NodeId(-1)).value;
    return entry;
}

Entry to_entry(const EpochsNote& note) {
    EpochsEntry entry;
    entry.keep_term = note.keep.term.value;
    entry.keep_offset = note.keep.end.value;
    put_epochs(note.epochs, entry.epochs);
    return entry;
}

Entry to_entry(const GroupNote& note) {
    GroupEntry entry;
    entry.term = note.state.ballot.term.value;
    entry.vote = note.state.ballot.vote.value_or(NodeId(-1)).value;
    put_epochs(note.state.epochs, entry.epochs);
    return entry;
}

Entry to_entry(const RemovedNote& /*note*/) {
    return RemovedEntry{};
}

std::optional<Ballot> take_ballot(std::int32_t term, std::int32_t vote) {
    if (!is_term(term) || vote < -1) return {};
    Ballot ballot{.term = LeaderEpoch(term), .vote = {}};
    if (vote >= 0) ballot.vote = NodeId(vote);
    return ballot;
}

std::optional<Note> from_entry(const BallotEntry& entry, const GroupId& group) {
    const std::optional<Ballot> ballot = take_ballot(entry.term, entry.vote);
    if (!ballot) return {};
    return BallotNote{.group = group, .ballot = *ballot};
}

std::optional<Note> from_entry(const EpochsEntry& entry, const GroupId& group) {
    EpochsNote note{.group = group,
                    .keep = {LeaderEpoch(entry.keep_term), Offset(entry.keep_offset)},
                    .epochs = {}};
    const bool is_good =
        is_position(entry.keep_term, entry.keep_offset) && take_epochs(entry.epochs, note.epochs);
    return is_good ? std::optional<Note>(std::move(note)) : std::nullopt;
}

std::optional<Note> from_entry(const GroupEntry& entry, const GroupId& group) {
    const std::optional<Ballot> ballot = take_ballot(entry.term, entry.vote);
    GroupNote note{.group = group, .state = {}};
    if (!ballot || !take_epochs(entry.epochs, note.state.epochs)) return {};
    if (note.state.epochs.empty()) return {};
    note.state.ballot = *ballot;
    return note;
}

std::optional<Note> from_entry(const RemovedEntry& /*entry*/, const GroupId& group) {
    return RemovedNote{.group = group};
}

/// The body of one entry; nullopt for what no version of ours has written.
std::optional<Note> decode_body(ByteView body) {
    auto entry = protocol::read_record<Entry>(body);
    if (!entry) return {};
    return std::visit(
        [](const auto& one) -> std::optional<Note> {
            return from_entry(one,
                              {.topic = one.topic_id, .partition = PartitionId(one.partition)});
        },
        *entry);
}

struct Framed {
    ByteView body;
    std::uint64_t synced_bytes = 0;
    std::size_t size_bytes = 0;
};

/// What begins at `position`, if it is an entry whose checksum is right.
std::optional<Framed> entry_at(ByteView file, std::size_t position) {
    if (file.size() - position < kEntryHeadBytes) return {};
    const std::uint8_t* head = file.data() + position;
    const auto length = load_little_endian<std::uint32_t>(head);
    if (length > kBodyBytesMax || length > file.size() - position - kEntryHeadBytes) return {};
    const ByteView covered = file.subspan(position + 8, 8 + length);
    if (codec::crc32c(covered) != load_little_endian<std::uint32_t>(head + 4)) return {};
    const auto synced = load_little_endian<std::uint64_t>(head + 8);
    // No entry knows of bytes behind itself; what says so is not one, by whatever chance.
    if (synced > position) return {};
    return Framed{
        .body = covered.subspan(8), .synced_bytes = synced, .size_bytes = kEntryHeadBytes + length};
}

/// Whether any entry behind `position` knows that the bytes there were on stable storage.
bool was_synced(ByteView file, std::size_t position) {
    for (std::size_t at = position + 1; at + kEntryHeadBytes <= file.size(); ++at) {
        const auto synced = load_little_endian<std::uint64_t>(file.data() + at + 8);
        if (synced > position && entry_at(file, at)) return true;
    }
    return false;
}

bool apply_epochs(GroupState& state, const EpochsNote& note) {
    std::vector<Epoch> epochs = state.epochs;
    while (!epochs.empty() && epochs.back().term > note.keep.term) epochs.pop_back();
    if (epochs.empty() || epochs.back().term != note.keep.term) return false;
    for (const Epoch& epoch : note.epochs) {
        if (epoch.term <= epochs.back().term || epoch.start < epochs.back().start) return false;
        epochs.push_back(epoch);
    }
    state.epochs = std::move(epochs);
    return true;
}

}  // namespace

bool fold(Groups& groups, const Note& note) {
    const GroupId id = std::visit([](const auto& one) { return one.group; }, note);
    if (const auto* whole = std::get_if<GroupNote>(&note)) {
        groups[id] = whole->state;
        return true;
    }
    const auto at = groups.find(id);
    if (at == groups.end()) return false;
    if (const auto* ballot = std::get_if<BallotNote>(&note)) {
        if (ballot->ballot.term < at->second.ballot.term) return false;
        at->second.ballot = ballot->ballot;
    } else if (const auto* epochs = std::get_if<EpochsNote>(&note)) {
        return apply_epochs(at->second, *epochs);
    } else {
        groups.erase(at);
    }
    return true;
}

Buffer encode_note(const Note& note, std::uint64_t synced_bytes) {
    Entry entry = std::visit([](const auto& one) { return to_entry(one); }, note);
    const GroupId group = std::visit([](const auto& one) { return one.group; }, note);
    std::visit(
        [&](auto& one) {
            one.topic_id = group.topic;
            one.partition = group.partition.value;
        },
        entry);
    protocol::Writer writer;
    const auto written = protocol::write_record(writer, entry);
    DLOG_ASSERT(written.has_value() && writer.size() <= kBodyBytesMax, writer.size());
    Buffer bytes = Buffer::allocate(kEntryHeadBytes + writer.size());
    std::uint8_t* head = bytes.mutable_data();
    store_little_endian(head, static_cast<std::uint32_t>(writer.size()));
    store_little_endian(head + 8, synced_bytes);
    std::ranges::copy(writer.view(), head + kEntryHeadBytes);
    store_little_endian(head + 4, codec::crc32c(bytes.view().subspan(8)));
    return bytes;
}

Buffer begin_journal(const Groups& groups) {
    std::vector<Buffer> notes;
    std::size_t size = kHeadBytes;
    for (const auto& [id, state] : groups) {
        notes.push_back(encode_note(GroupNote{.group = id, .state = state}, 0));
        size += notes.back().size();
    }
    Buffer file = Buffer::allocate(size);
    std::uint8_t* at = file.mutable_data();
    store_little_endian(at, kMagic);
    store_little_endian(at + 4, kVersion);
    store_little_endian(at + 12, static_cast<std::uint64_t>(size));
    store_little_endian(at + 8, codec::crc32c(file.view().subspan(12, 8)));
    at += kHeadBytes;
    for (const Buffer& note : notes) at = std::ranges::copy(note.view(), at).out;
    return file;
}

Result<JournalImage> read_journal(ByteView file) {
    if (file.size() < kHeadBytes || load_little_endian<std::uint32_t>(file.data()) != kMagic) {
        return std::unexpected(Error::kDamaged);
    }
    if (load_little_endian<std::uint32_t>(file.data() + 4) != kVersion) {
        return std::unexpected(Error::kUnsupportedVersion);
    }
    const auto head_crc = load_little_endian<std::uint32_t>(file.data() + 8);
    if (codec::crc32c(file.subspan(12, 8)) != head_crc) return std::unexpected(Error::kDamaged);
    const auto begun_bytes = load_little_endian<std::uint64_t>(file.data() + 12);
    if (begun_bytes < kHeadBytes || begun_bytes > file.size()) {
        return std::unexpected(Error::kDamaged);
    }
    JournalImage image{.groups = {}, .size_bytes = kHeadBytes};
    while (image.size_bytes < file.size()) {
        const std::optional<Framed> framed = entry_at(file, image.size_bytes);
        if (!framed) {
            const bool was_there =
                image.size_bytes < begun_bytes || was_synced(file, image.size_bytes);
            if (was_there) return std::unexpected(Error::kDamaged);
            return image;
        }
        // The checksum is right: this was written so, by a newer program or by a broken one.
        const std::optional<Note> note = decode_body(framed->body);
        if (!note) return std::unexpected(Error::kUnsupportedVersion);
        if (!fold(image.groups, *note)) return std::unexpected(Error::kDamaged);
        image.size_bytes += framed->size_bytes;
    }
    return image;
}

Result<History> recover_history(const GroupState& state, Offset start, Offset end) {
    std::vector<Epoch> epochs = state.epochs;
    while (!epochs.empty() && epochs.back().start > end) epochs.pop_back();
    while (epochs.size() > 1 && epochs[1].start < start) epochs.erase(epochs.begin());
    if (!History::is_valid(epochs, start, end)) return std::unexpected(Error::kDamaged);
    return History(std::move(epochs), start, end);
}

}  // namespace dlog::consensus::raft
