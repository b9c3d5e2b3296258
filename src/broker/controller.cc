#include "broker/controller.h"

#include <utility>

#include "base/assert.h"
#include "base/log.h"
#include "broker/broker_config.h"
#include "broker/core.h"
#include "broker/install.h"
#include "broker/log_replay.h"
#include "broker/node_config.h"
#include "metadata/records.h"
#include "metadata/topic_name.h"
#include "port/entropy.h"
#include "record/builder.h"

namespace dlog::broker {

using metadata::Record;
using metadata::Refusal;
using protocol::ErrorCode;

namespace {

/// The metadata log's own topic id, as Kafka has it.
constexpr TopicId kMetadataTopicId{0, 1};

storage::LogConfig metadata_log_config() {
    storage::LogConfig config;
    config.retention_ms = -1;
    config.retention_bytes = -1;
    config.segment_bytes = std::int64_t{1} << 30;
    config.write_caching = false;
    return config;
}

TopicId random_topic_id(port::Entropy& entropy) {
    TopicId id;
    // Zero means "none", and one is the metadata log.
    while (id.high == 0) id = TopicId{entropy.next(), entropy.next()};
    return id;
}

}  // namespace

port::Task<std::expected<void, std::string>> Controller::open(LeaderEpoch epoch) {
    replication::PartitionKey key{.topic = std::string(metadata::kMetadataTopicName),
                                  .topic_id = kMetadataTopicId,
                                  .partition = PartitionId(0)};
    auto log = co_await core_.shard.open(std::move(key), metadata_log_config(), epoch);
    if (!log) {
        co_return std::unexpected("the metadata log cannot be opened: " +
                                  std::string(replication::error_name(log.error())));
    }
    log_ = *std::move(log);
    co_return co_await replay();
}

port::Task<std::expected<void, std::string>> Controller::replay() {
    auto replayed =
        co_await replay_log(core_, log_, [this](const record::Record& one) { return fold(one); });
    if (!replayed) co_return std::unexpected("the metadata log: " + replayed.error());
    co_return {};
}

std::expected<void, std::string> Controller::fold(const record::Record& one) {
    auto known = metadata::decode_record(one.value.value_or(ByteView{}));
    if (!known) return std::unexpected(known.error().text());
    if (const auto* removal = std::get_if<metadata::RemoveTopicRecord>(&*known)) {
        note_deleted(removal->topic_id);
    }
    state_.apply(*known);
    return {};
}

void Controller::note_deleted(TopicId id) {
    const metadata::TopicPtr topic = state_.topic(id);
    if (topic == nullptr) return;
    deleted_.push_back({.name = topic->name,
                        .id = id,
                        .partition_count = static_cast<std::int32_t>(topic->partitions.size())});
}

port::Task<std::expected<void, std::string>> Controller::register_node(
    metadata::RegisterNode node) {
    const auto decision = metadata::decide(state_, node);
    if (decision.reply.code != ErrorCode::kNone) co_return std::unexpected(decision.reply.message);
    const Outcome outcome = co_await commit(decision.records);
    if (!outcome) co_return std::unexpected(outcome.error().message);
    co_return {};
}

port::Task<void> Controller::begin_change() {
    while (is_changing_) co_await change_ended_.wait();
    is_changing_ = true;
}

void Controller::end_change() {
    DLOG_ASSERT(is_changing_);
    is_changing_ = false;
    change_ended_.notify_all();
}

port::Task<Controller::Outcome> Controller::commit(std::vector<Record> records) {
    if (records.empty()) co_return Outcome{};
    const Timestamp now = core_.ports.clock.wall_now();
    record::BatchBuilder builder(record::BatchSpec{});
    for (const Record& one : records) {
        const auto bytes = metadata::encode_record(one);
        if (!bytes) {
            co_return std::unexpected(Refusal{ErrorCode::kInvalidRequest, bytes.error().text()});
        }
        builder.append(now, std::nullopt, bytes->view());
    }
    auto batch = builder.build();
    if (!batch) {
        co_return std::unexpected(
            Refusal{ErrorCode::kInvalidRequest, std::string(record::error_text(batch.error()))});
    }
    const auto refuse = [](replication::Error error) {
        return std::unexpected(Refusal{ErrorCode::kKafkaStorageError,
                                       "The change could not be written: " +
                                           std::string(replication::error_name(error)) + "."});
    };
    auto admitted = log_->append(*std::move(batch), now);
    if (!admitted) co_return refuse(admitted.error());
    const auto committed = co_await log_->committed(*admitted);
    if (!committed) co_return refuse(committed.error());
    bool is_for_all = false;
    for (const Record& one : records) {
        state_.apply(one);
        // Only the controller looks at producer ids.
        is_for_all = is_for_all || !std::holds_alternative<metadata::ProducerIdsRecord>(one);
    }
    if (is_for_all) co_await publish();
    co_return Outcome{};
}

port::Task<void> Controller::publish() {
    const ViewPtr old = view_;
    view_ = std::make_shared<const View>(
        state_.image(),
        metadata::broker_configs(state_, core_.config.node_id, core_.config.settings),
        core_.ports.spawn.core_count(), old.get());
    co_await install_view(core_, old, view_);
}

metadata::Defaults Controller::defaults() const {
    DLOG_ASSERT(view_ != nullptr);
    return {
        .num_partitions = core_.config.num_partitions,
        .replication_factor = static_cast<std::int16_t>(core_.config.default_replication_factor),
        .broker = view_->broker_effective()};
}

port::Task<metadata::CreateTopicsReply> Controller::create_topics(metadata::CreateTopics request) {
    co_await begin_change();
    std::vector<TopicId> ids;
    for (std::size_t i = 0; i < request.topics.size(); ++i) {
        ids.push_back(random_topic_id(core_.ports.entropy));
    }
    auto decision = metadata::decide(state_, request, defaults(), ids);
    const Outcome outcome = co_await commit(std::move(decision.records));
    end_change();
    if (!outcome) {
        for (auto& [name, topic] : decision.reply) {
            if (topic) topic = std::unexpected(outcome.error());
        }
    }
    co_return std::move(decision.reply);
}

port::Task<metadata::DeleteTopicsReply> Controller::delete_topics(metadata::DeleteTopics request) {
    co_await begin_change();
    auto decision = metadata::decide(state_, request);
    const Outcome outcome = co_await commit(std::move(decision.records));
    end_change();
    if (!outcome) {
        for (metadata::DeletedTopic& topic : decision.reply) {
            if (topic.refusal.code == ErrorCode::kNone) topic.refusal = outcome.error();
        }
    }
    co_return std::move(decision.reply);
}

port::Task<metadata::CreatePartitionsReply> Controller::create_partitions(
    metadata::CreatePartitions request) {
    co_await begin_change();
    auto decision = metadata::decide(state_, request, defaults());
    const Outcome outcome = co_await commit(std::move(decision.records));
    end_change();
    if (!outcome) {
        for (auto& [name, refusal] : decision.reply) {
            if (refusal.code == ErrorCode::kNone) refusal = outcome.error();
        }
    }
    co_return std::move(decision.reply);
}

port::Task<metadata::AlterConfigsReply> Controller::alter_configs(metadata::AlterConfigs request) {
    co_await begin_change();
    const metadata::BrokerRules rules{.node = core_.config.node_id,
                                      .at_start = core_.config.settings,
                                      .settings = broker_settings()};
    auto decision = metadata::decide(state_, request, rules);
    const Outcome outcome = co_await commit(std::move(decision.records));
    end_change();
    if (!outcome) {
        for (Refusal& refusal : decision.reply) {
            if (refusal.code == ErrorCode::kNone) refusal = outcome.error();
        }
    }
    co_return std::move(decision.reply);
}

port::Task<std::expected<metadata::ProducerIdBlock, ErrorCode>>
Controller::allocate_producer_ids() {
    co_await begin_change();
    auto decision = metadata::decide(
        state_, metadata::AllocateProducerIds{.node = core_.config.node_id,
                                              .count = core_.config.producer_id_block_size});
    const Outcome outcome = co_await commit(std::move(decision.records));
    end_change();
    if (!outcome) co_return std::unexpected(outcome.error().code);
    co_return decision.reply;
}

port::Task<metadata::AlterClientQuotasReply> Controller::alter_client_quotas(
    metadata::AlterClientQuotas request) {
    co_await begin_change();
    auto decision = metadata::decide(state_, request);
    const Outcome outcome = co_await commit(std::move(decision.records));
    end_change();
    if (!outcome) {
        for (auto& [entity, refusal] : decision.reply) {
            if (refusal.code == ErrorCode::kNone) refusal = outcome.error();
        }
    }
    co_return std::move(decision.reply);
}

namespace {

/// Goes to the controller's core, calls `method` there, and comes back.
template <class Reply, class... Requests>
port::Task<Reply> ask_controller(Core& core, port::Task<Reply> (Controller::*method)(Requests...),
                                 Requests... request) {
    Core& there = core.other(kControllerCore);
    co_await port::hop(core.ports.spawn, kControllerCore);
    Reply reply = co_await (core.shared.controller->*method)(std::move(request)...);
    co_await port::hop(there.ports.spawn, core.id());
    co_return reply;
}

}  // namespace

port::Task<metadata::CreateTopicsReply> create_topics(Core& core, metadata::CreateTopics request) {
    return ask_controller(core, &Controller::create_topics, std::move(request));
}

port::Task<metadata::DeleteTopicsReply> delete_topics(Core& core, metadata::DeleteTopics request) {
    return ask_controller(core, &Controller::delete_topics, std::move(request));
}

port::Task<metadata::CreatePartitionsReply> create_partitions(Core& core,
                                                              metadata::CreatePartitions request) {
    return ask_controller(core, &Controller::create_partitions, std::move(request));
}

port::Task<metadata::AlterConfigsReply> alter_configs(Core& core, metadata::AlterConfigs request) {
    return ask_controller(core, &Controller::alter_configs, std::move(request));
}

port::Task<std::expected<metadata::ProducerIdBlock, ErrorCode>> allocate_producer_ids(Core& core) {
    return ask_controller(core, &Controller::allocate_producer_ids);
}

port::Task<metadata::AlterClientQuotasReply> alter_client_quotas(
    Core& core, metadata::AlterClientQuotas request) {
    return ask_controller(core, &Controller::alter_client_quotas, std::move(request));
}

}  // namespace dlog::broker
