#include "broker/compatibility.h"

#include <string_view>

#include "broker/api_table.h"
#include "metadata/topic_config.h"
#include "protocol/api.h"

namespace dlog::broker {

namespace {

constexpr std::string_view kHead =
    "# What of Kafka's protocol is served\n"
    "\n"
    "This page is made from the program's own tables (`src/broker/api_table.cc` and "
    "`src/metadata/topic_config_table.cc`); a\n"
    "test compares it with them. To renew it: `DLOG_RENEW_DOCS=1 "
    "build/release/src/test_broker`.\n"
    "\n"
    "A client sees the same list in the answer to its first request, ApiVersions: what "
    "is not served is not advertised.\n"
    "\n"
    "## APIs\n"
    "\n"
    "Message definitions are those of Apache Kafka 4. The last column says what differs "
    "from Kafka's behaviour.\n"
    "\n"
    "| key | API | versions | not served |\n"
    "| --- | --- | --- | --- |\n";

constexpr std::string_view kNotServed =
    "\n"
    "## APIs that are not served\n"
    "\n"
    "Every other API of Kafka 4. A request with one of these keys, or with a version "
    "that the table above does not have,\n"
    "closes its connection with one log line, as in Kafka; only ApiVersions answers an "
    "unknown version, with\n"
    "UNSUPPORTED_VERSION and the table (KIP-511).\n"
    "\n"
    "| what | why |\n"
    "| --- | --- |\n"
    "| Transactions: AddPartitionsToTxn, EndTxn, TxnOffsetCommit and others | Not built "
    "yet. Idempotent producers are served. |\n"
    "| Share groups, streams groups | Not built yet. |\n"
    "| ElectLeaders, reassignments | Not built yet. |\n"
    "| SaslHandshake, SaslAuthenticate, delegation tokens, ACLs | Not built yet: "
    "clients connect without authentication. |\n"
    "| Requests between brokers and controllers | This node is alone; replicas will not "
    "speak Kafka's own inner protocol. |\n"
    "\n"
    "## Record batches\n"
    "\n"
    "Message format 2 only, as in Kafka 4: formats 0 and 1 are refused with "
    "INVALID_RECORD. Codecs none, gzip, snappy (xerial's\n"
    "framing and bare), lz4 and zstd. Compressed batches are checked record by record "
    "like plain ones, in bounded memory.\n"
    "\n"
    "## Topic settings\n"
    "\n"
    "| name | default | notes |\n"
    "| --- | --- | --- |\n";

void append_api(std::string& out, const ApiEntry& api) {
    out.append("| ").append(std::to_string(api.key)).append(" | ").append(api.name).append(" | ");
    out.append(std::to_string(api.version_min));
    if (api.version_max != api.version_min) {
        out.append("-").append(std::to_string(api.version_max));
    }
    if (api.advertised_min() != api.version_min) {
        out.append(" (advertised from ").append(std::to_string(api.advertised_min())).append(")");
    }
    out.append(" | ").append(api.limits).append(" |\n");
}

void append_setting(std::string& out, const metadata::TopicConfigDefinition& entry) {
    const metadata::ConfigDefinition& definition = entry.definition;
    out.append("| `").append(definition.name).append("` | `").append(definition.default_value);
    out.append("` | ").append(definition.documentation);
    if (!definition.refused.empty()) {
        const std::size_t equals = definition.refused.find('=');
        out.append(" Refused: `")
            .append(definition.refused.substr(0, equals))
            .append("`, because ");
        out.append(definition.refused.substr(equals + 1)).append(".");
    }
    out.append(" |\n");
}

}  // namespace

std::string compatibility_markdown() {
    std::string out(kHead);
    for (const ApiEntry& api : api_table()) append_api(out, api);
    out.append(kNotServed);
    for (const metadata::TopicConfigDefinition& entry : metadata::topic_config_table()) {
        if (!entry.is_hidden) append_setting(out, entry);
    }
    return out;
}

}  // namespace dlog::broker
