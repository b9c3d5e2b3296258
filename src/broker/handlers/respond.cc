#include "broker/handlers/respond.h"

#include "broker/api_table.h"

namespace dlog::broker {

namespace {

std::string describe(const Request& request, std::string_view what, const protocol::Error& error) {
    return std::string(request.api->name) + " version " + std::to_string(request.version) + " " +
           std::string(what) + ": " + error.text();
}

}  // namespace

Response undecodable(const Request& request, const protocol::Error& error) {
    return broken_request(describe(request, "cannot be read", error));
}

Response unencodable(const Request& request, const protocol::Error& error) {
    return broken_request(describe(request, "cannot be answered", error));
}

}  // namespace dlog::broker
