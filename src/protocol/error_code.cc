#include "protocol/error_code.h"

#include <array>

namespace dlog::protocol {

namespace {

struct Entry {
    std::string_view name;
    bool retriable;
    std::string_view text;
};

constexpr std::int16_t kFirst = -1;

/// In the order of the codes, which have no gaps.
constexpr auto kEntries = std::to_array<Entry>({
    {"UNKNOWN_SERVER_ERROR", false, "something unforeseen went wrong in the broker"},
    {"NONE", false, "no error"},
    {"OFFSET_OUT_OF_RANGE", false, "the partition has no such offset"},
    {"CORRUPT_MESSAGE", true, "a batch is damaged: its checksum, size or layout is wrong"},
    {"UNKNOWN_TOPIC_OR_PARTITION", true, "the broker has no such topic or partition"},
    {"INVALID_FETCH_SIZE", false, "the fetch size is not usable"},
    {"LEADER_NOT_AVAILABLE", true, "the partition has no leader at the moment"},
    {"NOT_LEADER_OR_FOLLOWER", true,
     "the broker does not lead the partition, or holds no replica of it"},
    {"REQUEST_TIMED_OUT", true, "the request took longer than its timeout"},
    {"BROKER_NOT_AVAILABLE", false, "the broker cannot be reached"},
    {"REPLICA_NOT_AVAILABLE", true, "the replica cannot serve at the moment"},
    {"MESSAGE_TOO_LARGE", false, "a batch is larger than max.message.bytes"},
    {"STALE_CONTROLLER_EPOCH", false, "the request comes from a controller that has been replaced"},
    {"OFFSET_METADATA_TOO_LARGE", false, "the text stored with an offset is too long"},
    {"NETWORK_EXCEPTION", true, "the connection ended before the answer came"},
    {"COORDINATOR_LOAD_IN_PROGRESS", true, "the coordinator is still loading its state"},
    {"COORDINATOR_NOT_AVAILABLE", true, "there is no coordinator at the moment"},
    {"NOT_COORDINATOR", true, "the broker does not coordinate this group or transaction"},
    {"INVALID_TOPIC_EXCEPTION", false,
     "the topic name is not valid, or the topic must not be used so"},
    {"RECORD_LIST_TOO_LARGE", false, "a batch is larger than a segment"},
    {"NOT_ENOUGH_REPLICAS", true, "fewer replicas are in sync than the topic requires"},
    {"NOT_ENOUGH_REPLICAS_AFTER_APPEND", true,
     "the batch was written, but by fewer replicas than the topic requires"},
    {"INVALID_REQUIRED_ACKS", false, "acks must be -1, 0 or 1"},
    {"ILLEGAL_GENERATION", false, "the group is at another generation"},
    {"INCONSISTENT_GROUP_PROTOCOL", false, "the member has no protocol in common with its group"},
    {"INVALID_GROUP_ID", false, "the group id is not valid"},
    {"UNKNOWN_MEMBER_ID", false, "the group has no such member"},
    {"INVALID_SESSION_TIMEOUT", false, "the session timeout is outside the allowed range"},
    {"REBALANCE_IN_PROGRESS", false, "the group is rebalancing: join again"},
    {"INVALID_COMMIT_OFFSET_SIZE", false, "the offsets to store take too much space"},
    {"TOPIC_AUTHORIZATION_FAILED", false, "no permission for the topic"},
    {"GROUP_AUTHORIZATION_FAILED", false, "no permission for the group"},
    {"CLUSTER_AUTHORIZATION_FAILED", false, "no permission for the cluster"},
    {"INVALID_TIMESTAMP", false, "a timestamp is outside the allowed range"},
    {"UNSUPPORTED_SASL_MECHANISM", false, "the broker has no such SASL mechanism"},
    {"ILLEGAL_SASL_STATE", false, "the request does not fit the state of the SASL exchange"},
    {"UNSUPPORTED_VERSION", false, "the broker does not serve this version of the API"},
    {"TOPIC_ALREADY_EXISTS", false, "a topic with this name exists already"},
    {"INVALID_PARTITIONS", false, "the number of partitions is not valid"},
    {"INVALID_REPLICATION_FACTOR", false, "the replication factor is not valid for this cluster"},
    {"INVALID_REPLICA_ASSIGNMENT", false, "the assignment of replicas is not valid"},
    {"INVALID_CONFIG", false, "a configuration value is not valid"},
    {"NOT_CONTROLLER", true, "the node is not the active controller"},
    {"INVALID_REQUEST", false, "the request is malformed or contradicts itself"},
    {"UNSUPPORTED_FOR_MESSAGE_FORMAT", false,
     "the stored message format is too old for this request"},
    {"POLICY_VIOLATION", false, "a policy of the broker forbids it"},
    {"OUT_OF_ORDER_SEQUENCE_NUMBER", false,
     "the sequence number leaves a gap after the last one of this producer"},
    {"DUPLICATE_SEQUENCE_NUMBER", false, "the batch with this sequence number was written before"},
    {"INVALID_PRODUCER_EPOCH", false, "the producer epoch is older than the current one"},
    {"INVALID_TXN_STATE", false, "the transaction is in a state that does not allow this"},
    {"INVALID_PRODUCER_ID_MAPPING", false, "the transactional id belongs to another producer id"},
    {"INVALID_TRANSACTION_TIMEOUT", false,
     "the transaction timeout is longer than the broker allows"},
    {"CONCURRENT_TRANSACTIONS", true, "another operation on this transaction is under way"},
    {"TRANSACTION_COORDINATOR_FENCED", false, "the transaction coordinator has been replaced"},
    {"TRANSACTIONAL_ID_AUTHORIZATION_FAILED", false, "no permission for the transactional id"},
    {"SECURITY_DISABLED", false, "the broker runs without security features"},
    {"OPERATION_NOT_ATTEMPTED", false, "not attempted, because another part of the request failed"},
    {"KAFKA_STORAGE_ERROR", true, "the broker cannot write to or read from its disk"},
    {"LOG_DIR_NOT_FOUND", false, "the broker has no such log folder"},
    {"SASL_AUTHENTICATION_FAILED", false, "authentication failed"},
    {"UNKNOWN_PRODUCER_ID", false, "the partition does not remember this producer"},
    {"REASSIGNMENT_IN_PROGRESS", false, "the partition is being moved"},
    {"DELEGATION_TOKEN_AUTH_DISABLED", false, "delegation tokens are disabled"},
    {"DELEGATION_TOKEN_NOT_FOUND", false, "there is no such delegation token"},
    {"DELEGATION_TOKEN_OWNER_MISMATCH", false,
     "the principal neither owns nor may renew the delegation token"},
    {"DELEGATION_TOKEN_REQUEST_NOT_ALLOWED", false,
     "delegation tokens cannot be asked for on this connection"},
    {"DELEGATION_TOKEN_AUTHORIZATION_FAILED", false, "no permission for the delegation token"},
    {"DELEGATION_TOKEN_EXPIRED", false, "the delegation token has expired"},
    {"INVALID_PRINCIPAL_TYPE", false, "this type of principal is not supported"},
    {"NON_EMPTY_GROUP", false, "the group still has members"},
    {"GROUP_ID_NOT_FOUND", false, "there is no such group"},
    {"FETCH_SESSION_ID_NOT_FOUND", true, "there is no such fetch session"},
    {"INVALID_FETCH_SESSION_EPOCH", true, "the fetch session is at another epoch"},
    {"LISTENER_NOT_FOUND", true, "the leader has no listener of the name that the client used"},
    {"TOPIC_DELETION_DISABLED", false, "topics cannot be deleted on this cluster"},
    {"FENCED_LEADER_EPOCH", true, "the leader epoch of the request is older than the broker's"},
    {"UNKNOWN_LEADER_EPOCH", true, "the leader epoch of the request is newer than the broker's"},
    {"UNSUPPORTED_COMPRESSION_TYPE", false,
     "the client cannot read the compression of this partition"},
    {"STALE_BROKER_EPOCH", false, "the broker has registered anew since"},
    {"OFFSET_NOT_AVAILABLE", true, "a new leader does not know its high watermark yet"},
    {"MEMBER_ID_REQUIRED", false, "join again with the member id given in the answer"},
    {"PREFERRED_LEADER_NOT_AVAILABLE", true, "the preferred leader is not available"},
    {"GROUP_MAX_SIZE_REACHED", false, "the group is full"},
    {"FENCED_INSTANCE_ID", false, "another member uses the same group.instance.id"},
    {"ELIGIBLE_LEADERS_NOT_AVAILABLE", true, "no replica can become leader"},
    {"ELECTION_NOT_NEEDED", true, "the leader is already the one asked for"},
    {"NO_REASSIGNMENT_IN_PROGRESS", false, "the partition is not being moved"},
    {"GROUP_SUBSCRIBED_TO_TOPIC", false, "the group is subscribed to the topic"},
    {"INVALID_RECORD", false, "a record breaks a rule of the broker or its topic"},
    {"UNSTABLE_OFFSET_COMMIT", true, "offsets of an open transaction are in the way"},
    {"THROTTLING_QUOTA_EXCEEDED", true, "a quota is used up"},
    {"PRODUCER_FENCED", false, "a newer producer has the same transactional id"},
    {"RESOURCE_NOT_FOUND", false, "there is no such resource"},
    {"DUPLICATE_RESOURCE", false, "the request names a resource twice"},
    {"UNACCEPTABLE_CREDENTIAL", false, "the credential does not meet the requirements"},
    {"INCONSISTENT_VOTER_SET", false,
     "the sender or the receiver is not among the expected voters"},
    {"INVALID_UPDATE_VERSION", false, "the feature level to update to is not valid"},
    {"FEATURE_UPDATE_FAILED", false, "the feature levels could not be updated"},
    {"PRINCIPAL_DESERIALIZATION_FAILURE", false,
     "the principal of a forwarded request could not be read"},
    {"SNAPSHOT_NOT_FOUND", false, "there is no such snapshot"},
    {"POSITION_OUT_OF_RANGE", false, "the position lies outside the snapshot"},
    {"UNKNOWN_TOPIC_ID", true, "the broker has no topic with this id"},
    {"DUPLICATE_BROKER_REGISTRATION", false, "another broker uses this id"},
    {"BROKER_ID_NOT_REGISTERED", false, "no broker with this id is registered"},
    {"INCONSISTENT_TOPIC_ID", true, "the topic id differs from the one in the log"},
    {"INCONSISTENT_CLUSTER_ID", false, "the request is meant for another cluster"},
    {"TRANSACTIONAL_ID_NOT_FOUND", false, "there is no such transactional id"},
    {"FETCH_SESSION_TOPIC_ID_ERROR", true, "the fetch session mixes topic names and topic ids"},
    {"INELIGIBLE_REPLICA", false, "a replica to be in sync is not eligible"},
    {"NEW_LEADER_ELECTED", false, "the change was made, and the partition has a new leader"},
    {"OFFSET_MOVED_TO_TIERED_STORAGE", false, "the offset is in tiered storage only"},
    {"FENCED_MEMBER_EPOCH", false,
     "the member has been fenced: give up all partitions and join again"},
    {"UNRELEASED_INSTANCE_ID", false, "the static member id is still in use by another member"},
    {"UNSUPPORTED_ASSIGNOR", false, "the group has no such assignor"},
    {"STALE_MEMBER_EPOCH", false,
     "the member epoch is outdated: take the one from the next heartbeat"},
    {"MISMATCHED_ENDPOINT_TYPE", false,
     "brokers and controllers serve different requests; this is the other kind"},
    {"UNSUPPORTED_ENDPOINT_TYPE", false, "this kind of endpoint is not supported"},
    {"UNKNOWN_CONTROLLER_ID", false, "there is no controller with this id"},
    {"UNKNOWN_SUBSCRIPTION_ID", false, "the telemetry subscription is unknown or outdated"},
    {"TELEMETRY_TOO_LARGE", false, "the telemetry is larger than the broker accepts"},
    {"INVALID_REGISTRATION", false, "the controller refuses the registration"},
    {"TRANSACTION_ABORTABLE", false,
     "the transaction failed and can be aborted; the transactional id stays usable"},
    {"INVALID_RECORD_STATE", false, "the record is not in a state to be acknowledged so"},
    {"SHARE_SESSION_NOT_FOUND", true, "there is no such share session"},
    {"INVALID_SHARE_SESSION_EPOCH", true, "the share session is at another epoch"},
    {"FENCED_STATE_EPOCH", false, "the state epoch is not the current one"},
    {"INVALID_VOTER_KEY", false, "the voter key differs from the receiver's"},
    {"DUPLICATE_VOTER", false, "it is a voter already"},
    {"VOTER_NOT_FOUND", false, "it is not a voter"},
    {"INVALID_REGULAR_EXPRESSION", false, "the regular expression is not valid"},
    {"REBOOTSTRAP_REQUIRED", false,
     "the client's metadata is too old: start again from the bootstrap servers"},
    {"STREAMS_INVALID_TOPOLOGY", false, "the topology is not valid"},
    {"STREAMS_INVALID_TOPOLOGY_EPOCH", false, "the topology epoch is not valid"},
    {"STREAMS_TOPOLOGY_FENCED", false, "the topology epoch is outdated"},
    {"SHARE_SESSION_LIMIT_REACHED", true, "no more share sessions can be opened"},
    {"GROUP_DELETION_FAILED", false, "the group could not be deleted"},
    {"STREAMS_TOPOLOGY_DESCRIPTION_UPDATE_FAILED", false,
     "the topology description could not be stored"},
    {"CONTROLLER_ID_NOT_REGISTERED", false, "no controller with this id is registered"},
});

const Entry* find(ErrorCode code) {
    const int index = static_cast<int>(code) - kFirst;
    if (index < 0 || index >= static_cast<int>(kEntries.size())) return nullptr;
    return &kEntries[static_cast<std::size_t>(index)];
}

}  // namespace

std::string_view error_code_name(ErrorCode code) {
    const Entry* const entry = find(code);
    return entry == nullptr ? "UNKNOWN" : entry->name;
}

std::string_view error_code_text(ErrorCode code) {
    const Entry* const entry = find(code);
    return entry == nullptr ? "an error code that this version does not know" : entry->text;
}

bool is_retriable(ErrorCode code) {
    const Entry* const entry = find(code);
    return entry != nullptr && entry->retriable;
}

}  // namespace dlog::protocol
