/// Messages without their types, for tests and fuzz targets that treat all of them alike. Generated
/// fillers (the library dlog_protocol_cases) give each message random values that its version can
/// carry.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/buffer.h"
#include "base/ids.h"
#include "base/random.h"
#include "protocol/reader.h"
#include "protocol/types.h"
#include "protocol/writer.h"

namespace dlog::protocol {

/// What happened to a message that was decoded, encoded again and decoded again.
struct Recoded {
    Buffer bytes;
    bool is_equal = false;
};

struct MessageCase {
    std::string_view name;
    std::int16_t lowest_version = 0;
    std::int16_t highest_version = 0;
    std::int16_t first_flexible_version = 0;
    Result<Buffer> (*encode_random)(Random& random, std::int16_t version) = nullptr;
    Result<Buffer> (*encode_default)(std::int16_t version) = nullptr;
    /// The outcome of decoding alone; bytes left over are a fault.
    Result<void> (*decode)(ByteView bytes, std::int16_t version) = nullptr;
    Result<Recoded> (*recode)(ByteView bytes, std::int16_t version) = nullptr;
};

/// Every message of the protocol room.
[[nodiscard]] std::vector<MessageCase> message_cases();

// What the generated fillers are made of.

[[nodiscard]] inline std::string random_text(Random& random) {
    std::string text(random.below(random.chance(1, 8) ? 200 : 6), 'a');
    for (char& c : text) c = static_cast<char>('a' + random.below(26));
    return text;
}

/// A view of bytes that live as long as the program.
[[nodiscard]] inline ByteView random_view(Random& random) {
    static constexpr std::string_view kBytes =
        "Kafka's records are opaque here: any bytes will do, and these are some of them, a few of "
        "which are enough to tell a shifted view from a true one.";
    const std::size_t size = random.below(kBytes.size());
    return as_bytes(kBytes.substr(random.below(kBytes.size() - size), size));
}

template <class T>
    requires std::is_integral_v<T>
void fill_value(Random& random, T& x) {
    x = static_cast<T>(random.chance(1, 2) ? random.below(100) : random.next());
}
inline void fill_value(Random& random, bool& x) {
    x = random.chance(1, 2);
}
inline void fill_value(Random& random, double& x) {
    x = static_cast<double>(random.between(-1000, 1000)) / 8;
}
inline void fill_value(Random& random, TopicId& x) {
    x = {random.next(), random.next()};
}
inline void fill_value(Random& random, ErrorCode& x) {
    x = static_cast<ErrorCode>(random.between(-1, 130));
}
inline void fill_value(Random& random, std::string& x) {
    x = random_text(random);
}
inline void fill_value(Random& random, Bytes& x) {
    x = random_view(random);
}
inline void fill_value(Random& random, Records& x, bool may_be_null) {
    if (may_be_null && random.chance(1, 4)) {
        x = Records();
    } else {
        x = random_view(random);
    }
}
template <class T>
void fill_value(Random& random, std::vector<T>& x) {
    x.resize(random.below(4));
    for (T& element : x) fill_value(random, element);
}
template <class T>
void fill_value(Random& random, std::optional<T>& x, bool may_be_null) {
    x.reset();
    if (!may_be_null || random.chance(3, 4)) fill_value(random, x.emplace());
}

template <class T>
using Fill = void (*)(Random&, std::int16_t version, T&);

template <class T>
void fill_structs(Random& random, std::vector<T>& x, std::int16_t version,
                  std::type_identity_t<Fill<T>> fill) {
    x.resize(random.below(4));
    for (T& element : x) fill(random, version, element);
}
template <class T>
void fill_structs(Random& random, std::optional<std::vector<T>>& x, bool may_be_null,
                  std::int16_t version, std::type_identity_t<Fill<T>> fill) {
    x.reset();
    if (!may_be_null || random.chance(3, 4)) fill_structs(random, x.emplace(), version, fill);
}
template <class T>
void fill_struct(Random& random, std::optional<T>& x, bool may_be_null, std::int16_t version,
                 std::type_identity_t<Fill<T>> fill) {
    x.reset();
    if (!may_be_null || random.chance(3, 4)) fill(random, version, x.emplace());
}

template <class Message>
[[nodiscard]] Result<Buffer> encoded(const Message& message, std::int16_t version) {
    Writer writer;
    if (auto result = message.encode(writer, version); !result) {
        return std::unexpected(result.error());
    }
    return writer.take();
}

template <class Message>
[[nodiscard]] Result<Message> decoded(ByteView bytes, std::int16_t version) {
    Reader reader(bytes);
    Result<Message> message = Message::decode(reader, version);
    if (!message) return message;
    if (auto end = reader.finish(); !end) return std::unexpected(end.error());
    return message;
}

template <class Message>
[[nodiscard]] Result<Recoded> recode(ByteView bytes, std::int16_t version) {
    const Result<Message> first = decoded<Message>(bytes, version);
    if (!first) return std::unexpected(first.error());
    const Result<Buffer> again = encoded(*first, version);
    if (!again) return std::unexpected(again.error());
    const Result<Message> second = decoded<Message>(again->view(), version);
    if (!second) return std::unexpected(second.error());
    return Recoded{*again, *first == *second};
}

template <class Message, Fill<Message> kFill>
[[nodiscard]] MessageCase case_of() {
    return {.name = Message::kName,
            .lowest_version = Message::kLowestVersion,
            .highest_version = Message::kHighestVersion,
            .first_flexible_version = Message::kFirstFlexibleVersion,
            .encode_random = [](Random& random, std::int16_t version) -> Result<Buffer> {
                Message message;
                kFill(random, version, message);
                return encoded(message, version);
            },
            .encode_default = [](std::int16_t version) { return encoded(Message{}, version); },
            .decode = [](ByteView bytes, std::int16_t version) -> Result<void> {
                const Result<Message> message = decoded<Message>(bytes, version);
                if (!message) return std::unexpected(message.error());
                return {};
            },
            .recode = recode<Message>};
}

}  // namespace dlog::protocol
