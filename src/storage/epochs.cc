#include "storage/epochs.h"

#include <algorithm>

namespace dlog::storage {

void EpochList::append(LeaderEpoch epoch, Offset offset) {
    if (!entries_.empty() && epoch <= entries_.back().epoch) return;
    if (!entries_.empty() && offset <= entries_.back().start_offset) {
        // An epoch that wrote nothing: the later one takes its place.
        truncate_end(offset);
    }
    entries_.push_back({epoch, offset});
}

void EpochList::truncate_end(Offset end) {
    while (!entries_.empty() && entries_.back().start_offset >= end) entries_.pop_back();
}

void EpochList::truncate_start(Offset start) {
    const auto after = std::ranges::upper_bound(entries_, start, {}, &EpochStart::start_offset);
    if (after == entries_.begin()) return;
    const auto covering = after - 1;
    covering->start_offset = start;
    entries_.erase(entries_.begin(), covering);
}

EpochEnd EpochList::end_of(LeaderEpoch asked, Offset log_end_offset) const {
    if (entries_.empty() || asked < LeaderEpoch{0}) return {};
    if (asked == entries_.back().epoch) return {asked, log_end_offset};
    const auto higher = std::ranges::upper_bound(entries_, asked, {}, &EpochStart::epoch);
    if (higher == entries_.end()) return {};
    if (higher == entries_.begin()) return {asked, higher->start_offset};
    return {(higher - 1)->epoch, higher->start_offset};
}

LeaderEpoch EpochList::epoch_of(Offset offset) const {
    const auto after = std::ranges::upper_bound(entries_, offset, {}, &EpochStart::start_offset);
    return after == entries_.begin() ? kNoEpoch : (after - 1)->epoch;
}

LeaderEpoch EpochList::latest() const {
    return entries_.empty() ? kNoEpoch : entries_.back().epoch;
}

}  // namespace dlog::storage
