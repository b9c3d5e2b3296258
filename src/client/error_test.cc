#include "client/error.h"

#include <doctest/doctest.h>

using namespace dlog::client;
using dlog::protocol::ErrorCode;

TEST_CASE("an error says in plain words what happened, to what, and Kafka's name for it") {
    CHECK(broker_error(ErrorCode::kUnknownTopicOrPartition, "topic orders").text() ==
          "the broker has no such topic or partition: topic orders (UNKNOWN_TOPIC_OR_PARTITION)");
    CHECK(broker_error(ErrorCode::kOffsetOutOfRange, "").text() ==
          "the partition has no such offset (OFFSET_OUT_OF_RANGE)");
    CHECK(Error{.kind = ErrorKind::kUnreachable, .detail = "a:1"}.text() ==
          "cannot reach the broker: a:1");
    CHECK(Error{.kind = ErrorKind::kTimedOut}.text() == "the broker did not answer in time");
}

TEST_CASE("what may pass is retriable, what the caller did wrong is not") {
    CHECK(broker_error(ErrorCode::kNotLeaderOrFollower, "").is_retriable());
    CHECK_FALSE(broker_error(ErrorCode::kMessageTooLarge, "").is_retriable());
    CHECK(Error{.kind = ErrorKind::kDisconnected}.is_retriable());
    CHECK_FALSE(Error{.kind = ErrorKind::kBadRequest}.is_retriable());
    CHECK_FALSE(Error{.kind = ErrorKind::kClosed}.is_retriable());
}
