/// For this room's tests: a broker in a few lines that keeps batches in memory, checks sequences as
/// Kafka does, and fails on request.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "port/net.h"
#include "port/ports.h"
#include "port/spawn.h"
#include "port/task.h"
#include "protocol/frame.h"
#include "protocol/messages/api_versions.h"
#include "protocol/messages/fetch.h"
#include "protocol/messages/init_producer_id.h"
#include "protocol/messages/list_offsets.h"
#include "protocol/messages/metadata.h"
#include "protocol/messages/produce.h"
#include "record/batch.h"

namespace dlog::client::test {

using protocol::ErrorCode;

/// What the next Produce meets.
struct ProduceFault {
    ErrorCode code = ErrorCode::kNone;
    bool appends_first = false;  ///< the batch is written all the same
    bool drops_connection = false;
};

struct FakePartition {
    struct Sequences {
        ProducerEpoch epoch;
        /// First sequence, last sequence, base offset of the last five batches.
        std::deque<std::tuple<std::int32_t, std::int32_t, std::int64_t>> batches;
    };
    std::vector<Buffer> batches;
    std::int64_t next_offset = 0;
    bool has_leader = true;
    std::map<std::int64_t, Sequences> producers;
};

class FakeBroker {
  public:
    explicit FakeBroker(port::Ports& ports) : ports_(ports) {}

    std::map<std::string, std::vector<FakePartition>> topics;
    std::deque<ProduceFault> produce_faults;
    std::int16_t api_versions_max = 4;
    bool answers = true;  ///< false: reads requests and says nothing
    bool damages_fetches = false;
    std::uint64_t produce_requests = 0;
    std::int64_t next_producer_id = 100;
    port::Endpoint endpoint{"broker", 9092};  ///< port 0: any, known once it is listening

    void start() { ports_.spawn.spawn(accept_loop()); }

  private:
    using Frame = std::vector<port::OutPart>;

    port::Task<void> accept_loop() {
        auto listener = co_await ports_.net.listen(endpoint);
        if (!listener) co_return;
        endpoint.port = (*listener)->endpoint().port;
        for (;;) {
            auto connection = co_await (*listener)->accept();
            if (!connection) co_return;
            ports_.spawn.spawn(serve(*std::move(connection)));
        }
    }

    port::Task<void> serve(port::ConnectionPtr connection) {
        for (;;) {
            std::uint8_t head[4];
            const auto is_there = co_await port::read_exactly(*connection, head);
            if (!is_there || !*is_there) break;
            Buffer frame = Buffer::allocate(load_big_endian<std::uint32_t>(head));
            const auto is_whole = co_await port::read_exactly(*connection, frame.mutable_view());
            if (!is_whole || !*is_whole) break;
            if (!answers) continue;
            auto answer = handle(frame);
            if (!answer) break;
            if (answer->empty()) continue;
            if (!co_await connection->write(*std::move(answer))) break;
        }
        connection->close();
    }

    template <class Response>
    static std::optional<Frame> frame_of(const protocol::RequestStart& start,
                                         const Response& response, std::int16_t version) {
        protocol::Writer writer;
        const auto encoded =
            protocol::encode_response_frame(writer, version, start.correlation_id, response);
        DLOG_ASSERT(encoded.has_value());
        return Frame{writer.take()};
    }

    /// Nothing: the connection ends. Empty: no answer.
    std::optional<Frame> handle(const Buffer& frame) {
        const auto start = protocol::read_request_start(frame.view());
        protocol::Reader reader(frame.view());
        if (!start || !protocol::decode_request_header(reader)) return std::nullopt;
        switch (static_cast<protocol::ApiKey>(start->api_key)) {
            case protocol::ApiKey::kApiVersions:
                return api_versions(*start);
            case protocol::ApiKey::kMetadata:
                return metadata(*start, reader);
            case protocol::ApiKey::kInitProducerId:
                return init_producer_id(*start);
            case protocol::ApiKey::kProduce:
                return produce(*start, reader);
            case protocol::ApiKey::kFetch:
                return fetch(*start, reader);
            case protocol::ApiKey::kListOffsets:
                return list_offsets(*start, reader);
            default:
                return std::nullopt;
        }
    }

    std::optional<Frame> api_versions(const protocol::RequestStart& start) {
        protocol::ApiVersionsResponse response;
        response.api_keys = {
            {0, 3, 12}, {1, 4, 17}, {2, 1, 7}, {3, 0, 12}, {18, 0, api_versions_max}, {22, 0, 5}};
        std::int16_t version = start.api_version;
        if (version > api_versions_max) {
            response.error_code = ErrorCode::kUnsupportedVersion;
            version = 0;
        }
        return frame_of(start, response, version);
    }

    std::optional<Frame> metadata(const protocol::RequestStart& start, protocol::Reader& reader) {
        const auto request = protocol::MetadataRequest::decode(reader, start.api_version);
        if (!request) return std::nullopt;
        protocol::MetadataResponse response;
        response.brokers.push_back({.node_id = 1, .host = endpoint.host, .port = endpoint.port});
        for (const auto& asked : request->topics.value()) {
            const std::string name = asked.name.value_or("");
            auto& topic = response.topics.emplace_back();
            topic.name = name;
            const auto found = topics.find(name);
            if (found == topics.end()) {
                topic.error_code = ErrorCode::kUnknownTopicOrPartition;
                continue;
            }
            for (std::size_t i = 0; i < found->second.size(); ++i) {
                auto& partition = topic.partitions.emplace_back();
                partition.partition_index = static_cast<std::int32_t>(i);
                partition.leader_id = found->second[i].has_leader ? 1 : -1;
                partition.leader_epoch = 3;
            }
        }
        return frame_of(start, response, start.api_version);
    }

    std::optional<Frame> init_producer_id(const protocol::RequestStart& start) {
        protocol::InitProducerIdResponse response;
        response.producer_id = next_producer_id++;
        return frame_of(start, response, start.api_version);
    }

    std::optional<Frame> produce(const protocol::RequestStart& start, protocol::Reader& reader) {
        const auto request = protocol::ProduceRequest::decode(reader, start.api_version);
        if (!request) return std::nullopt;
        ++produce_requests;
        ProduceFault fault;
        if (!produce_faults.empty()) {
            fault = produce_faults.front();
            produce_faults.pop_front();
        }
        protocol::ProduceResponse response;
        for (const auto& topic : request->topic_data) {
            auto& answered = response.responses.emplace_back();
            answered.name = topic.name;
            for (const auto& data : topic.partition_data) {
                auto& answer = answered.partition_responses.emplace_back();
                answer.index = data.index;
                const bool is_refused = fault.code != ErrorCode::kNone && !fault.appends_first;
                if (!is_refused) append(topic.name, data, answer);
                if (fault.code != ErrorCode::kNone) answer.error_code = fault.code;
            }
        }
        if (fault.drops_connection) return std::nullopt;
        if (request->acks == 0) return Frame();
        return frame_of(start, response, start.api_version);
    }

    void append(const std::string& topic,
                const protocol::ProduceRequest::PartitionProduceData& data,
                protocol::ProduceResponse::PartitionProduceResponse& answer) {
        const auto found = topics.find(topic);
        if (found == topics.end()) {
            answer.error_code = ErrorCode::kUnknownTopicOrPartition;
            return;
        }
        FakePartition& partition = found->second.at(static_cast<std::size_t>(data.index));
        Buffer batch = Buffer::copy_of(data.records.view());
        const auto header = record::read_batch_header(batch.view());
        if (!header || !record::verify_crc(batch.view())) {
            answer.error_code = ErrorCode::kCorruptMessage;
            return;
        }
        if (header->has_producer() && !check_sequence(partition, *header, answer)) return;
        record::set_base_offset(batch.mutable_view(), Offset{partition.next_offset});
        answer.base_offset = partition.next_offset;
        partition.next_offset += header->last_offset_delta + 1;
        partition.batches.push_back(std::move(batch));
    }

    static bool check_sequence(FakePartition& partition, const record::BatchHeader& header,
                               protocol::ProduceResponse::PartitionProduceResponse& answer) {
        auto& state = partition.producers[header.producer_id.value];
        for (const auto& [first, last, offset] : state.batches) {
            if (first == header.base_sequence && last == header.last_sequence()) {
                answer.base_offset = offset;
                return false;
            }
        }
        const std::int32_t expected =
            state.batches.empty() ? 0 : std::get<1>(state.batches.back()) + 1;
        if (header.base_sequence != expected) {
            answer.error_code = ErrorCode::kOutOfOrderSequenceNumber;
            return false;
        }
        state.batches.emplace_back(header.base_sequence, header.last_sequence(),
                                   partition.next_offset);
        if (state.batches.size() > 5) state.batches.pop_front();
        return true;
    }

    std::optional<Frame> fetch(const protocol::RequestStart& start, protocol::Reader& reader) {
        const auto request = protocol::FetchRequest::decode(reader, start.api_version);
        if (!request) return std::nullopt;
        protocol::FetchResponse response;
        std::vector<std::vector<std::uint8_t>> bytes;
        bytes.reserve(64);
        for (const auto& topic : request->topics) {
            auto& answered = response.responses.emplace_back();
            answered.topic = topic.topic;
            for (const auto& wanted : topic.partitions) {
                const auto& partition =
                    topics.at(topic.topic).at(static_cast<std::size_t>(wanted.partition));
                auto& answer = answered.partitions.emplace_back();
                answer.partition_index = wanted.partition;
                answer.high_watermark = partition.next_offset;
                if (wanted.fetch_offset > partition.next_offset) {
                    answer.error_code = ErrorCode::kOffsetOutOfRange;
                }
                answer.records = ByteView(bytes.emplace_back(read(partition, wanted.fetch_offset)));
            }
        }
        return frame_of(start, response, start.api_version);
    }

    /// Two and a half batches from the one on that holds `offset`.
    std::vector<std::uint8_t> read(const FakePartition& partition, std::int64_t offset) const {
        std::vector<std::uint8_t> out;
        int count = 0;
        for (const Buffer& batch : partition.batches) {
            const auto header = record::read_batch_header(batch.view());
            if (header->next_offset().value <= offset) continue;
            const std::size_t size = count == 2 ? batch.size() / 2 : batch.size();
            out.insert(out.end(), batch.data(), batch.data() + size);
            if (++count == 3) break;
        }
        if (damages_fetches && !out.empty()) out[record::kBatchHeaderSize + 2] ^= 1;
        return out;
    }

    std::optional<Frame> list_offsets(const protocol::RequestStart& start,
                                      protocol::Reader& reader) {
        const auto request = protocol::ListOffsetsRequest::decode(reader, start.api_version);
        if (!request) return std::nullopt;
        protocol::ListOffsetsResponse response;
        for (const auto& topic : request->topics) {
            auto& answered = response.topics.emplace_back();
            answered.name = topic.name;
            for (const auto& wanted : topic.partitions) {
                const auto& partition =
                    topics.at(topic.name).at(static_cast<std::size_t>(wanted.partition_index));
                auto& answer = answered.partitions.emplace_back();
                answer.partition_index = wanted.partition_index;
                answer.offset = wanted.timestamp == -2 ? 0 : partition.next_offset;
            }
        }
        return frame_of(start, response, start.api_version);
    }

    port::Ports& ports_;
};

}  // namespace dlog::client::test
