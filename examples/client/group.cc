// group BOOTSTRAP TOPIC GROUP: reads the topic as a member of the group, prints what it is given,
// and ends when nothing has come for ten seconds.

#include <dlog/client.h>

#include <chrono>
#include <cstdio>

using namespace std::chrono_literals;

namespace {

int fail(const dlog::Error& error) {
    std::fprintf(stderr, "group: %s\n", error.text.c_str());
    return 1;
}

class Observer final : public dlog::RebalanceObserver {
  public:
    void assigned(dlog::PartitionList partitions) override { tell("assigned", partitions); }
    void revoked(dlog::PartitionList partitions) override { tell("revoked", partitions); }

  private:
    static void tell(const char* what, dlog::PartitionList partitions) {
        for (const dlog::TopicPartition& one : partitions) {
            std::printf("%s partition %d\n", what, one.partition);
        }
    }
};

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4) {
        std::fprintf(stderr, "usage: group BOOTSTRAP TOPIC GROUP\n");
        return 2;
    }
    const char* const topic = argv[2];
    const char* const group = argv[3];
    dlog::Result<dlog::Client> client = dlog::Client::connect(argv[1], {.client_id = "example"});
    if (!client) return fail(client.error());

    Observer observer;
    dlog::Result<dlog::Consumer> consumer =
        client->consumer({.on_missing_offset = dlog::MissingOffset::kBeginning,
                          .group = {.id = group, .observer = &observer}});
    if (!consumer) return fail(consumer.error());
    const auto subscribed = consumer->subscribe({topic});
    if (!subscribed) return fail(subscribed.error());

    for (;;) {
        const auto records = consumer->poll(5s);
        if (!records) return fail(records.error());
        if (records->empty()) break;
        std::printf("%zu records\n", records->size());
        const auto committed = consumer->commit_sync();
        if (!committed) return fail(committed.error());
    }
    const auto left = consumer->close();
    if (!left) return fail(left.error());
    return 0;
}
