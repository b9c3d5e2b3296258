/// What decoding and encoding the hot messages costs, in CPU nanoseconds a message: Produce and
/// Fetch with few and with many partitions, and Metadata of many topics.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <string>
#include <vector>

#include "base/assert.h"
#include "protocol/messages/fetch.h"
#include "protocol/messages/metadata.h"
#include "protocol/messages/produce.h"
#include "protocol/reader.h"
#include "protocol/writer.h"

namespace {

using namespace dlog::protocol;
using dlog::TopicId;

constexpr int kRounds = 15;
constexpr double kRoundNs = 10e6;
/// A decoded batch is a view, so its size does not matter; a small one keeps the encoder's copying
/// out of the figures.
constexpr std::uint8_t kBatch[100] = {};

/// This thread's CPU time: other work on the machine does not count.
double cpu_ns() {
    timespec now{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) * 1e9 + static_cast<double>(now.tv_nsec);
}

/// The median of the time of one call in nanoseconds.
template <class Call>
double median_ns(Call call) {
    const double begin = cpu_ns();
    for (int index = 0; index < 10; ++index) call();
    const auto calls = static_cast<int>(1 + kRoundNs * 10 / (cpu_ns() - begin));
    std::vector<double> times;
    for (int round = 0; round < kRounds; ++round) {
        const double start = cpu_ns();
        for (int index = 0; index < calls; ++index) call();
        times.push_back((cpu_ns() - start) / calls);
    }
    std::sort(times.begin(), times.end());
    return times[times.size() / 2];
}

template <class Message>
void measure(const char* name, const Message& message, std::int16_t version) {
    Writer first;
    DLOG_ASSERT(message.encode(first, version).has_value());
    const dlog::Buffer bytes = first.take();
    const double encode = median_ns([&] {
        Writer writer(bytes.size());
        if (!message.encode(writer, version)) std::abort();
    });
    const double decode = median_ns([&] {
        Reader reader(bytes.view());
        if (!Message::decode(reader, version)) std::abort();
    });
    std::printf("%-36s v%-3d %8zu bytes   encode %10.0f ns   decode %10.0f ns\n", name, version,
                bytes.size(), encode, decode);
}

ProduceRequest produce(int partitions) {
    ProduceRequest request{.acks = -1, .timeout_ms = 30000};
    auto& topic = request.topic_data.emplace_back();
    topic.name = "a-topic-with-a-usual-name";
    for (int index = 0; index < partitions; ++index) {
        topic.partition_data.push_back({.index = index, .records = dlog::ByteView(kBatch)});
    }
    return request;
}

FetchRequest fetch_request(int partitions) {
    FetchRequest request{.max_wait_ms = 500, .min_bytes = 1};
    auto& topic = request.topics.emplace_back();
    topic.topic_id = TopicId{1, 2};
    for (int index = 0; index < partitions; ++index) {
        topic.partitions.push_back({.partition = index, .fetch_offset = index});
    }
    return request;
}

FetchResponse fetch_response(int partitions) {
    FetchResponse response;
    auto& topic = response.responses.emplace_back();
    topic.topic_id = TopicId{1, 2};
    for (int index = 0; index < partitions; ++index) {
        topic.partitions.push_back({.partition_index = index, .records = Records::external(0, 0)});
    }
    return response;
}

MetadataResponse metadata(int topics) {
    MetadataResponse response;
    response.brokers.push_back({.node_id = 1, .host = "broker.example.org", .port = 9092});
    for (int index = 0; index < topics; ++index) {
        auto& topic = response.topics.emplace_back();
        topic.name = "topic-" + std::to_string(index);
        topic.topic_id = TopicId{1, 2};
        topic.partitions.push_back(
            {.leader_id = 1, .leader_epoch = 1, .replica_nodes = {1}, .isr_nodes = {1}});
    }
    return response;
}

}  // namespace

int main() {
    measure("ProduceRequest, 1 partition", produce(1), 9);
    measure("ProduceRequest, 1000 partitions", produce(1000), 9);
    measure("FetchRequest, 1 partition", fetch_request(1), 13);
    measure("FetchRequest, 1000 partitions", fetch_request(1000), 13);
    measure("FetchResponse, 1 partition", fetch_response(1), 13);
    measure("FetchResponse, 1000 partitions", fetch_response(1000), 13);
    measure("MetadataResponse, 1000 topics", metadata(1000), 12);
    return 0;
}
