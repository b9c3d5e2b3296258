// produce BOOTSTRAP TOPIC COUNT: makes the topic with three partitions and writes COUNT orders to
// it, keyed by customer.

#include <dlog/admin.h>
#include <dlog/client.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>

using namespace std::chrono_literals;

namespace {

int fail(const dlog::Error& error) {
    std::fprintf(stderr, "produce: %s\n", error.text.c_str());
    return 1;
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4) {
        std::fprintf(stderr, "usage: produce BOOTSTRAP TOPIC COUNT\n");
        return 2;
    }
    const std::string topic = argv[2];
    const int count = std::atoi(argv[3]);

    dlog::Result<dlog::Client> client = dlog::Client::connect(argv[1], {.client_id = "example"});
    if (!client) return fail(client.error());

    constexpr int kTopicAlreadyExists = 36;
    const auto made = client->admin().create_topic({.name = topic, .partitions = 3});
    if (!made && made.error().code != kTopicAlreadyExists) return fail(made.error());

    dlog::Result<dlog::Producer> producer =
        client->producer({.compression = dlog::Compression::kLz4, .linger = 10ms});
    if (!producer) return fail(producer.error());
    for (int i = 0; i < count; ++i) {
        const std::string customer = "customer-" + std::to_string(i % 10);
        const std::string order = "order " + std::to_string(i);
        const dlog::Header headers[] = {{"origin", "example"}};
        const auto sent =
            producer->send({.topic = topic, .key = customer, .value = order, .headers = headers});
        if (!sent) return fail(sent.error());
    }
    const auto flushed = producer->flush(30s);
    if (!flushed) return fail(flushed.error());
    std::printf("%d orders written\n", count);
    return 0;
}
