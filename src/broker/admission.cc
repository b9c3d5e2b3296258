#include "broker/admission.h"

#include "base/assert.h"

namespace dlog::broker {

namespace {

std::uint32_t limit_of(const NodeConfig& config, std::string_view address) {
    const auto own = config.connections_per_ip_overrides.find(address);
    return own == config.connections_per_ip_overrides.end() ? config.connections_per_ip_max
                                                            : own->second;
}

}  // namespace

Admission::~Admission() {
    if (counts_ != nullptr) counts_->leave(address_);
}

std::optional<Admission> ConnectionCounts::enter(const NodeConfig& config) {
    const std::lock_guard lock(mutex_);
    if (open_ >= config.connections_max) return std::nullopt;
    ++open_;
    Admission admission;
    admission.counts_ = this;
    return admission;
}

bool ConnectionCounts::count_address(Admission& admission, std::string_view address,
                                     const NodeConfig& config) {
    DLOG_ASSERT(admission.counts_ == this && admission.address_.empty());
    const std::uint32_t limit = limit_of(config, address);
    if (limit == kNoConnectionLimit) return true;
    const std::lock_guard lock(mutex_);
    const auto found = by_address_.find(address);
    const std::uint32_t open = found == by_address_.end() ? 0 : found->second;
    if (open >= limit) return false;
    admission.address_ = address;
    ++by_address_[admission.address_];
    return true;
}

std::size_t ConnectionCounts::addresses() const {
    const std::lock_guard lock(mutex_);
    return by_address_.size();
}

void ConnectionCounts::leave(const std::string& address) {
    const std::lock_guard lock(mutex_);
    DLOG_ASSERT(open_ > 0);
    --open_;
    if (address.empty()) return;
    const auto found = by_address_.find(address);
    DLOG_ASSERT(found != by_address_.end() && found->second > 0, address);
    if (--found->second == 0) by_address_.erase(found);
}

}  // namespace dlog::broker
