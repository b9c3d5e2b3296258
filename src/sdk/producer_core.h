/// What a Producer is made of: an accumulator that every thread fills, and a sender on the client's
/// thread that empties it.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "client/accumulator.h"
#include "client/producer.h"
#include "dlog/producer.h"
#include "port/sync.h"
#include "port/task.h"
#include "sdk/core.h"
#include "sdk/doorbell.h"

namespace dlog::sdk {

/// A record crosses to the client's thread in its batch, and the bell is rung once for each batch.
class ProducerCore final : public Part, private client::DeliveryListener {
  public:
    [[nodiscard]] static Result<Ref<ProducerCore>> open(const Ref<Core>& core,
                                                        const ProducerOptions& options);

    Result<void> take(const ProducerRecord& record, DeliveryObserver* observer, bool may_block);
    Result<void> queue(const ProducerRecord& record, DeliveryObserver& observer);
    Result<void> flush(TimeSpan timeout);
    Result<void> close(TimeSpan timeout);
    [[nodiscard]] std::uint64_t undelivered_records();

    void end() override;
    [[nodiscard]] bool has_ended() override;
    void silence() override { bell_.silence(); }
    void abandon() override;

  private:
    /// A record that waits for room without a thread waiting with it.
    struct Parked {
        ProducerRecord record;
        DeliveryObserver* observer = nullptr;
        /// How often its topic had been asked about when it turned out to be unknown.
        std::optional<std::uint64_t> asked_before;
    };
    /// What became of asking about a topic.
    struct Asked {
        std::uint64_t times = 0;  ///< How often an answer has come.
        bool is_under_way = false;
        Instant learned_at;            ///< When the last answer came.
        std::optional<Error> failure;  ///< The last answer's.
    };
    enum class Step : std::uint8_t { kTaken, kNoRoom, kNoTopic };

    ProducerCore(Ref<Core> core, const ProducerOptions& options);

    // Any thread, with the lock.
    [[nodiscard]] Result<Step> try_append(const ProducerRecord& record, DeliveryObserver* observer);
    [[nodiscard]] Result<void> partition_by_choice(const ProducerRecord& record,
                                                   client::ProducerRecord& inner);
    [[nodiscard]] Error no_room(Step step, const ProducerRecord& record,
                                const Error* failure) const;
    [[nodiscard]] bool may_have_grown(const ProducerRecord& record);
    void want(std::string_view topic);

    // The client's thread.
    [[nodiscard]] bool is_closing();
    static port::Task<void> listen(Ref<ProducerCore> self);
    static port::Task<void> pump(Ref<ProducerCore> self);
    static port::Task<void> learn(Ref<ProducerCore> self, std::string topic);
    [[nodiscard]] std::vector<client::PendingBatchPtr> collect(Instant& wake_at);
    void delivered(const client::Delivery& delivery) override;
    void retry_parked(std::vector<std::pair<DeliveryObserver*, Error>>& refused);
    void refresh_partition_counts(const std::vector<client::PendingBatchPtr>& batches);

    const Ref<Core> core_;
    const ProducerOptions options_;
    Doorbell bell_;

    std::mutex mutex_;
    std::condition_variable changed_;
    std::uint32_t waiting_threads_ = 0;
    client::Accumulator accumulator_;
    std::deque<Parked> parked_;
    std::map<std::string, Asked, std::less<>> asked_;
    std::set<std::string, std::less<>> wanted_;  ///< topics to ask about
    std::optional<Error> first_failure_;
    std::uint32_t flushing_ = 0;
    bool is_closing_ = false;
    bool has_ended_ = false;

    // The client's thread.
    client::Producer sender_;
    port::Notifier news_;
    bool has_news_ = false;
};

}  // namespace dlog::sdk
