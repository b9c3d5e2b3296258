#include "storage/tail.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "base/assert.h"
#include "storage/batches.h"

namespace dlog::storage {
namespace {

/// Batches below this are copied together; from this on they stay in the frame they came in. The
/// whole block counts as held then, so that however little of it the log needs, the bound holds.
constexpr std::size_t kShareBytesMin = std::size_t{16} << 10;
constexpr std::size_t kChunkBytesMin = std::size_t{4} << 10;
constexpr std::size_t kChunkBytesMax = std::size_t{64} << 10;

}  // namespace

void Tail::push(Piece piece) {
    bytes_held_ += piece.block.block_size();
    pieces_.push_back(std::move(piece));
}

void Tail::drop_back() {
    DLOG_ASSERT(bytes_held_ >= pieces_.back().block.block_size(), bytes_held_);
    bytes_held_ -= pieces_.back().block.block_size();
    pieces_.pop_back();
}

void Tail::append(const Buffer& batch, Offset next_offset) {
    DLOG_ASSERT(next_offset > end_.offset && !batch.empty(), next_offset, end_.offset);
    const bool share = batch.size() >= kShareBytesMin;
    Piece* last = pieces_.empty() ? nullptr : &pieces_.back();
    const bool fits = !share && last != nullptr && last->is_open_chunk &&
                      last->segment == end_.segment &&
                      last->block.size() - last->used_bytes >= batch.size();
    if (!fits) {
        if (last != nullptr) last->is_open_chunk = false;
        Piece piece{.segment = end_.segment,
                    .position = end_.position,
                    .first_offset = end_.offset,
                    .next_offset = end_.offset};
        if (share) {
            piece.block = batch;
        } else {
            // Chunks grow with what the partition has in memory, so that an idle one is small.
            const std::size_t wanted =
                std::clamp(std::bit_ceil(bytes_held_), kChunkBytesMin, kChunkBytesMax);
            piece.block = Buffer::allocate(std::max(wanted, batch.size()));
            piece.is_open_chunk = true;
        }
        push(std::move(piece));
        last = &pieces_.back();
    }
    if (!share) {
        // Slices given out end at or before used_bytes: nobody reads what is written here.
        std::memcpy(last->block.mutable_data() + last->used_bytes, batch.data(), batch.size());
    }
    last->used_bytes += batch.size();
    last->next_offset = next_offset;
    end_.offset = next_offset;
    end_.position += batch.size();
}

void Tail::roll(Offset segment) {
    DLOG_ASSERT(segment == end_.offset, segment, end_.offset);
    end_.segment = segment;
    end_.position = 0;
    if (!pieces_.empty()) pieces_.back().is_open_chunk = false;
    if (pieces_.empty()) begin_ = end_;
}

void Tail::truncate(const LogPosition& end) {
    DLOG_ASSERT(end.offset >= begin_.offset && end.offset <= end_.offset, end.offset, end_.offset);
    while (!pieces_.empty() && pieces_.back().first_offset >= end.offset) drop_back();
    end_ = end;
    if (pieces_.empty()) {
        begin_ = end;
        return;
    }
    Piece& last = pieces_.back();
    // A write under way or a reader may hold the bytes behind the cut: they are not used again.
    last.is_open_chunk = false;
    if (last.next_offset > end.offset) {
        DLOG_ASSERT(last.segment == end.segment && end.position > last.position, end.position);
        last.used_bytes = end.position - last.position;
        last.next_offset = end.offset;
    }
}

void Tail::reset(const LogPosition& at) {
    pieces_.clear();
    bytes_held_ = 0;
    begin_ = at;
    end_ = at;
}

void Tail::evict(std::size_t target_bytes, Offset keep_from) {
    while (bytes_held_ > target_bytes && !pieces_.empty() &&
           pieces_.front().next_offset <= keep_from) {
        bytes_held_ -= pieces_.front().block.block_size();
        pieces_.pop_front();
    }
    if (pieces_.empty()) {
        begin_ = end_;
    } else {
        const Piece& first = pieces_.front();
        begin_ = {first.first_offset, first.segment, first.position};
    }
}

std::size_t Tail::find(Offset offset) const {
    const auto after = std::ranges::upper_bound(pieces_, offset, {}, &Piece::first_offset);
    DLOG_ASSERT(after != pieces_.begin(), offset, begin_.offset);
    return static_cast<std::size_t>(after - pieces_.begin()) - 1;
}

std::vector<Buffer> Tail::slices_from(Offset segment, std::uint64_t position) const {
    std::vector<Buffer> slices;
    const auto is_before = [&](const Piece& piece) {
        return piece.segment < segment ||
               (piece.segment == segment && piece.position + piece.used_bytes <= position);
    };
    auto piece = std::ranges::partition_point(pieces_, is_before);
    for (; piece != pieces_.end() && piece->segment == segment; ++piece) {
        const std::size_t skip = position > piece->position ? position - piece->position : 0;
        slices.push_back(piece->block.slice(skip, piece->used_bytes - skip));
    }
    return slices;
}

Tail::Read Tail::read(const ReadRequest& request, std::optional<IndexEntry> hint) const {
    DLOG_ASSERT(request.from >= begin_.offset && request.from < end_.offset, request.from,
                begin_.offset, end_.offset);
    std::size_t i = find(request.from);
    const Piece& first = pieces_[i];
    IndexEntry from{first.first_offset, first.position};
    if (hint && hint->position > from.position && hint->offset <= request.from) from = *hint;
    const std::size_t begin = from.position - first.position;
    DLOG_ASSERT(begin < first.used_bytes, begin, first.used_bytes);
    const Located start = locate_in_bytes(
        first.block.view().subspan(begin, first.used_bytes - begin), from.offset, request.from);
    DLOG_ASSERT(start.outcome == Located::Outcome::kFound, request.from, from.offset);

    Read read{.first_offset = start.first_offset, .next_offset = start.first_offset};
    std::size_t skip = begin + start.position;
    for (; i < pieces_.size() && pieces_[i].segment == first.segment; ++i, skip = 0) {
        const Piece& piece = pieces_[i];
        const std::size_t available = piece.used_bytes - skip;
        if (piece.next_offset <= request.limit &&
            read.size_bytes + available <= request.max_bytes) {
            read.parts.push_back(piece.block.slice(skip, available));
            read.size_bytes += available;
            read.next_offset = piece.next_offset;
            continue;
        }
        const Cut cut = cut_batches(piece.block.view().subspan(skip, available),
                                    {.expected = read.next_offset,
                                     .limit = request.limit,
                                     .max_bytes = request.max_bytes - read.size_bytes,
                                     .at_least_one = request.at_least_one && read.size_bytes == 0});
        if (cut.size_bytes > 0) read.parts.push_back(piece.block.slice(skip, cut.size_bytes));
        read.size_bytes += cut.size_bytes;
        read.next_offset = cut.next_offset;
        break;
    }
    return read;
}

}  // namespace dlog::storage
