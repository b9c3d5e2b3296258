#include "metadata/topic_name.h"

#include <doctest/doctest.h>

namespace dlog::metadata {
namespace {

TEST_CASE("a topic name has letters, digits, dots, underscores and hyphens") {
    CHECK(check_topic_name("orders").has_value());
    CHECK(check_topic_name("A-z_0.9").has_value());
    CHECK(check_topic_name(std::string(249, 'a')).has_value());
    CHECK(!check_topic_name(std::string(250, 'a')).has_value());
    CHECK(!check_topic_name("").has_value());
    CHECK(!check_topic_name(".").has_value());
    CHECK(!check_topic_name("..").has_value());
    CHECK(check_topic_name("...").has_value());
    for (const char* bad : {"a b", "a/b", "../x", "a\n", "\xc3\xa9", "a:b", "a*"}) {
        CAPTURE(bad);
        CHECK(!check_topic_name(bad).has_value());
    }
    CHECK(!check_topic_name(std::string_view("a\0b", 3)).has_value());
}

TEST_CASE("names that differ only in dots and underscores have one collision key") {
    CHECK(collision_key("a.b_c") == collision_key("a_b.c"));
    CHECK(collision_key("a-b") != collision_key("a.b"));
    CHECK(may_collide("a.b"));
    CHECK(!may_collide("a-b"));
}

TEST_CASE("the controller's own topic cannot be made by a client") {
    CHECK(!check_topic_name("__cluster_metadata").has_value());
    CHECK(is_internal_topic("__cluster_metadata"));
    CHECK(is_internal_topic("__consumer_offsets"));
    CHECK(!is_internal_topic("orders"));
}

}  // namespace
}  // namespace dlog::metadata
