/// DLog's client for C++: producers and consumers. <dlog/admin.h> and <dlog/future.h> stand apart,
/// since they need the standard library's slow headers. It speaks Kafka's protocol, so Apache
/// Kafka's brokers answer it as well.
///
///     #include <dlog/client.h>
///
///     auto client = dlog::Client::connect("127.0.0.1:9092");
///     if (!client) return fail(client.error().text.c_str());
///     auto producer = client->producer();
///     producer->send({.topic = "orders", .key = "42", .value = "paid"});
///     producer->flush(std::chrono::seconds(10));
#pragma once

#include <string_view>

#include "dlog/consumer.h"
#include "dlog/partitioner.h"
#include "dlog/producer.h"
#include "dlog/record.h"
#include "dlog/result.h"
#include "dlog/time.h"

namespace dlog {

namespace sdk {
class Core;
}

class Admin;

struct ClientOptions {
    /// Names this client in the brokers' logs.
    Text client_id = "dlog-cpp";
    TimeSpan connect_timeout = TimeSpan::seconds(10);
    /// For one request, and for a blocking call with its repetitions.
    TimeSpan request_timeout = TimeSpan::seconds(30);
    /// Waits between tries grow from the first to the second.
    TimeSpan backoff_min = TimeSpan::milliseconds(50);
    TimeSpan backoff_max = TimeSpan::seconds(1);
    /// What is known of a topic is asked for again after this time.
    TimeSpan metadata_age_max = TimeSpan::seconds(300);
};

/// The connections to one cluster and the thread that serves them, shared by all that it makes.
/// Any thread may call it.
class Client {
  public:
    /// `bootstrap` names brokers to begin with, "host:port,host:port". Fails when none of them
    /// answers.
    [[nodiscard]] static Result<Client> connect(std::string_view bootstrap,
                                                ClientOptions options = {});
    Client(Client&& other) noexcept;
    Client& operator=(Client&& other) noexcept;
    /// Ends what its producers, consumers and admins have under way: they answer kClosed from then
    /// on. Flush producers first.
    ~Client();

    [[nodiscard]] Admin admin();
    [[nodiscard]] Result<Producer> producer(ProducerOptions options = {});
    [[nodiscard]] Result<Consumer> consumer(ConsumerOptions options = {});

  private:
    explicit Client(sdk::Core* core) : core_(core) {}
    sdk::Core* core_ = nullptr;
};

}  // namespace dlog
