/// What a Consumer is made of: a fetcher on the client's thread that reads ahead, and a queue of
/// what came, which the user's thread decodes.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "client/admin.h"
#include "client/fetcher.h"
#include "dlog/consumer.h"
#include "port/sync.h"
#include "port/task.h"
#include "record/reader.h"
#include "sdk/core.h"
#include "sdk/doorbell.h"
#include "sdk/group_session.h"
#include "sdk/records_core.h"

namespace dlog::sdk {

class ConsumerCore final : public Part {
  public:
    [[nodiscard]] static Result<Ref<ConsumerCore>> open(const Ref<Core>& core,
                                                        const ConsumerOptions& options);

    Result<void> assign(std::string_view topic, std::optional<std::int32_t> partition, From from);
    void unassign(const TopicPartition& partition);
    Result<Records> poll(TimeSpan timeout);
    void wake_up();
    Result<void> seek(const TopicPartition& partition, From from);
    Result<std::int64_t> position(const TopicPartition& partition);
    Result<std::int64_t> high_watermark(const TopicPartition& partition);
    Result<void> set_paused(const TopicPartition& partition, bool is_paused);
    void close();

    // As a member of a group.
    Result<void> subscribe(std::span<const std::string_view> topics);
    Result<void> subscribe_pattern(std::string_view pattern);
    Result<void> commit();
    Result<void> commit(const TopicPartition& partition, std::int64_t offset);
    Result<void> commit_soon();
    /// `close`, after a commit and a farewell to the group.
    Result<void> leave();

    void end() override { close(); }
    [[nodiscard]] bool has_ended() override;
    void silence() override { bell_.silence(); }
    void abandon() override {}

  private:
    struct Key {
        std::shared_ptr<const std::string> topic;
        std::int32_t partition = 0;
    };
    struct ByName {
        using is_transparent = void;
        using View = std::pair<std::string_view, std::int32_t>;
        static View view(const Key& key) { return {*key.topic, key.partition}; }
        static View view(const TopicPartition& key) { return {key.topic, key.partition}; }
        template <class A, class B>
        bool operator()(const A& a, const B& b) const {
            return view(a) < view(b);
        }
    };
    struct Place {
        std::int64_t position = 0;
        std::int64_t high_watermark = -1;
        /// Told apart from what was assigned or sought before: what came for that is dropped.
        std::uint64_t version = 0;
        bool is_paused = false;
    };
    using Places = std::map<Key, Place, ByName>;
    /// What came for one partition and is not read yet.
    struct Item {
        Key key;
        std::uint64_t version = 0;
        client::Fetched fetched;
        std::size_t next_batch = 0;
        std::size_t size_bytes = 0;
    };
    /// What the fetcher is to do, or is to forget.
    struct Command {
        enum class Kind : std::uint8_t { kAssign, kUnassign, kPause } kind;
        Key key;
        Offset offset;
        std::uint64_t version = 0;
    };

    ConsumerCore(Ref<Core> core, const ConsumerOptions& options);

    // The user's thread.
    Result<std::vector<client::ListedOffset>> find(std::string_view topic,
                                                   std::optional<std::int32_t> partition,
                                                   From from);
    void place_at(const Key& key, Offset offset);
    void command(Command command);
    [[nodiscard]] static Error not_assigned(const TopicPartition& partition);
    /// With the lock: moves what came to `mine_`.
    void take_queue();
    [[nodiscard]] bool is_wanted(const Item& item);
    /// Decodes from `mine_`.
    void decode_into(RecordsCore& records);
    [[nodiscard]] Result<void> decode_batch(Item& item, RecordsCore& records);
    void keep_memory(const Item& item, bool is_compressed, RecordsCore& records);
    void move_position(const Item& item, std::int64_t position);
    void give_up(const Item& item, Error error);
    void let_go(const Item& item);
    [[nodiscard]] std::optional<Error> take_error(bool is_late);

    // The user's thread, as a member of a group.
    using Offsets = std::vector<client::CommittedOffset>;
    [[nodiscard]] Result<void> need_group() const;
    /// The names of topics, or a pattern of them.
    using Wanted = std::variant<std::vector<std::string>, std::string>;
    Result<void> subscribe(Wanted wanted);
    [[nodiscard]] Offsets offsets_to_commit();
    Result<void> commit(Offsets offsets);
    void take_part();
    void follow(GroupSession::Event event);
    void begin_at(const GroupSession::Event& event);
    void commit_when_due(Instant now);

    // The client's thread.
    static port::Task<void> subscribe_on(Ref<ConsumerCore> self, Wanted wanted);
    static port::Task<void> commit_on(Ref<ConsumerCore> self, Offsets offsets);
    void poke();
    static port::Task<void> listen(Ref<ConsumerCore> self);
    static port::Task<void> fetch(Ref<ConsumerCore> self);
    static port::Task<void> start_over(Ref<ConsumerCore> self, Key key, std::uint64_t version);
    [[nodiscard]] bool obey();
    void hand_over(std::vector<client::Fetched> fetched);
    void hand_over(const client::Error& error);

    const Ref<Core> core_;
    const ConsumerOptions options_;
    Doorbell bell_;
    std::unique_ptr<GroupSession> group_;  ///< none without a group's id

    // The user's thread.
    bool is_subscribed_ = false;
    Instant next_commit_;
    std::deque<Item> mine_;
    record::ReaderScratch scratch_;

    std::mutex mutex_;
    std::condition_variable changed_;
    Places places_;
    std::uint64_t next_version_ = 0;
    std::deque<Item> queue_;
    std::size_t queued_bytes_ = 0;  ///< of `queue_` and `mine_`
    std::deque<Error> errors_;
    std::optional<Error> trouble_;  ///< why nothing comes at the moment
    std::vector<Command> commands_;
    bool is_woken_up_ = false;
    bool has_event_ = false;  ///< of the group
    bool is_full_ = false;    ///< the fetcher waits for `queued_bytes_` to fall
    bool is_closing_ = false;
    bool has_ended_ = false;

    // The client's thread.
    client::Fetcher fetcher_;
    std::map<Key, std::uint64_t, ByName> versions_;
    port::Notifier news_;
    bool has_news_ = false;
    bool has_started_member_ = false;
};

}  // namespace dlog::sdk
