#include "history.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"

namespace dlog::simtest {

namespace {

/// One fault shows itself in many records; the first two of a kind tell enough.
constexpr std::size_t kFailuresOfAKind = 2;
constexpr std::size_t kFailuresMax = 40;

}  // namespace

bool History::LogState::is_damaged(std::int64_t offset) const {
    auto after = damaged.upper_bound(offset);
    if (after == damaged.begin()) return false;
    --after;
    return offset <= after->second;
}

std::string History::text_of(RecordName name) {
    return "record " + std::to_string(name.number) + " of producer " +
           std::to_string(name.producer);
}

void History::fail(std::string what) {
    // The same words with other numbers are the same kind.
    std::string kind = what;
    std::erase_if(kind, [](char c) { return c >= '0' && c <= '9'; });
    const bool is_news = ++kinds_[kind] <= kFailuresOfAKind && failures_.size() < kFailuresMax;
    if (is_news) failures_.push_back(std::move(what));
}

void History::complain(const LogState& log, std::int64_t offset, const std::string& what) {
    fail(log.name + " offset " + std::to_string(offset) + ": " + what);
}

LogId History::add_log(std::string name, LogRules rules) {
    LogState log;
    log.name = std::move(name);
    log.rules = rules;
    logs_.push_back(std::move(log));
    return static_cast<LogId>(logs_.size() - 1);
}

void History::attempt(LogId log, RecordName first, std::uint32_t count, bool is_idempotent) {
    Producing& producing = logs_[log].producers[first.producer];
    DLOG_ASSERT(first.number <= producing.attempted, first.number, producing.attempted);
    producing.attempted = std::max(producing.attempted, first.number + count);
    producing.is_idempotent = is_idempotent;
    producing.is_placed.resize(producing.attempted);
}

void History::place(LogState& state, RecordName name) {
    state.producers[name.producer].is_placed.at(name.number) = true;
}

void History::acknowledged(LogId log, RecordName first, std::uint32_t count,
                           std::int64_t base_offset) {
    LogState& state = logs_[log];
    acknowledged_records_ += count;
    if (may_lose(state)) return;
    for (std::uint32_t at = 0; at < count; ++at) {
        const std::int64_t offset = base_offset + at;
        const RecordName name{first.producer, first.number + at};
        place(state, name);
        const auto [known, is_new] = state.acknowledged.emplace(offset, name);
        if (!is_new && known->second != name) {
            complain(state, offset,
                     text_of(name) + " acknowledged where " + text_of(known->second) + " was");
        }
        const auto seen = state.seen.find(offset);
        if (seen != state.seen.end() && seen->second != name) {
            complain(state, offset,
                     text_of(name) + " acknowledged where " + text_of(seen->second) + " was read");
        }
    }
}

void History::seen(LogId log, std::int64_t offset, std::optional<RecordName> name) {
    LogState& state = logs_[log];
    ++seen_records_;
    if (!name) return complain(state, offset, "bytes were served that nobody wrote");
    const auto producing = state.producers.find(name->producer);
    if (producing == state.producers.end() || name->number >= producing->second.attempted) {
        return complain(state, offset, text_of(*name) + " was served, which nobody wrote here");
    }
    if (may_lose(state)) return;
    place(state, *name);
    const auto acknowledged = state.acknowledged.find(offset);
    if (acknowledged != state.acknowledged.end() && acknowledged->second != *name) {
        return complain(state, offset,
                        text_of(*name) + " was served where " + text_of(acknowledged->second) +
                            " was acknowledged");
    }
    const auto [before, is_new] = state.seen.emplace(offset, *name);
    if (!is_new && before->second != *name) {
        return complain(
            state, offset,
            text_of(*name) + " was served where " + text_of(before->second) + " was served before");
    }
    if (!producing->second.is_idempotent) return;
    const auto [place, is_first] = state.seen_at.emplace(*name, offset);
    if (!is_first && place->second != offset) {
        complain(state, offset,
                 text_of(*name) + " is there twice, at offset " + std::to_string(place->second) +
                     " too");
    }
}

void History::damaged(LogId log, std::int64_t first_offset, std::int64_t last_offset) {
    std::int64_t& last = logs_[log].damaged[first_offset];
    last = std::max(last, last_offset);
}

void History::refused_as_corrupt(LogId log, std::int64_t offset) {
    LogState& state = logs_[log];
    ++corrupt_refusals_;
    if (!state.is_damaged(offset)) complain(state, offset, "refused as damaged, which it is not");
}

void History::asked_to_delete(LogId log, std::int64_t offset) {
    logs_[log].asked_start = std::max(logs_[log].asked_start, offset);
}

void History::deleted(LogId log, std::int64_t offset) {
    logs_[log].deleted_start = std::max(logs_[log].deleted_start, offset);
}

void History::node_died() {
    ++deaths_;
    for (LogState& log : logs_) {
        log.dropped_tombstones.clear();
        log.known_start = log.deleted_start;
    }
}

void History::unsynced_lost() {
    ++losses_;
    for (LogState& log : logs_) {
        if (!log.rules.is_cached) continue;
        std::map<std::int64_t, RecordName> known = std::move(log.acknowledged);
        known.merge(log.seen);
        if (!known.empty()) log.before_losses.push_back(std::move(known));
        log.acknowledged.clear();
        log.seen.clear();
        log.seen_at.clear();
        for (auto& [number, producing] : log.producers) {
            producing.is_placed.assign(producing.attempted, false);
        }
    }
}

void History::set_unsynced_at_risk(bool is_at_risk) {
    if (is_at_risk) unsynced_lost();
    is_unsynced_at_risk_ = is_at_risk;
}

History::Reading History::begin_reading(LogId log) const {
    const LogState& state = logs_[log];
    Reading reading;
    reading.known_start = state.known_start;
    reading.deleted_start = state.deleted_start;
    for (const auto* known : {&state.acknowledged, &state.seen}) {
        if (known->empty()) continue;
        reading.known_end = std::max(reading.known_end, known->rbegin()->first + 1);
    }
    reading.losses = losses_;
    reading.deaths = deaths_;
    reading.dropped_tombstones = state.dropped_tombstones;
    return reading;
}

bool History::is_void(LogId log, const Reading& reading) const {
    const LogState& state = logs_[log];
    return state.rules.is_cached && (may_lose(state) || reading.losses != losses_);
}

void History::check_reading(LogId log, const Reading& reading) {
    LogState& state = logs_[log];
    if (is_void(log, reading)) return;
    check_bounds(state, reading);
    for (const auto& [offset, name] : reading.records) seen(log, offset, name);
    if (state.rules.key_count > 0) {
        check_compacted(state, reading);
    } else {
        check_dense(state, reading);
        check_only_suffix_lost(state, reading);
    }
    check_order(state, reading);
}

void History::check_bounds(LogState& state, const Reading& reading) {
    const std::int64_t start = reading.log_start_offset;
    if (!state.rules.may_drop_old && start > state.asked_start) {
        complain(state, start, "the log starts here, without retention");
    }
    if (start < reading.deleted_start) {
        complain(state, start, "the log starts here, where it was deleted");
    }
    const bool has_one_start = !state.rules.has_replicas && reading.deaths == deaths_;
    if (start < reading.known_start && has_one_start) {
        complain(state, start,
                 "the log starts here, after it started at " + std::to_string(reading.known_start));
    }
    if (reading.deaths == deaths_) state.known_start = std::max(state.known_start, start);
    if (reading.end_offset < reading.known_end) {
        complain(
            state, reading.end_offset,
            "the log ends here, with known records up to " + std::to_string(reading.known_end - 1));
    }
}

void History::check_dense(const LogState& state, const Reading& reading) {
    for (std::int64_t offset = reading.log_start_offset; offset < reading.end_offset; ++offset) {
        if (!reading.records.contains(offset) && !state.is_damaged(offset)) {
            complain(state, offset, "missing, with records before and after");
        }
    }
    for (const auto* known : {&state.acknowledged, &state.seen}) {
        const char* what = known == &state.acknowledged ? " was acknowledged" : " was read before";
        for (const auto& [offset, name] : *known) {
            if (offset < reading.log_start_offset || offset >= reading.end_offset) continue;
            const auto found = reading.records.find(offset);
            if (state.is_damaged(offset) || found == reading.records.end()) continue;
            if (found->second != name) {
                complain(state, offset, text_of(name) + what + ", now " + text_of(found->second));
            }
        }
    }
}

/// Of what was known before a loss, nothing may be there behind the first that is not.
void History::check_only_suffix_lost(const LogState& state, const Reading& reading) {
    std::map<RecordName, std::int64_t> places;
    if (!state.before_losses.empty()) {
        for (const auto& [offset, name] : reading.records) places.emplace(name, offset);
    }
    for (const auto& before : state.before_losses) {
        std::int64_t first_lost = -1;
        for (const auto& [offset, name] : before) {
            if (offset < reading.log_start_offset || state.is_damaged(offset)) continue;
            const auto place = places.find(name);
            if (place == places.end()) {
                if (first_lost < 0) first_lost = offset;
            } else if (place->second != offset) {
                complain(state, place->second,
                         text_of(name) + " is here after a loss, where it was not before");
            } else if (first_lost >= 0) {
                complain(state, offset, text_of(name) + " is behind one that was lost");
            }
        }
    }
}

/// What took a record's place may have been damaged since: adds what is known of it to `latest`,
/// and returns the last offset at which there may have been something that nobody knows.
std::int64_t History::note_damaged(const LogState& state,
                                   std::map<std::uint32_t, std::int64_t>& latest) {
    std::int64_t unknown_to = -1;
    for (const auto& [first, last] : state.damaged) {
        for (std::int64_t offset = first; offset <= last; ++offset) {
            const auto acknowledged = state.acknowledged.find(offset);
            const auto seen = state.seen.find(offset);
            if (acknowledged == state.acknowledged.end() && seen == state.seen.end()) {
                unknown_to = offset;
                continue;
            }
            const RecordName name = seen != state.seen.end() ? seen->second : acknowledged->second;
            std::int64_t& last_of_key = latest[key_of(name, state.rules.key_count)];
            last_of_key = std::max(last_of_key, offset);
        }
    }
    return unknown_to;
}

History::Unplaced History::unplaced_keys(const LogState& state) {
    Unplaced result;
    for (const auto& [producer, producing] : state.producers) {
        for (std::uint64_t number = 0; number < producing.attempted; ++number) {
            if (producing.is_placed[number]) continue;
            const RecordName name{producer, number};
            const std::uint32_t key = key_of(name, state.rules.key_count);
            result.keys.insert(key);
            if (is_tombstone(name, state.rules.key_count)) result.deleted_keys.insert(key);
        }
    }
    return result;
}

bool History::is_readable(const LogState& state, const Reading& reading, std::int64_t offset,
                          std::int64_t damaged_to) {
    return offset >= std::max(reading.log_start_offset, damaged_to) &&
           offset < reading.end_offset && !state.is_damaged(offset);
}

/// Every record that is known and not there any more is out of date.
void History::check_compacted(LogState& state, const Reading& reading) {
    const std::uint32_t key_count = state.rules.key_count;
    const Unplaced unplaced = unplaced_keys(state);
    std::map<std::uint32_t, std::int64_t> latest;
    std::map<std::uint32_t, std::int64_t> deleted;
    for (const auto& [offset, name] : reading.records) latest[key_of(name, key_count)] = offset;
    for (const auto* known : {&state.acknowledged, &state.seen}) {
        for (const auto& [offset, name] : *known) {
            // What came behind the reading's end may have been reason enough.
            std::int64_t& last = latest.try_emplace(key_of(name, key_count), -1).first->second;
            if (offset >= reading.end_offset) last = std::max(last, offset);
            if (!is_tombstone(name, key_count)) continue;
            std::int64_t& end = deleted.try_emplace(key_of(name, key_count), -1).first->second;
            end = std::max(end, offset);
        }
    }
    const std::int64_t damaged_to = note_damaged(state, latest);
    for (const auto* known : {&state.acknowledged, &state.seen}) {
        for (const auto& [offset, name] : *known) {
            if (!is_readable(state, reading, offset, damaged_to)) continue;
            const auto found = reading.records.find(offset);
            if (found != reading.records.end()) {
                if (found->second == name) continue;
                complain(state, offset, text_of(name) + " is now " + text_of(found->second));
            }
            const std::uint32_t key = key_of(name, key_count);
            if (latest.at(key) > offset) continue;
            if (reading.is_among_writers && unplaced.keys.contains(key)) continue;
            const auto end = deleted.find(key);
            const bool is_deleted = unplaced.deleted_keys.contains(key) ||
                                    (end != deleted.end() && end->second >= offset);
            if (state.rules.drops_tombstones && is_deleted) continue;
            complain(state, offset, text_of(name) + " is lost, the latest of its key");
        }
    }
    check_deleted(state, reading, damaged_to);
}

/// A reading takes time, in which a deleted value and then what deleted it may go. So only what an
/// earlier reading did not find any more tells of values that are back.
void History::check_deleted(LogState& state, const Reading& reading, std::int64_t damaged_to) {
    const std::uint32_t key_count = state.rules.key_count;
    for (const auto& [offset, name] : reading.records) {
        const auto dropped = reading.dropped_tombstones.find(key_of(name, key_count));
        if (dropped == reading.dropped_tombstones.end() || reading.deaths != deaths_) continue;
        if (offset >= dropped->second || reading.records.contains(dropped->second)) continue;
        complain(state, offset,
                 text_of(name) + " is there, but not what deleted it at offset " +
                     std::to_string(dropped->second));
    }
    for (const auto* known : {&state.acknowledged, &state.seen}) {
        for (const auto& [offset, name] : *known) {
            if (!is_tombstone(name, key_count) || reading.records.contains(offset)) continue;
            if (!is_readable(state, reading, offset, damaged_to)) continue;
            std::int64_t& last =
                state.dropped_tombstones.try_emplace(key_of(name, key_count), -1).first->second;
            last = std::max(last, offset);
        }
    }
}

void History::check_order(const LogState& state, const Reading& reading) {
    std::map<std::uint32_t, std::uint64_t> next;
    for (const auto& [offset, name] : reading.records) {
        const auto producing = state.producers.find(name.producer);
        if (producing == state.producers.end() || !producing->second.is_idempotent) continue;
        const auto [expected, is_first] = next.emplace(name.producer, name.number);
        if (!is_first && name.number < expected->second) {
            complain(state, offset, text_of(name) + " is out of order");
        }
        expected->second = name.number + 1;
    }
}

}  // namespace dlog::simtest
