#include "consensus/raft/history.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"

namespace dlog::consensus::raft {

History::History(Epoch first) : start_(first.start), end_(first.start) {
    epochs_.push_back(std::move(first));
}

History::History(std::vector<Epoch> epochs, Offset start, Offset end)
    : epochs_(std::move(epochs)), start_(start), end_(end) {
    DLOG_ASSERT(is_valid(epochs_, start_, end_), start_, end_);
}

bool History::is_valid(std::span<const Epoch> epochs, Offset start, Offset end) {
    if (epochs.empty() || start.value < 0 || start < epochs.front().start || end < start)
        return false;
    if (epochs.size() > 1 && epochs[1].start < start) return false;
    const auto follows = [](const Epoch& a, const Epoch& b) {
        return a.term < b.term && a.start <= b.start;
    };
    for (std::size_t i = 1; i < epochs.size(); ++i) {
        if (!follows(epochs[i - 1], epochs[i])) return false;
    }
    return epochs.back().start <= end && std::ranges::all_of(epochs, [](const Epoch& epoch) {
               return consensus::is_valid(epoch.configuration);
           });
}

Offset History::end_of(std::size_t index) const {
    return index + 1 < epochs_.size() ? epochs_[index + 1].start : end_;
}

bool History::contains(LogPosition position) const {
    const auto at = std::ranges::lower_bound(epochs_, position.term, {}, &Epoch::term);
    if (at == epochs_.end() || at->term != position.term) return false;
    const auto index = static_cast<std::size_t>(at - epochs_.begin());
    return std::max(at->start, start_) <= position.end && position.end <= end_of(index);
}

LogPosition History::nearest(LogPosition other) const {
    const auto behind = std::ranges::upper_bound(epochs_, other.term, {}, &Epoch::term);
    if (behind == epochs_.begin()) return start();
    const auto index = static_cast<std::size_t>(behind - epochs_.begin()) - 1;
    const Epoch& epoch = epochs_[index];
    Offset end = end_of(index);
    if (epoch.term == other.term) end = std::clamp(other.end, std::max(epoch.start, start_), end);
    return {epoch.term, end};
}

std::vector<Epoch> History::epochs_between(LogPosition from, LogPosition to) const {
    DLOG_ASSERT(contains(from) && contains(to) && from <= to, from.end, to.end);
    const auto first = std::ranges::upper_bound(epochs_, from.term, {}, &Epoch::term);
    const auto last = std::ranges::upper_bound(epochs_, to.term, {}, &Epoch::term);
    return {first, last};
}

LogPosition History::position_at(Offset end) const {
    DLOG_ASSERT(start_ <= end && end <= end_, end, start_, end_);
    const auto behind = std::ranges::upper_bound(epochs_, end, {}, &Epoch::start);
    DLOG_ASSERT(behind != epochs_.begin());
    return {(behind - 1)->term, end};
}

void History::extend(Offset end) {
    DLOG_ASSERT(end_ <= end, end_, end);
    end_ = end;
}

void History::begin_epoch(Epoch epoch) {
    DLOG_ASSERT(epochs_.back().term < epoch.term, epochs_.back().term, epoch.term);
    DLOG_ASSERT(epoch.start == end_, epoch.start, end_);
    epochs_.push_back(std::move(epoch));
}

void History::truncate(LogPosition position) {
    DLOG_ASSERT(contains(position), position.term, position.end);
    while (epochs_.back().term > position.term) epochs_.pop_back();
    end_ = position.end;
    DLOG_ASSERT(end() == position, end_);
}

void History::trim(Offset start) {
    DLOG_ASSERT(start_ <= start && start <= end_, start_, start, end_);
    start_ = start;
    // An epoch that ends where the log now begins stays if it is the last that does not begin
    // behind: a log that ends here has to know its term.
    const auto covers = [&] { return epochs_.size() > 1 && epochs_[1].start < start_; };
    while (covers()) epochs_.erase(epochs_.begin());
}

}  // namespace dlog::consensus::raft
