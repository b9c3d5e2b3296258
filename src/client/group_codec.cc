#include "client/group_codec.h"

#include <algorithm>
#include <utility>

#include "base/assert.h"
#include "base/result.h"
#include "protocol/messages/consumer_protocol.h"
#include "protocol/reader.h"
#include "protocol/writer.h"

namespace dlog::client {

namespace {

template <class Message>
Buffer encode(const Message& message) {
    protocol::Writer writer;
    writer.write(Message::kHighestVersion);
    const auto encoded = message.encode(writer, Message::kHighestVersion);
    DLOG_ASSERT(encoded.has_value());
    return writer.take();
}

template <class Message>
Result<Message> decode(ByteView bytes) {
    protocol::Reader reader(bytes);
    std::int16_t version = 0;
    reader.read(version);
    // A later version only adds to the end.
    version = std::min(version, Message::kHighestVersion);
    if (reader.ok() && version >= 0) {
        auto decoded = Message::decode(reader, version);
        if (decoded) return *std::move(decoded);
    }
    return unexpected(
        Error{.kind = ErrorKind::kBadResponse, .detail = std::string(Message::kName)});
}

template <class Topic>
std::vector<Topic> listed(const TopicPartitions& partitions) {
    std::vector<Topic> topics;
    for (const auto& [topic, numbers] : partitions) topics.push_back({topic, numbers});
    return topics;
}

template <class Topic>
TopicPartitions gathered(const std::vector<Topic>& topics) {
    TopicPartitions partitions;
    for (const Topic& one : topics) {
        auto& numbers = partitions[one.topic];
        numbers.insert(numbers.end(), one.partitions.begin(), one.partitions.end());
    }
    return partitions;
}

}  // namespace

Buffer encode_subscription(const Subscription& subscription) {
    using Message = protocol::ConsumerProtocolSubscription;
    Message message;
    message.topics = subscription.topics;
    message.owned_partitions = listed<Message::TopicPartition>(subscription.owned);
    message.generation_id = subscription.generation;
    return encode(message);
}

Result<Subscription> decode_subscription(ByteView bytes) {
    DLOG_TRY_ASSIGN(const auto message, decode<protocol::ConsumerProtocolSubscription>(bytes));
    return Subscription{.topics = message.topics,
                        .owned = gathered(message.owned_partitions),
                        .generation = message.generation_id};
}

Buffer encode_assignment(const TopicPartitions& assigned) {
    using Message = protocol::ConsumerProtocolAssignment;
    Message message;
    message.assigned_partitions = listed<Message::TopicPartition>(assigned);
    return encode(message);
}

Result<TopicPartitions> decode_assignment(ByteView bytes) {
    if (bytes.empty()) return TopicPartitions();
    DLOG_TRY_ASSIGN(const auto message, decode<protocol::ConsumerProtocolAssignment>(bytes));
    return gathered(message.assigned_partitions);
}

}  // namespace dlog::client
