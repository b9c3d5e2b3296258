#include "base/lru.h"

#include <doctest/doctest.h>

#include <string>

namespace dlog {
namespace {

TEST_CASE("an Lru forgets what was used longest ago, by cost") {
    Lru<int> lru(10);
    lru.put("a", 1, 4);
    lru.put("b", 2, 4);
    CHECK(*lru.find("a") == 1);
    lru.put("c", 3, 4);
    CHECK(lru.find("b") == nullptr);
    CHECK(*lru.find("a") == 1);
    CHECK(lru.cost() == 8);
    lru.put("a", 5, 1);
    CHECK(*lru.find("a") == 5);
    CHECK(lru.cost() == 5);
}

TEST_CASE("a value dearer than the whole Lru stays until the next one comes") {
    Lru<int> lru(1);
    lru.put("big", 1, 100);
    CHECK(lru.find("big") != nullptr);
    lru.put("next", 2, 1);
    CHECK(lru.find("big") == nullptr);
    CHECK(lru.size() == 1);
}

TEST_CASE("erasing a prefix erases just the keys under it") {
    Lru<int> lru(100);
    lru.put("topics/a/0/1.log", 1);
    lru.put("topics/a/0/2.log", 2);
    lru.put("topics/a/01/1.log", 3);
    lru.erase_prefix("topics/a/0/");
    CHECK(lru.size() == 1);
    CHECK(lru.find("topics/a/01/1.log") != nullptr);
    lru.erase("nothing");
    CHECK(lru.size() == 1);
}

}  // namespace
}  // namespace dlog
