/// One handler for each API; api_table.cc binds them to their keys and versions.
#pragma once

#include "broker/connection.h"
#include "broker/request.h"
#include "port/task.h"

namespace dlog::broker {

port::Task<Response> handle_api_versions(Request request);
port::Task<Response> handle_metadata(Request request);
port::Task<void> handle_produce(Request request, ReplyTo reply);
port::Task<Response> handle_fetch(Request request);
port::Task<Response> handle_list_offsets(Request request);
port::Task<Response> handle_offset_for_leader_epoch(Request request);
port::Task<Response> handle_create_topics(Request request);
port::Task<Response> handle_delete_topics(Request request);
port::Task<Response> handle_create_partitions(Request request);
port::Task<Response> handle_describe_configs(Request request);
port::Task<Response> handle_alter_configs(Request request);
port::Task<Response> handle_incremental_alter_configs(Request request);
port::Task<Response> handle_delete_records(Request request);
port::Task<Response> handle_describe_log_dirs(Request request);
port::Task<Response> handle_describe_producers(Request request);
port::Task<Response> handle_describe_cluster(Request request);
port::Task<Response> handle_describe_topic_partitions(Request request);
port::Task<Response> handle_init_producer_id(Request request);
port::Task<Response> handle_find_coordinator(Request request);
port::Task<Response> handle_join_group(Request request);
port::Task<Response> handle_sync_group(Request request);
port::Task<Response> handle_heartbeat(Request request);
port::Task<Response> handle_leave_group(Request request);
port::Task<Response> handle_offset_commit(Request request);
port::Task<Response> handle_offset_fetch(Request request);
port::Task<Response> handle_offset_delete(Request request);
port::Task<Response> handle_describe_groups(Request request);
port::Task<Response> handle_list_groups(Request request);
port::Task<Response> handle_delete_groups(Request request);
port::Task<Response> handle_consumer_group_heartbeat(Request request);
port::Task<Response> handle_consumer_group_describe(Request request);
port::Task<Response> handle_describe_client_quotas(Request request);
port::Task<Response> handle_alter_client_quotas(Request request);

}  // namespace dlog::broker
