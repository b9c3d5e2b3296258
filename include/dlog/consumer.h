/// Reads records: as a member of a group, which shares the partitions of topics and remembers how
/// far it has read,
///
///     auto consumer = client.consumer({.on_missing_offset = dlog::MissingOffset::kBeginning,
///                                      .group = {.id = "billing"}});
///     consumer->subscribe({"orders"});
///     while (auto records = consumer->poll(100ms)) handle(*records);
///
/// or of partitions that the caller chooses, from where the caller says.
///
///     auto consumer = client.consumer();
///     consumer->assign_topic("orders", dlog::From::beginning());
///     while (auto records = consumer->poll(100ms)) {
///         for (const dlog::Record& record : *records) use(record.key.text(), record.value.text());
///     }
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string_view>

#include "dlog/record.h"
#include "dlog/result.h"
#include "dlog/time.h"

namespace dlog {

namespace sdk {
class ConsumerCore;
class RecordsCore;
}  // namespace sdk

/// What happens when the offset to read next is not there, because retention has deleted it, or
/// because the group has committed none.
enum class MissingOffset : std::uint8_t {
    kFail,       ///< `poll` returns an error (OFFSET_OUT_OF_RANGE); `seek` goes on.
    kBeginning,  ///< Go on at the first offset that is there.
    kEnd,        ///< Go on with what is written from now on.
};

/// Which records of transactions are read.
enum class Isolation : std::uint8_t {
    kReadUncommitted,  ///< All that are in the log.
    /// Those of committed transactions, and nothing behind the first one that is still open: there,
    /// at the last stable offset, the partition ends for this consumer.
    kReadCommitted,
};

struct TopicPartition {
    std::string_view topic;
    std::int32_t partition = 0;
    friend bool operator==(const TopicPartition&, const TopicPartition&) = default;
};

/// The partitions that an observer is told of; it views them during the call only.
class PartitionList {
  public:
    PartitionList(const TopicPartition* first, std::size_t size) : first_(first), size_(size) {}
    [[nodiscard]] const TopicPartition* begin() const { return first_; }
    [[nodiscard]] const TopicPartition* end() const { return first_ + size_; }
    [[nodiscard]] std::size_t size() const { return size_; }

  private:
    const TopicPartition* first_;
    std::size_t size_;
};

/// Hears how a member's partitions change: within `poll`, and `close`, on the thread that calls
/// them. It may call the consumer, but not `poll` or `close`.
class RebalanceObserver {
  public:
    /// These came in addition, possibly none; the next `poll` reads them. `seek` moves them.
    virtual void assigned(PartitionList partitions) = 0;
    /// These go to others when it returns; until then what `commit_sync` commits counts.
    virtual void revoked(PartitionList partitions) = 0;
    /// These went to others already: the member was not polled, or not heard of, for too long.
    virtual void lost(PartitionList partitions) { revoked(partitions); }

  protected:
    ~RebalanceObserver() = default;
};

/// How partitions are shared in a group of the classic protocol; all members must offer the same.
/// The names are Kafka's.
enum class Assignor : std::uint8_t {
    kRange,  ///< "range": even runs, topic by topic.
    /// "cooperative-sticky": partitions stay where they are as far as that is fair, and go on being
    /// read while others move.
    kCooperativeSticky,
    /// Offers both: Java's default, and the way from one to the other.
    kRangeOrCooperativeSticky,
};

enum class GroupProtocol : std::uint8_t {
    kClassic,   ///< The members decide.
    kConsumer,  ///< The broker decides (KIP-848); its settings hold, not the timeouts given here.
};

struct GroupOptions {
    /// The group's name. Empty: a consumer that belongs to no group.
    Text id = {};
    /// Makes it a static member, one at a time of that name: it finds its partitions again when it
    /// is back within `session_timeout`, and nothing moves meanwhile.
    Text instance_id = {};
    GroupProtocol protocol = GroupProtocol::kClassic;
    Assignor assignor = Assignor::kRangeOrCooperativeSticky;
    /// A member that is not heard of for so long is out.
    TimeSpan session_timeout = TimeSpan::seconds(45);
    TimeSpan heartbeat_interval = TimeSpan::seconds(3);
    /// A member that does not `poll` for so long gives its partitions to the others.
    TimeSpan poll_interval_max = TimeSpan::seconds(300);
    /// `poll` commits what the polls before it returned, when the last time is so long ago; so do a
    /// rebalance and `close`.
    bool commits_by_itself = true;
    TimeSpan commit_interval = TimeSpan::seconds(5);
    /// It must outlive the consumer.
    RebalanceObserver* observer = nullptr;
};

struct ConsumerOptions {
    /// How long the broker may hold a request while there is nothing new.
    TimeSpan fetch_wait_max = TimeSpan::milliseconds(500);
    std::int32_t fetch_bytes_min = 1;
    std::int32_t fetch_bytes_max = 50 << 20;
    std::int32_t partition_bytes_max = 1 << 20;
    /// Records are fetched ahead of `poll` up to this much.
    std::size_t queued_bytes_max = 16 << 20;
    /// A `poll` takes no further batch once it has so many records.
    std::size_t poll_records_max = 1000;
    MissingOffset on_missing_offset = MissingOffset::kFail;
    Isolation isolation = Isolation::kReadUncommitted;
    GroupOptions group = {};
};

/// Where reading a partition begins.
class From {
  public:
    enum class Kind : std::uint8_t { kBeginning, kEnd, kOffset, kTime };

    [[nodiscard]] static From beginning() { return From(Kind::kBeginning, 0); }
    /// With what is written from now on.
    [[nodiscard]] static From end() { return From(Kind::kEnd, 0); }
    [[nodiscard]] static From offset(std::int64_t offset) { return From(Kind::kOffset, offset); }
    /// At the first record of that time or later; at the end when there is none.
    [[nodiscard]] static From time(TimePoint time) { return From(Kind::kTime, time.ms); }

    [[nodiscard]] Kind kind() const { return kind_; }
    /// The offset, or the time in milliseconds since 1970.
    [[nodiscard]] std::int64_t number() const { return number_; }

  private:
    From(Kind kind, std::int64_t number) : kind_(kind), number_(number) {}
    Kind kind_;
    std::int64_t number_;
};

/// What a `poll` brought: records, and the memory that they view. Those of one partition come in
/// the order of their offsets.
class Records {
  public:
    Records(Records&& other) noexcept;
    Records& operator=(Records&& other) noexcept;
    ~Records();

    [[nodiscard]] const Record* begin() const { return first_; }
    [[nodiscard]] const Record* end() const { return first_ + size_; }
    [[nodiscard]] std::size_t size() const { return size_; }
    [[nodiscard]] bool empty() const { return size_ == 0; }

  private:
    friend class sdk::ConsumerCore;
    explicit Records(sdk::RecordsCore* core);
    sdk::RecordsCore* core_ = nullptr;
    const Record* first_ = nullptr;
    std::size_t size_ = 0;
};

/// One thread at a time calls it; `wake_up` any thread.
class Consumer {
  public:
    Consumer(Consumer&& other) noexcept;
    Consumer& operator=(Consumer&& other) noexcept;
    /// As `close`.
    ~Consumer();

    /// Reads, together with the other members of the group, these topics and no others, each
    /// partition from where the group has committed. `poll` then joins the group, takes part in
    /// its rebalances and tells the observer. Not beside `assign`.
    [[nodiscard]] Result<void> subscribe(std::initializer_list<std::string_view> topics) {
        return subscribe(topics.begin(), topics.size());
    }
    [[nodiscard]] Result<void> subscribe(const std::string_view* topics, std::size_t count);
    /// The same with every topic whose whole name matches the regular expression (RE2's syntax),
    /// also those that come to be later, in place of any topics named before. In the classic
    /// protocol the client looks for them, again every `ClientOptions::metadata_age_max`, and
    /// leaves out internal topics; in the new one the broker does, in its own time.
    [[nodiscard]] Result<void> subscribe_pattern(std::string_view pattern);

    /// Commits what the polls so far have returned, of all partitions that it has from the group,
    /// and waits for the answer.
    [[nodiscard]] Result<void> commit_sync();
    /// Commits one partition at `offset`, the one to be read next.
    [[nodiscard]] Result<void> commit_sync(const TopicPartition& partition, std::int64_t offset);
    /// The same as `commit_sync()` without waiting. `poll` tells of a refusal.
    [[nodiscard]] Result<void> commit_async();

    /// Commits, unless the options say otherwise, and leaves the group; a static member stays in
    /// it. Without a group it only ends. Everything answers kClosed afterwards. The error is the
    /// first of the commit and of the leaving, which took place as far as it could.
    Result<void> close();

    /// Reads all partitions that the topic has now, beside what is assigned already.
    [[nodiscard]] Result<void> assign_topic(std::string_view topic, From from);
    /// Reads this partition too. One that is assigned already goes on at `from`.
    [[nodiscard]] Result<void> assign(const TopicPartition& partition, From from);
    void unassign(const TopicPartition& partition);
    /// Every record of the topic from that time on: `assign_topic(topic, From::time(time))`.
    [[nodiscard]] Result<void> consume_from_timestamp(std::string_view topic, TimePoint time) {
        return assign_topic(topic, From::time(time));
    }

    /// What has come, at once, or after at most `timeout` when nothing has. Empty when nothing came
    /// in time; then an error, when the brokers cannot be asked at the moment. An error of one
    /// partition (its offset is gone, its bytes are damaged) comes once, and the partition rests
    /// until it is assigned anew or sought.
    [[nodiscard]] Result<Records> poll(TimeSpan timeout);
    /// Lets a `poll` that waits return, or the next one.
    void wake_up();

    /// The partition must be assigned.
    [[nodiscard]] Result<void> seek(const TopicPartition& partition, From from);
    /// The offset of the next record that `poll` will give.
    [[nodiscard]] Result<std::int64_t> position(const TopicPartition& partition) const;
    /// How far the partition is readable, as of the last answer; -1 when none has come yet.
    [[nodiscard]] Result<std::int64_t> high_watermark(const TopicPartition& partition) const;
    /// Gives no records of the partition until `resume`; its position stays.
    [[nodiscard]] Result<void> pause(const TopicPartition& partition);
    [[nodiscard]] Result<void> resume(const TopicPartition& partition);

  private:
    friend class Client;
    explicit Consumer(sdk::ConsumerCore* core) : core_(core) {}
    sdk::ConsumerCore* core_ = nullptr;
};

}  // namespace dlog
