#include "consensus/raft/frame.h"

#include <doctest/doctest.h>

#include <vector>

namespace dlog::consensus::raft {
namespace {

const GroupId kGroup{.topic = {.high = 1, .low = 2}, .partition = PartitionId(3)};
const LogPosition kFrom{LeaderEpoch(4), Offset(10)};
const LogPosition kTo{LeaderEpoch(4), Offset(20)};

std::vector<Envelope> samples() {
    const Append append{.term = LeaderEpoch(4), .previous = kFrom, .end = kTo, .commit = kFrom};
    return {{.group = kGroup, .message = append, .records_bytes = 700},
            {.group = kGroup, .message = Resigned{.term = LeaderEpoch(4)}},
            {.group = {}, .message = append, .records_bytes = 300}};
}

ByteView head_of(const Buffer& frame) {
    return frame.view().first(kFrameHeadBytes);
}
ByteView text_of(const Buffer& frame) {
    return frame.view().subspan(kFrameHeadBytes);
}

TEST_CASE("messages of many groups travel in one frame, and their records are counted") {
    const std::vector<Envelope> envelopes = samples();
    const Buffer frame = encode_envelopes(envelopes);
    const Result<FrameHead> head = decode_frame_head(head_of(frame));
    REQUIRE(head.has_value());
    CHECK(head->kind == FrameKind::kMessages);
    CHECK(head->records_bytes == 1'000);
    CHECK(head->text_bytes == text_of(frame).size());
    CHECK(is_intact(head_of(frame), text_of(frame)));
    CHECK(decode_envelopes(text_of(frame), head->records_bytes).value() == envelopes);
    CHECK(decode_envelopes(text_of(frame), 999).error() == Error::kMalformed);
}

TEST_CASE("a greeting says who speaks to whom, of which cluster") {
    const Greeting greeting{.cluster_id = "dlog-1",
                            .from = NodeId(1),
                            .to = NodeId(2),
                            .incarnation = 7,
                            .purpose = Purpose::kPulses,
                            .core = CoreId(63)};
    const Buffer frame = encode_greeting(greeting);
    REQUIRE(decode_frame_head(head_of(frame)).value().kind == FrameKind::kGreeting);
    CHECK(decode_greeting(text_of(frame)).value() == greeting);
    const Buffer nobody = encode_greeting({.cluster_id = "x", .from = NodeId(-1)});
    CHECK(decode_greeting(text_of(nobody)).error() == Error::kMalformed);
    Greeting odd = greeting;
    odd.purpose = static_cast<Purpose>(3);
    CHECK(decode_greeting(text_of(encode_greeting(odd))).error() == Error::kMalformed);
    odd = greeting;
    odd.core = CoreId(70'000);
    CHECK(decode_greeting(text_of(encode_greeting(odd))).error() == Error::kMalformed);
}

TEST_CASE("a request, its answer and a notice bear a number, a code and a body") {
    const std::vector<std::uint8_t> body{1, 2, 3};
    for (const FrameKind kind : {FrameKind::kRequest, FrameKind::kAnswer, FrameKind::kNotice}) {
        const std::uint64_t correlation = kind == FrameKind::kNotice ? 0 : 77;
        const Buffer frame =
            encode_call(kind, {.correlation = correlation, .code = 0x1234, .body = body});
        const FrameHead head = decode_frame_head(head_of(frame)).value();
        CHECK(head.kind == kind);
        CHECK(head.records_bytes == 0);
        CHECK(is_intact(head_of(frame), text_of(frame)));
        const Call call = decode_call(kind, text_of(frame)).value();
        CHECK(call.correlation == correlation);
        CHECK(call.code == 0x1234);
        CHECK(std::vector(call.body.begin(), call.body.end()) == body);
        CHECK(decode_call(kind, text_of(frame).first(9)).error() == Error::kMalformed);
        const FrameKind other =
            kind == FrameKind::kNotice ? FrameKind::kRequest : FrameKind::kNotice;
        CHECK(decode_call(other, text_of(frame)).error() == Error::kMalformed);
    }
    const std::vector<std::uint8_t> much(kCallBodyMax + 11, 1);
    CHECK(decode_call(FrameKind::kAnswer, much).error() == Error::kMalformed);
}

TEST_CASE("a bit that flips in head or text is noticed") {
    const Buffer frame = encode_envelopes(samples());
    for (std::size_t bit = 0; bit < frame.size() * 8; ++bit) {
        std::vector<std::uint8_t> changed(frame.view().begin(), frame.view().end());
        changed[bit / 8] ^= static_cast<std::uint8_t>(1U << bit % 8);
        const ByteView all(changed);
        CHECK(!is_intact(all.first(kFrameHeadBytes), all.subspan(kFrameHeadBytes)));
    }
}

TEST_CASE("a head that promises more than anyone sends is refused before anything is read") {
    const Buffer frame = encode_envelopes(samples());
    const auto with = [&](std::size_t at, std::uint8_t value) {
        std::vector<std::uint8_t> head(head_of(frame).begin(), head_of(frame).end());
        head[at] = value;
        return decode_frame_head(head);
    };
    CHECK(with(0, 'X').error() == Error::kMalformed);
    CHECK(with(4, 2).error() == Error::kUnsupportedVersion);
    CHECK(with(5, 0).error() == Error::kMalformed);
    CHECK(with(5, 9).error() == Error::kMalformed);
    CHECK(with(6, 1).error() == Error::kMalformed);
    CHECK(with(11, 0x7f).error() == Error::kMalformed);
    CHECK(with(15, 0x7f).error() == Error::kMalformed);
    // Records go beside messages only.
    CHECK(with(5, static_cast<std::uint8_t>(FrameKind::kPulse)).error() == Error::kMalformed);
}

TEST_CASE("text that is cut short, or gives records to what takes none, is refused") {
    const std::vector<Envelope> envelopes = samples();
    const Buffer frame = encode_envelopes(envelopes);
    const ByteView text = text_of(frame);
    for (std::size_t size = 0; size < text.size(); ++size) {
        CHECK(!decode_envelopes(text.first(size), 1'000).has_value());
    }
    const std::vector<Envelope> odd{
        {.group = kGroup, .message = TimeoutNow{.term = LeaderEpoch(1)}, .records_bytes = 5}};
    CHECK(decode_envelopes(text_of(encode_envelopes(odd)), 5).error() == Error::kMalformed);
    CHECK(decode_envelopes({}, 0).value().empty());
}

}  // namespace
}  // namespace dlog::consensus::raft
