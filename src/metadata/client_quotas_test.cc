#include "metadata/client_quotas.h"

#include <doctest/doctest.h>

#include <limits>

#include "metadata/records.h"
#include "metadata/state.h"

namespace dlog::metadata {
namespace {

using protocol::ErrorCode;
using enum QuotaEntityType;

const std::string kRate(kProducerByteRate);

QuotaAlteration alteration(NamedEntity entity, std::string key, std::optional<double> value) {
    return {.entity = std::move(entity), .operations = {{std::move(key), value}}};
}

/// Decides, and folds what was decided through its bytes.
AlterClientQuotasReply alter(State& state, std::vector<QuotaAlteration> alterations,
                             bool validate_only = false) {
    auto decision = decide(state, AlterClientQuotas{.alterations = std::move(alterations),
                                                    .validate_only = validate_only});
    for (const Record& record : decision.records) {
        const auto bytes = encode_record(record);
        REQUIRE(bytes.has_value());
        const auto decoded = decode_record(bytes->view());
        REQUIRE(decoded.has_value());
        state.apply(*decoded);
    }
    return decision.reply;
}

ErrorCode code_of(NamedEntity entity, std::string key, double value) {
    State state;
    const auto reply = alter(state, {alteration(std::move(entity), std::move(key), value)});
    CHECK((reply.at(0).second.code == ErrorCode::kNone) == (state.client_quotas() != nullptr));
    CHECK((reply.at(0).second.code == ErrorCode::kNone) == reply.at(0).second.message.empty());
    return reply.at(0).second.code;
}

TEST_CASE("the quota that holds for a client follows KIP-55's order, step by step") {
    struct Step {
        QuotaEntity entity;
        bool is_per_user;
        bool is_per_client;
    };
    const Step steps[] = {
        {{{kClientId, std::nullopt}}, false, true},
        {{{kClientId, "c"}}, false, true},
        {{{kUser, std::nullopt}}, true, false},
        {{{kUser, std::nullopt}, {kClientId, std::nullopt}}, true, true},
        {{{kUser, std::nullopt}, {kClientId, "c"}}, true, true},
        {{{kUser, "u"}}, true, false},
        {{{kUser, "u"}, {kClientId, std::nullopt}}, true, true},
        {{{kUser, "u"}, {kClientId, "c"}}, true, true},
    };
    ClientQuotas quotas;
    CHECK(!quotas.find(kRate, "u", "c"));
    double value = 0;
    for (const Step& step : steps) {
        CAPTURE(entity_text(step.entity));
        quotas.set(step.entity, kRate, ++value);
        CHECK(quotas.find(kRate, "u", "c") ==
              QuotaMatch{value, step.is_per_user, step.is_per_client});
    }
    CHECK(quotas.find(kRate, "u", "d")->value == 7);
    CHECK(quotas.find(kRate, "v", "c")->value == 5);
    CHECK(quotas.find(kRate, "v", "d")->value == 4);
    CHECK(!quotas.find(kConsumerByteRate, "u", "c"));
}

TEST_CASE("a more specific entity without the key leaves it to the next one") {
    ClientQuotas quotas;
    quotas.set({{kUser, "u"}, {kClientId, "c"}}, std::string(kConsumerByteRate), 1);
    quotas.set({{kClientId, std::nullopt}}, kRate, 2);
    CHECK(quotas.find(kRate, "u", "c")->value == 2);
    CHECK(quotas.find(kConsumerByteRate, "u", "c")->value == 1);
    quotas.remove({{kUser, "u"}, {kClientId, "c"}}, std::string(kConsumerByteRate));
    CHECK(!quotas.find(kConsumerByteRate, "u", "c"));
    quotas.remove({{kUser, "u"}, {kClientId, "c"}}, kRate);
    CHECK(quotas.find(kRate, "u", "c")->value == 2);
}

TEST_CASE("an address has its own rate of connections or the default one") {
    ClientQuotas quotas;
    const std::string key(kConnectionCreationRate);
    CHECK(!quotas.connection_rate("10.0.0.1"));
    quotas.set({{kIp, std::nullopt}}, key, 5);
    quotas.set({{kIp, "10.0.0.1"}}, key, 7);
    CHECK(quotas.connection_rate("10.0.0.1") == 7);
    CHECK(quotas.connection_rate("10.0.0.2") == 5);
}

TEST_CASE("what is not a quota is refused, and nothing is recorded") {
    const std::optional<std::string> any;
    const double infinity = std::numeric_limits<double>::infinity();
    CHECK(code_of({{"user", "u"}}, kRate, 1000) == ErrorCode::kNone);
    CHECK(code_of({{"user", any}, {"client-id", any}}, kRate, 1000) == ErrorCode::kNone);
    CHECK(code_of({{"ip", "::1"}}, "connection_creation_rate", 10) == ErrorCode::kNone);
    CHECK(code_of({{"client-id", "c"}}, "request_percentage", 0.5) == ErrorCode::kNone);
    CHECK(code_of({}, kRate, 1) == ErrorCode::kInvalidRequest);
    CHECK(code_of({{"group", "g"}}, kRate, 1) == ErrorCode::kInvalidRequest);
    CHECK(code_of({{"user", ""}}, kRate, 1) == ErrorCode::kInvalidRequest);
    CHECK(code_of({{"user", "u"}, {"user", "v"}}, kRate, 1) == ErrorCode::kInvalidRequest);
    CHECK(code_of({{"user", "u"}, {"ip", "::1"}}, kRate, 1) == ErrorCode::kInvalidRequest);
    CHECK(code_of({{"user", "u"}}, "connection_creation_rate", 1) == ErrorCode::kInvalidRequest);
    CHECK(code_of({{"ip", any}}, kRate, 1) == ErrorCode::kInvalidRequest);
    CHECK(code_of({{"user", "u"}}, "no_such_rate", 1) == ErrorCode::kInvalidRequest);
    CHECK(code_of({{"user", "u"}}, "controller_mutation_rate", 0.5) == ErrorCode::kNone);
    CHECK(code_of({{"ip", any}}, "controller_mutation_rate", 1) == ErrorCode::kInvalidRequest);
    for (const double value : {0.0, -1.0, 1.5, 0x1p63, infinity, infinity - infinity}) {
        CAPTURE(value);
        CHECK(code_of({{"user", "u"}}, kRate, value) == ErrorCode::kInvalidRequest);
    }
    CHECK(code_of({{"ip", any}}, "connection_creation_rate", 0x1p31) == ErrorCode::kInvalidRequest);
}

TEST_CASE("a request changes each entity wholly or not at all, and names each once") {
    State state;
    QuotaAlteration half = alteration({{"user", "u"}}, kRate, 10);
    half.operations.push_back({std::string(kConsumerByteRate), -1.0});
    QuotaAlteration twice = alteration({{"user", "v"}}, kRate, 10);
    twice.operations.push_back({kRate, 11.0});
    const auto reply = alter(state, {half, twice, alteration({{"user", "w"}}, kRate, 12),
                                     alteration({{"client-id", "c"}}, kRate, 13),
                                     alteration({{"user", "w"}}, kRate, 14)});
    REQUIRE(reply.size() == 4);
    CHECK(reply[0].second.code == ErrorCode::kInvalidRequest);
    CHECK(reply[1].second.code == ErrorCode::kInvalidRequest);
    CHECK(reply[2].second.code == ErrorCode::kInvalidRequest);  // was given twice
    CHECK(reply[3].second.code == ErrorCode::kNone);
    const ClientQuotas& quotas = *state.client_quotas();
    CHECK(quotas.values_of({{kUser, "u"}}) == nullptr);
    CHECK(quotas.values_of({{kUser, "v"}}) == nullptr);
    CHECK(quotas.find(kRate, "w", "")->value == 12);
    CHECK(quotas.find(kRate, "x", "c")->value == 13);
}

TEST_CASE("validating records nothing, and neither does setting what is set already") {
    State state;
    CHECK(alter(state, {alteration({{"user", "u"}}, kRate, 10)}, true).at(0).second.code ==
          ErrorCode::kNone);
    CHECK(state.client_quotas() == nullptr);
    alter(state, {alteration({{"user", "u"}}, kRate, 10)});
    const AlterClientQuotas again{.alterations = {alteration({{"user", "u"}}, kRate, 10)}};
    CHECK(decide(state, again).records.empty());
    const AlterClientQuotas absent{
        .alterations = {alteration({{"user", "v"}}, "no_such_rate", std::nullopt)}};
    CHECK(decide(state, absent).records.empty());
}

TEST_CASE("an image keeps its quotas while they change, and the last one's removal leaves none") {
    State state;
    alter(state, {alteration({{"user", "u"}}, kRate, 10)});
    const Image before = state.image();
    alter(state, {alteration({{"user", "u"}}, kRate, 20)});
    CHECK(before->client_quotas()->find(kRate, "u", "")->value == 10);
    CHECK(state.client_quotas()->find(kRate, "u", "")->value == 20);
    alter(state, {alteration({{"user", "u"}}, kRate, std::nullopt)});
    CHECK(state.client_quotas() == nullptr);
}

std::size_t count(const ClientQuotas& quotas, const std::vector<QuotaCondition>& conditions,
                  bool is_strict = false) {
    const auto filter = make_filter(conditions, is_strict);
    REQUIRE(filter.has_value());
    return quotas.matching(*filter).size();
}

TEST_CASE("a filter finds by name, by default and by type, strictly or with further parts") {
    ClientQuotas quotas;
    quotas.set({{kUser, "u"}}, kRate, 1);
    quotas.set({{kUser, std::nullopt}}, kRate, 2);
    quotas.set({{kUser, "u"}, {kClientId, "c"}}, kRate, 3);
    quotas.set({{kClientId, "c"}}, kRate, 4);
    quotas.set({{kIp, "::1"}}, std::string(kConnectionCreationRate), 5);
    const std::optional<std::string> none;
    CHECK(count(quotas, {}) == 5);
    CHECK(count(quotas, {}, true) == 0);
    CHECK(count(quotas, {{"user", 0, "u"}}) == 2);
    CHECK(count(quotas, {{"user", 0, "u"}}, true) == 1);
    CHECK(count(quotas, {{"user", 1, none}}) == 1);
    CHECK(count(quotas, {{"user", 2, none}}) == 3);
    CHECK(count(quotas, {{"user", 2, none}}, true) == 2);
    CHECK(count(quotas, {{"user", 2, none}, {"client-id", 0, "c"}}, true) == 1);
    CHECK(count(quotas, {{"ip", 2, none}}) == 1);
    CHECK(count(quotas, {{"user", 0, "nobody"}}) == 0);
}

TEST_CASE("a filter that makes no sense is refused with Kafka's code") {
    const std::optional<std::string> none;
    const auto code = [](const std::vector<QuotaCondition>& conditions) {
        const auto filter = make_filter(conditions, false);
        REQUIRE(!filter.has_value());
        return filter.error().code;
    };
    CHECK(code({{"", 0, "u"}}) == ErrorCode::kInvalidRequest);
    CHECK(code({{"group", 0, "g"}}) == ErrorCode::kUnsupportedVersion);
    CHECK(code({{"user", 0, "u"}, {"user", 2, none}}) == ErrorCode::kInvalidRequest);
    CHECK(code({{"user", 0, none}}) == ErrorCode::kInvalidRequest);
    CHECK(code({{"user", 1, "u"}}) == ErrorCode::kInvalidRequest);
    CHECK(code({{"user", 2, "u"}}) == ErrorCode::kInvalidRequest);
    CHECK(code({{"user", 3, none}}) == ErrorCode::kInvalidRequest);
    CHECK(code({{"user", 2, none}, {"ip", 2, none}}) == ErrorCode::kInvalidRequest);
}

}  // namespace
}  // namespace dlog::metadata
