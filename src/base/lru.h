/// A bounded map that forgets what was used longest ago.
#pragma once

#include <cstddef>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "base/assert.h"

namespace dlog {

/// Values under text keys, each with a cost; the costs together stay at or below the capacity,
/// except that the newest value always stays. Not shared between cores.
template <class Value>
class Lru {
  public:
    explicit Lru(std::size_t capacity) : capacity_(capacity) {}

    /// The value under `key`, which becomes the most recently used; nullptr when there is none.
    /// Valid until the next call that is not const.
    [[nodiscard]] Value* find(std::string_view key) {
        const auto found = by_key_.find(key);
        if (found == by_key_.end()) return nullptr;
        entries_.splice(entries_.begin(), entries_, found->second);
        return &entries_.front().value;
    }

    /// Adds or replaces.
    void put(std::string key, Value value, std::size_t cost = 1) {
        erase(key);
        entries_.push_front(Entry{std::move(key), std::move(value), cost});
        by_key_.emplace(entries_.front().key, entries_.begin());
        cost_ += cost;
        while (cost_ > capacity_ && entries_.size() > 1) drop(std::prev(entries_.end()));
        DLOG_ASSERT(by_key_.size() == entries_.size(), by_key_.size(), entries_.size());
    }

    void erase(std::string_view key) {
        if (const auto found = by_key_.find(key); found != by_key_.end()) drop(found->second);
    }

    /// Erases every key that begins with `prefix`. Looks at all of them.
    void erase_prefix(std::string_view prefix) {
        for (auto entry = entries_.begin(); entry != entries_.end();) {
            const auto next = std::next(entry);
            if (std::string_view(entry->key).starts_with(prefix)) drop(entry);
            entry = next;
        }
    }

    [[nodiscard]] std::size_t size() const { return entries_.size(); }
    [[nodiscard]] std::size_t cost() const { return cost_; }

  private:
    struct Entry {
        std::string key;
        Value value;
        std::size_t cost;
    };
    using Entries = std::list<Entry>;

    void drop(typename Entries::iterator entry) {
        DLOG_ASSERT(cost_ >= entry->cost, cost_, entry->cost);
        cost_ -= entry->cost;
        by_key_.erase(entry->key);
        entries_.erase(entry);
    }

    std::size_t capacity_;
    std::size_t cost_ = 0;
    Entries entries_;  // most recently used first
    std::unordered_map<std::string_view, typename Entries::iterator>
        by_key_;  // keys lie in entries_
};

}  // namespace dlog
