#include "cli/produce.h"

#include <unistd.h>

#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "cli/exit_code.h"
#include "cli/json.h"
#include "cli/line_source.h"
#include "cli/parse.h"
#include "cli/progress.h"
#include "cli/session.h"
#include "client/producer.h"
#include "codec/compression.h"
#include "port/clock.h"

namespace dlog::cli {

namespace {

struct ProducePlan {
    std::string topic;
    std::vector<std::string> files;
    std::string key_separator;
    std::int32_t partition = -1;
    std::vector<std::pair<std::string, std::string>> headers;
    client::ProducerConfig producer;
    bool shows_progress = false;
    bool is_json = false;
};

client::Acks acks_of(std::string_view text) {
    if (text == "0") return client::Acks::kNone;
    return text == "1" ? client::Acks::kLeader : client::Acks::kAll;
}

std::expected<ProducePlan, std::string> plan_produce(const Invocation& invocation) {
    ProducePlan plan{.topic = invocation.arguments.front()};
    plan.files.assign(invocation.arguments.begin() + 1, invocation.arguments.end());
    plan.key_separator = invocation.option("key-separator");
    if (invocation.is_given("partition")) {
        DLOG_TRY_ASSIGN(const std::int64_t partition,
                        whole_number("partition", invocation.option("partition"), 0, INT32_MAX));
        plan.partition = static_cast<std::int32_t>(partition);
    }
    for (const std::string& header : invocation.all("header")) {
        const std::size_t equals = header.find('=');
        if (equals == std::string::npos) {
            return unexpected("--header \"" + header + "\" is not NAME=VALUE");
        }
        plan.headers.emplace_back(header.substr(0, equals), header.substr(equals + 1));
    }
    plan.producer.acks = acks_of(invocation.option("acks"));
    plan.producer.is_idempotent =
        invocation.is_on("idempotent") && plan.producer.acks == client::Acks::kAll;
    if (invocation.is_given("idempotent") && invocation.is_on("idempotent") &&
        !plan.producer.is_idempotent) {
        return unexpected<std::string>("--idempotent needs --acks all");
    }
    const auto codec = codec::compression_named(invocation.option("compression"));
    if (!codec) return unexpected<std::string>("--compression names no codec");
    plan.producer.compression = *codec;
    plan.is_json = invocation.is_on("json");
    plan.shows_progress = !invocation.is_on("quiet") &&
                          (invocation.is_on("progress") || ::isatty(STDERR_FILENO) != 0);
    return plan;
}

/// Counts what was delivered and keeps the first failure.
struct Deliveries final : client::DeliveryListener {
    void delivered(const client::Delivery& delivery) override {
        if (delivery.error == nullptr) {
            written += delivery.tags.size();
            return;
        }
        failed += delivery.tags.size();
        if (delivery.is_unknown) unknown += delivery.tags.size();
        if (!first_error) first_error = *delivery.error;
    }
    std::uint64_t written = 0;
    std::uint64_t failed = 0;
    std::uint64_t unknown = 0;
    std::optional<client::Error> first_error;
};

/// "key:value" split at the separator; no key without one.
struct KeyAndValue {
    std::optional<ByteView> key;
    ByteView value;
};

KeyAndValue split(std::string_view line, std::string_view separator) {
    if (separator.empty()) return {{}, as_bytes(line)};
    const std::size_t at = line.find(separator);
    if (at == std::string_view::npos) return {{}, as_bytes(line)};
    return {as_bytes(line.substr(0, at)), as_bytes(line.substr(at + separator.size()))};
}

/// What one run of the command works with.
struct Production {
    const ProducePlan& plan;
    LineSource& source;
    client::Producer& producer;
    const Deliveries& deliveries;
    Progress& progress;
    std::string read_error = {};
};

/// Hands every line to the producer, until a file cannot be read or records fail. The error: a
/// record could not be handed over.
port::Task<client::Result<void>> send_lines(Session& session, Production& production) {
    std::vector<record::RecordHeader> headers;
    for (const auto& [name, value] : production.plan.headers) {
        headers.push_back({as_bytes(name), as_bytes(value)});
    }
    for (;;) {
        const auto is_more = co_await production.source.read_more();
        if (!is_more) {
            production.read_error = is_more.error();
            co_return client::Result<void>();
        }
        while (const auto line = production.source.next_line()) {
            const KeyAndValue record = split(*line, production.plan.key_separator);
            DLOG_CO_TRY(co_await production.producer.send({.topic = production.plan.topic,
                                                           .partition = production.plan.partition,
                                                           .key = record.key,
                                                           .value = record.value,
                                                           .headers = headers}));
            if (production.deliveries.first_error) co_return client::Result<void>();
        }
        production.progress.update(session.ports.clock.now(), production.deliveries.written,
                                   production.source.bytes_read());
        if (!*is_more) co_return client::Result<void>();
    }
}

port::Task<int> run_produce(Session& session, ProducePlan plan) {
    LineSource source(session.ports.spawn, plan.files);
    if (const auto measured = source.measure(); !measured) {
        co_return tell(kFailed, measured.error());
    }
    Deliveries deliveries;
    plan.producer.delivery_timeout = session.timeout;
    client::Producer producer(session.cluster, plan.producer, deliveries);
    producer.start();
    Progress progress(plan.shows_progress, session.ports.clock.now(), source.total_bytes());
    Production production{plan, source, producer, deliveries, progress};
    const auto sent = co_await send_lines(session, production);
    co_await producer.flush();
    co_await producer.close();
    progress.finish(session.ports.clock.now(), deliveries.written, source.bytes_read());
    if (plan.is_json) {
        const std::string sum = json_object({{"records", std::to_string(deliveries.written)},
                                             {"failed", std::to_string(deliveries.failed)},
                                             {"unknown", std::to_string(deliveries.unknown)},
                                             {"bytes_read", std::to_string(source.bytes_read())}});
        static_cast<void>(write_out(sum + '\n'));
    }
    if (deliveries.failed > 0) {
        std::string text = std::to_string(deliveries.failed) + " records were not delivered";
        if (deliveries.unknown > 0) {
            text += " (of " + std::to_string(deliveries.unknown) +
                    " of them nobody knows whether they were written)";
        }
        text += ", " + std::to_string(deliveries.written) + " were";
        static_cast<void>(tell(kFailed, text));
    }
    if (!production.read_error.empty()) co_return tell(kFailed, production.read_error);
    if (!sent) co_return tell(sent.error());
    if (deliveries.first_error) co_return tell(*deliveries.first_error);
    co_return kOk;
}

}  // namespace

int produce(const Invocation& invocation) {
    auto plan = plan_produce(invocation);
    if (!plan) return tell(kUsage, plan.error());
    return run_session(invocation,
                       [&](Session& session) { return run_produce(session, *std::move(plan)); });
}

}  // namespace dlog::cli
