/// Any bytes as any version of any message: decoding refuses them or gives a message that is
/// encoded and decoded again to the same bytes. The first three bytes choose message and version.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/assert.h"
#include "protocol/frame.h"
#include "protocol/message_case.h"

namespace {

using dlog::ByteView;
using dlog::protocol::MessageCase;
using dlog::protocol::Recoded;
using dlog::protocol::Result;

const std::vector<MessageCase>& cases() {
    static const std::vector<MessageCase> all = dlog::protocol::message_cases();
    return all;
}

void check_header(ByteView bytes) {
    dlog::protocol::Reader reader(bytes);
    const auto header = dlog::protocol::decode_request_header(reader);
    DLOG_ASSERT(header.has_value() == reader.ok());
    DLOG_ASSERT(reader.position() <= bytes.size(), reader.position(), bytes.size());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    constexpr std::size_t kChoiceSize = 3;
    if (size < kChoiceSize) return 0;
    const MessageCase& message =
        cases()[dlog::load_big_endian<std::uint16_t>(data) % cases().size()];
    const int version_count = message.highest_version - message.lowest_version + 1;
    const auto version =
        static_cast<std::int16_t>(message.lowest_version + data[2] % version_count);
    const ByteView bytes(data + kChoiceSize, size - kChoiceSize);
    check_header(bytes);

    const Result<Recoded> first = message.recode(bytes, version);
    const Result<void> decoded = message.decode(bytes, version);
    // What was decoded can be encoded in the version that it came in.
    DLOG_ASSERT(first.has_value() == decoded.has_value(), message.name, version);
    if (!first) return 0;
    // Not equality of the messages, because a float64 may be a NaN.
    const Result<Recoded> second = message.recode(first->bytes.view(), version);
    DLOG_ASSERT(second.has_value(), message.name, version);
    DLOG_ASSERT(std::ranges::equal(first->bytes.view(), second->bytes.view()), message.name,
                version);
    return 0;
}
