// consume BOOTSTRAP TOPIC SECONDS: prints what was written to the topic in the last SECONDS, and
// ends when nothing has come for a second.

#include <dlog/client.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>

using namespace std::chrono_literals;

namespace {

int fail(const dlog::Error& error) {
    std::fprintf(stderr, "consume: %s\n", error.text.c_str());
    return 1;
}

void print(std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc != 4) {
        std::fprintf(stderr, "usage: consume BOOTSTRAP TOPIC SECONDS\n");
        return 2;
    }
    const std::chrono::seconds span(std::atoi(argv[3]));

    dlog::Result<dlog::Client> client = dlog::Client::connect(argv[1], {.client_id = "example"});
    if (!client) return fail(client.error());
    dlog::Result<dlog::Consumer> consumer = client->consumer();
    if (!consumer) return fail(consumer.error());

    const auto since = std::chrono::system_clock::now() - span;
    const auto assigned = consumer->consume_from_timestamp(argv[2], since);
    if (!assigned) return fail(assigned.error());

    for (;;) {
        const dlog::Result<dlog::Records> records = consumer->poll(1s);
        if (!records) return fail(records.error());
        if (records->empty()) return 0;
        for (const dlog::Record& record : *records) {
            std::printf("%d/%lld ", record.partition, static_cast<long long>(record.offset));
            print(record.key.text());
            print(": ");
            print(record.value.text());
            for (dlog::Headers rest = record.headers; rest.count() > 0;) {
                const dlog::Header header = rest.next();
                print(" ");
                print(header.key);
                print("=");
                print(header.value.text());
            }
            print("\n");
        }
    }
}
