#include "storage/verified.h"

#include <algorithm>

#include "base/assert.h"

namespace dlog::storage {

std::uint64_t VerifiedRanges::verified_end(Offset segment, std::uint64_t begin) const {
    const auto ranges = ranges_.find(segment);
    if (ranges == ranges_.end()) return begin;
    const auto after = ranges->second.upper_bound(begin);
    if (after == ranges->second.begin()) return begin;
    return std::max(begin, std::prev(after)->second);
}

bool VerifiedRanges::is_verified(Offset segment, std::uint64_t begin, std::uint64_t end) const {
    return begin == end || verified_end(segment, begin) >= end;
}

void VerifiedRanges::mark_verified(Offset segment, std::uint64_t begin, std::uint64_t end) {
    DLOG_ASSERT(begin <= end, begin, end);
    if (begin == end) return;
    auto& ranges = ranges_[segment];
    auto at = ranges.upper_bound(begin);
    if (at != ranges.begin() && std::prev(at)->second >= begin) {
        --at;
        begin = at->first;
        end = std::max(end, at->second);
        at = ranges.erase(at);
    }
    while (at != ranges.end() && at->first <= end) {
        end = std::max(end, at->second);
        at = ranges.erase(at);
    }
    ranges.emplace(begin, end);
}

bool VerifiedRanges::note_damage(const Damage& damage) {
    DLOG_ASSERT(damage.first_offset <= damage.next_offset, damage.first_offset, damage.next_offset);
    const Damage* known = damage_at(damage.first_offset);
    if (known != nullptr && known->next_offset >= damage.next_offset) return false;
    // What is found now takes the place of what it overlaps.
    Damage merged = damage;
    std::erase_if(damages_, [&](const Damage& other) {
        if (other.next_offset <= merged.first_offset || merged.next_offset <= other.first_offset) {
            return false;
        }
        if (other.segment == merged.segment) {
            merged.position = std::min(merged.position, other.position);
            merged.end_position = std::max(merged.end_position, other.end_position);
        }
        merged.first_offset = std::min(merged.first_offset, other.first_offset);
        merged.next_offset = std::max(merged.next_offset, other.next_offset);
        return true;
    });
    const auto at =
        std::ranges::upper_bound(damages_, merged.first_offset, {}, &Damage::first_offset);
    damages_.insert(at, merged);
    return true;
}

const Damage* VerifiedRanges::damage_at(Offset offset) const {
    const auto after = std::ranges::upper_bound(damages_, offset, {}, &Damage::first_offset);
    if (after == damages_.begin()) return nullptr;
    const Damage& damage = *(after - 1);
    return offset < damage.next_offset ? &damage : nullptr;
}

const Damage* VerifiedRanges::damage_before(Offset segment, Offset offset) const {
    auto at = std::ranges::upper_bound(damages_, offset, {}, &Damage::next_offset);
    while (at != damages_.begin()) {
        --at;
        if (at->segment == segment) return &*at;
        if (at->segment < segment) return nullptr;
    }
    return nullptr;
}

void VerifiedRanges::note_boundary(Offset segment, IndexEntry entry) {
    if (find_boundary(segment, entry.offset)) return;
    if (boundaries_.size() < kBoundariesMax) {
        boundaries_.push_back({segment, entry});
        return;
    }
    boundaries_[next_boundary_] = {segment, entry};
    next_boundary_ = (next_boundary_ + 1) % kBoundariesMax;
}

std::optional<IndexEntry> VerifiedRanges::find_boundary(Offset segment, Offset offset) const {
    for (const Boundary& boundary : boundaries_) {
        if (boundary.segment == segment && boundary.entry.offset == offset) return boundary.entry;
    }
    return std::nullopt;
}

void VerifiedRanges::forget(Offset segment, std::uint64_t position) {
    std::erase_if(boundaries_, [&](const Boundary& boundary) {
        return boundary.segment == segment && boundary.entry.position >= position;
    });
    next_boundary_ = 0;
    std::erase_if(damages_, [&](const Damage& damage) {
        return damage.segment == segment && damage.end_position > position;
    });
    const auto found = ranges_.find(segment);
    if (found == ranges_.end()) return;
    auto& ranges = found->second;
    ranges.erase(ranges.lower_bound(position), ranges.end());
    if (!ranges.empty()) {
        auto& last = *ranges.rbegin();
        last.second = std::min(last.second, position);
    }
    if (ranges.empty()) ranges_.erase(found);
}

}  // namespace dlog::storage
