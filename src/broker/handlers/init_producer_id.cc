/// InitProducerId for idempotent producers. Transactions are not served.
#include "protocol/messages/init_producer_id.h"
#include "broker/controller.h"
#include "broker/core.h"
#include "broker/handlers/handlers.h"
#include "broker/handlers/respond.h"

namespace dlog::broker {

port::Task<Response> handle_init_producer_id(Request request) {
    using protocol::ErrorCode;
    Core& core = *request.core;
    const auto body = decode_request<protocol::InitProducerIdRequest>(request);
    if (!body) co_return undecodable(request, body.error());
    protocol::InitProducerIdResponse response;
    response.producer_epoch = -1;
    if (body->transactional_id) {
        // An empty id is no id; any other asks for the transactions that no version here serves.
        response.error_code = body->transactional_id->empty() ? ErrorCode::kInvalidRequest
                                                              : ErrorCode::kUnsupportedVersion;
        co_return respond(request, response);
    }
    // Each core hands out ids of a block of its own, so that few of them are recorded.
    while (core.producer_ids.count == 0) {
        const auto block = co_await allocate_producer_ids(core);
        if (!block) {
            response.error_code = block.error();
            co_return respond(request, response);
        }
        if (core.producer_ids.count == 0) core.producer_ids = *block;
    }
    response.producer_id = core.producer_ids.first++;
    response.producer_epoch = 0;
    --core.producer_ids.count;
    co_return respond(request, response);
}

}  // namespace dlog::broker
