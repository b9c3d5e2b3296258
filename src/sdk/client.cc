/// The public classes: each holds a share of its core.
#include "dlog/client.h"

#include <cstring>
#include <utility>

#include "client/partitioner.h"
#include "dlog/admin.h"
#include "record/reader.h"
#include "sdk/consumer_core.h"
#include "sdk/convert.h"
#include "sdk/core.h"
#include "sdk/producer_core.h"

namespace dlog {

namespace {

template <class T>
void let_go(T*& core) {
    if (T* const held = std::exchange(core, nullptr)) held->release();
}

}  // namespace

// Words.

Text Text::copy_of(std::string_view view) {
    Text text;
    if (view.empty()) return text;
    char* const bytes = new char[view.size() + 1];
    std::memcpy(bytes, view.data(), view.size());
    bytes[view.size()] = '\0';
    text.view_ = {bytes, view.size()};
    return text;
}

Text::~Text() {
    delete[] view_.data();
}

Header Headers::next() {
    record::RecordHeaders headers(ByteView(at_, size_), left_);
    const record::RecordHeader header = headers.next();
    at_ = headers.bytes().data();
    size_ = static_cast<std::uint32_t>(headers.bytes().size());
    left_ = headers.count();
    return {as_text(header.key), sdk::bytes_of(header.value)};
}

std::int32_t partition_of_key(Partitioning partitioning, std::string_view key,
                              std::int32_t partition_count) {
    return client::hashed_partition(static_cast<client::Partitioning>(partitioning), as_bytes(key),
                                    partition_count)
        .value_or(-1);
}

// Client.

Result<Client> Client::connect(std::string_view bootstrap, ClientOptions options) {
    auto core = sdk::Core::open(bootstrap, options);
    if (!core) return std::unexpected(std::move(core).error());
    return Client(core->leave());
}

Client::Client(Client&& other) noexcept : core_(std::exchange(other.core_, nullptr)) {}

Client& Client::operator=(Client&& other) noexcept {
    std::swap(core_, other.core_);
    return *this;
}

Client::~Client() {
    if (core_ != nullptr) core_->shut_down();
    let_go(core_);
}

Admin Client::admin() {
    core_->retain();
    return Admin(core_);
}

Result<Producer> Client::producer(ProducerOptions options) {
    auto core = sdk::ProducerCore::open(sdk::Ref<sdk::Core>(core_), options);
    if (!core) return std::unexpected(std::move(core).error());
    return Producer(core->leave());
}

Result<Consumer> Client::consumer(ConsumerOptions options) {
    auto core = sdk::ConsumerCore::open(sdk::Ref<sdk::Core>(core_), options);
    if (!core) return std::unexpected(std::move(core).error());
    return Consumer(core->leave());
}

// Producer.

Producer::Producer(Producer&& other) noexcept : core_(std::exchange(other.core_, nullptr)) {}

Producer& Producer::operator=(Producer&& other) noexcept {
    std::swap(core_, other.core_);
    return *this;
}

Producer::~Producer() {
    if (core_ != nullptr) static_cast<void>(core_->close(TimeSpan::seconds(10)));
    let_go(core_);
}

Result<void> Producer::take(const ProducerRecord& record, DeliveryObserver* observer,
                            bool may_block) {
    return core_->take(record, observer, may_block);
}

Result<void> Producer::queue(const ProducerRecord& record, DeliveryObserver& observer) {
    return core_->queue(record, observer);
}

Result<void> Producer::flush(TimeSpan timeout) {
    return core_->flush(timeout);
}

Result<void> Producer::close(TimeSpan timeout) {
    return core_->close(timeout);
}

std::uint64_t Producer::undelivered_records() const {
    return core_->undelivered_records();
}

// Consumer.

Records::Records(sdk::RecordsCore* core)
    : core_(core), first_(core->records.data()), size_(core->records.size()) {}

Records::Records(Records&& other) noexcept
    : core_(std::exchange(other.core_, nullptr)),
      first_(std::exchange(other.first_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

Records& Records::operator=(Records&& other) noexcept {
    std::swap(core_, other.core_);
    std::swap(first_, other.first_);
    std::swap(size_, other.size_);
    return *this;
}

Records::~Records() {
    let_go(core_);
}

Consumer::Consumer(Consumer&& other) noexcept : core_(std::exchange(other.core_, nullptr)) {}

Consumer& Consumer::operator=(Consumer&& other) noexcept {
    std::swap(core_, other.core_);
    return *this;
}

Consumer::~Consumer() {
    if (core_ != nullptr) static_cast<void>(core_->leave());
    let_go(core_);
}

Result<void> Consumer::subscribe(const std::string_view* topics, std::size_t count) {
    return core_->subscribe({topics, count});
}

Result<void> Consumer::subscribe_pattern(std::string_view pattern) {
    return core_->subscribe_pattern(pattern);
}

Result<void> Consumer::commit_sync() {
    return core_->commit();
}

Result<void> Consumer::commit_sync(const TopicPartition& partition, std::int64_t offset) {
    return core_->commit(partition, offset);
}

Result<void> Consumer::commit_async() {
    return core_->commit_soon();
}

Result<void> Consumer::close() {
    return core_->leave();
}

Result<void> Consumer::assign_topic(std::string_view topic, From from) {
    return core_->assign(topic, std::nullopt, from);
}

Result<void> Consumer::assign(const TopicPartition& partition, From from) {
    return core_->assign(partition.topic, partition.partition, from);
}

void Consumer::unassign(const TopicPartition& partition) {
    core_->unassign(partition);
}

Result<Records> Consumer::poll(TimeSpan timeout) {
    return core_->poll(timeout);
}

void Consumer::wake_up() {
    core_->wake_up();
}

Result<void> Consumer::seek(const TopicPartition& partition, From from) {
    return core_->seek(partition, from);
}

Result<std::int64_t> Consumer::position(const TopicPartition& partition) const {
    return core_->position(partition);
}

Result<std::int64_t> Consumer::high_watermark(const TopicPartition& partition) const {
    return core_->high_watermark(partition);
}

Result<void> Consumer::pause(const TopicPartition& partition) {
    return core_->set_paused(partition, true);
}

Result<void> Consumer::resume(const TopicPartition& partition) {
    return core_->set_paused(partition, false);
}

}  // namespace dlog
