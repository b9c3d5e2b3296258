#include "client/error.h"

#include "base/assert.h"

namespace dlog::client {

namespace {

std::string with_detail(std::string text, const std::string& detail) {
    return detail.empty() ? text : text + ": " + detail;
}

}  // namespace

std::string Error::text() const {
    switch (kind) {
        case ErrorKind::kUnreachable:
            return with_detail("cannot reach the broker", detail);
        case ErrorKind::kDisconnected:
            return with_detail("the connection to the broker was lost", detail);
        case ErrorKind::kTimedOut:
            return with_detail("the broker did not answer in time", detail);
        case ErrorKind::kBroker:
            return with_detail(std::string(protocol::error_code_text(code)), detail) + " (" +
                   std::string(protocol::error_code_name(code)) + ")";
        case ErrorKind::kUnsupported:
            return with_detail("the broker does not offer this", detail);
        case ErrorKind::kBadResponse:
            return with_detail("the broker's answer cannot be understood", detail);
        case ErrorKind::kBadRequest:
            return with_detail("the request cannot be sent", detail);
        case ErrorKind::kCorrupt:
            return with_detail("records came damaged", detail);
        case ErrorKind::kClosed:
            return with_detail("the client was closed", detail);
    }
    DLOG_UNREACHABLE();
}

bool Error::is_retriable() const {
    switch (kind) {
        case ErrorKind::kUnreachable:
        case ErrorKind::kDisconnected:
        case ErrorKind::kTimedOut:
        case ErrorKind::kCorrupt:
            return true;
        case ErrorKind::kBroker:
            return protocol::is_retriable(code);
        case ErrorKind::kUnsupported:
        case ErrorKind::kBadResponse:
        case ErrorKind::kBadRequest:
        case ErrorKind::kClosed:
            return false;
    }
    DLOG_UNREACHABLE();
}

}  // namespace dlog::client
