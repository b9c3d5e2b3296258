/// kload: a load generator for brokers that speak Kafka's protocol. It sends batches that were
/// encoded beforehand and looks only at the headers of what it fetches, so that the broker is the
/// limit.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <deque>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "load/batches.h"
#include "load/broker.h"
#include "load/options.h"
#include "load/usage.h"
#include "load/wire.h"

namespace dlog::load {
namespace {

/// A connection with a queue of what is to be sent and a buffer of what has come.
class Connection {
  public:
    Connection(const Options& o, int epoll_fd) : fd(connect_to(o)), epoll_fd_(epoll_fd) {
        epoll_event event{.events = EPOLLIN, .data = {.ptr = this}};
        ::epoll_ctl(epoll_fd_, EPOLL_CTL_ADD, fd, &event);
        in_.resize(std::size_t{4} << 20);
    }
    ~Connection() { ::close(fd); }
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    /// `bytes` are kept by the connection; `tail`, which may be empty, is kept by the caller.
    void queue(std::string bytes, std::string_view tail = {}) {
        out_.push_back({std::move(bytes), tail});
    }
    /// Sends what the socket takes.
    void flush() {
        while (!out_.empty()) {
            std::array<iovec, 64> vectors;
            int count = 0;
            std::size_t skip = sent_;
            for (const Piece& piece : out_) {
                for (const std::string_view part : {std::string_view(piece.bytes), piece.tail}) {
                    if (count == 64) break;
                    const std::size_t skipped = std::min(skip, part.size());
                    skip -= skipped;
                    if (part.size() == skipped) continue;
                    vectors[static_cast<std::size_t>(count++)] = {
                        const_cast<char*>(part.data()) + skipped, part.size() - skipped};
                }
                if (count == 64) break;
            }
            msghdr message{};
            message.msg_iov = vectors.data();
            message.msg_iovlen = static_cast<std::size_t>(count);
            const ssize_t result = ::sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
            if (result < 0 && errno == EAGAIN) break;
            if (result < 0) die("the broker closed the connection");
            sent_ += static_cast<std::size_t>(result);
            while (!out_.empty() && sent_ >= out_.front().bytes.size() + out_.front().tail.size()) {
                sent_ -= out_.front().bytes.size() + out_.front().tail.size();
                out_.pop_front();
            }
        }
        watch_writes(!out_.empty());
    }
    [[nodiscard]] bool has_unsent() const { return !out_.empty(); }

    /// Calls `take` with each whole frame that has come.
    template <class Take>
    void receive(const Take& take) {
        const ssize_t count = ::recv(fd, in_.data() + end_, in_.size() - end_, MSG_DONTWAIT);
        if (count < 0 && errno == EAGAIN) return;
        if (count <= 0) die("the broker closed the connection");
        end_ += static_cast<std::size_t>(count);
        std::size_t wanted = 0;
        while (end_ - begin_ >= 4) {
            const auto length =
                static_cast<std::size_t>(load_big<std::uint32_t>(in_.data() + begin_));
            wanted = length + 4;
            if (end_ - begin_ < wanted) break;
            take(std::string_view(in_.data() + begin_ + 4, length));
            begin_ += wanted;
            wanted = 0;
        }
        if (begin_ == end_) {
            begin_ = end_ = 0;
        } else if (begin_ + std::max<std::size_t>(wanted, 4) > in_.size()) {
            ::memmove(in_.data(), in_.data() + begin_, end_ - begin_);
            end_ -= begin_;
            begin_ = 0;
            if (wanted > in_.size()) in_.resize(wanted);
        }
    }

    const int fd;
    std::int32_t next_correlation = 0;
    int in_flight = 0;
    std::size_t next_partition = 0;
    std::vector<std::int32_t> partitions;
    /// When each unanswered request was sent, or was due.
    std::deque<std::int64_t> asked_ns;
    std::vector<std::int64_t> fetch_offsets;

  private:
    struct Piece {
        std::string bytes;
        std::string_view tail;
    };
    void watch_writes(bool is_wanted) {
        if (is_wanted == watches_writes_) return;
        watches_writes_ = is_wanted;
        epoll_event event{.events = EPOLLIN | (is_wanted ? EPOLLOUT : 0U), .data = {.ptr = this}};
        ::epoll_ctl(epoll_fd_, EPOLL_CTL_MOD, fd, &event);
    }

    const int epoll_fd_;
    std::deque<Piece> out_;
    std::size_t sent_ = 0;  // of the first piece
    bool watches_writes_ = false;
    std::string in_;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
};

class Run {
  public:
    explicit Run(Options options) : options_(std::move(options)), epoll_fd_(::epoll_create1(0)) {}

    int produce();
    int consume();
    int roundtrip();

  private:
    void prepare();
    void open_connections();
    void begin_measuring();
    void wait(std::int64_t deadline_ns);
    void send_produce(Connection& c, std::int64_t due_ns);
    bool send_what_is_due();
    void take_produced(Connection& c, std::string_view frame);
    void acknowledge(Connection& c);
    void send_fetch(Connection& c);
    void take_fetched(Connection& c, std::string_view frame);
    void take_batches(Connection& c, std::size_t partition, std::string_view records);
    void note_error(std::int16_t error);
    int report();

    [[nodiscard]] std::int64_t records_per_request() const {
        return static_cast<std::int64_t>(options_.batch.records) * options_.bundle;
    }
    [[nodiscard]] bool is_done() const { return done_ >= options_.records + options_.warmup; }

    const Options options_;
    const int epoll_fd_;
    std::vector<std::unique_ptr<Connection>> connections_;
    std::unique_ptr<Connection> consumer_;
    std::vector<std::string> batches_;
    std::size_t next_batch_ = 0;
    std::size_t next_connection_ = 0;
    std::int64_t producer_id_ = -1;
    std::int16_t producer_epoch_ = -1;
    std::vector<std::int32_t> sequences_;
    std::vector<std::int64_t> first_offsets_;                  // roundtrip: where this run began
    std::vector<std::vector<std::int64_t>> due_by_partition_;  // and when each batch was due
    std::int64_t asked_ = 0;
    std::int64_t done_ = 0;
    std::int64_t errors_ = 0;
    std::int16_t first_error_ = 0;

    bool is_measuring_ = false;
    std::int64_t pace_begin_ns_ = 0;
    std::int64_t begin_ns_ = 0;
    std::int64_t begin_done_ = 0;
    double begin_own_cpu_ = 0;
    Usage begin_usage_;
    std::vector<std::int64_t> latencies_ns_;
};

void Run::prepare() {
    if (!options_.is_raw) {
        const int fd = connect_to(options_);
        wait_for_leaders(fd, options_);
        if (options_.is_idempotent) std::tie(producer_id_, producer_epoch_) = init_producer(fd);
        if (options_.mode == "roundtrip") first_offsets_ = list_end_offsets(fd, options_);
        ::close(fd);
    }
    sequences_.assign(static_cast<std::size_t>(options_.partitions), 0);
    due_by_partition_.resize(static_cast<std::size_t>(options_.partitions));
    if (options_.mode != "consume") {
        for (std::uint64_t seed = 0; seed < 16; ++seed) {
            batches_.push_back(encode_batch(options_.batch, seed));
        }
    }
}

void Run::open_connections() {
    for (int i = 0; i < options_.connections; ++i) {
        connections_.push_back(std::make_unique<Connection>(options_, epoll_fd_));
        Connection& c = *connections_.back();
        for (std::int32_t p = i % options_.partitions; p < options_.partitions;
             p += options_.connections) {
            c.partitions.push_back(p);
        }
        if (options_.partition >= 0) c.partitions = {options_.partition};
        c.fetch_offsets.assign(static_cast<std::size_t>(options_.partitions), 0);
    }
    pace_begin_ns_ = now_ns();
    if (options_.warmup == 0) begin_measuring();
}

void Run::begin_measuring() {
    is_measuring_ = true;
    latencies_ns_.clear();
    begin_done_ = done_;
    begin_usage_ = usage_of(options_.pids);
    begin_own_cpu_ = own_cpu_seconds();
    begin_ns_ = now_ns();
}

/// Handles what comes until the deadline, for one round at least.
void Run::wait(std::int64_t deadline_ns) {
    std::array<epoll_event, 64> events;
    const std::int64_t left = std::max<std::int64_t>(deadline_ns - now_ns(), 0);
    const timespec timeout{.tv_sec = left / 1'000'000'000, .tv_nsec = left % 1'000'000'000};
    const int count = ::epoll_pwait2(epoll_fd_, events.data(), 64, &timeout, nullptr);
    for (int i = 0; i < count; ++i) {
        const epoll_event& event = events[static_cast<std::size_t>(i)];
        Connection& c = *static_cast<Connection*>(event.data.ptr);
        if ((event.events & EPOLLOUT) != 0) c.flush();
        if ((event.events & ~static_cast<std::uint32_t>(EPOLLOUT)) != 0) {
            const bool is_fetching = options_.mode == "consume" || &c == consumer_.get();
            c.receive([&](std::string_view frame) {
                is_fetching ? take_fetched(c, frame) : take_produced(c, frame);
            });
        }
    }
    if (!is_measuring_ && done_ >= options_.warmup) begin_measuring();
}

void Run::note_error(std::int16_t error) {
    if (errors_++ == 0) first_error_ = error;
}

/// Produce version 9, the first flexible one: `bundle` partitions with a batch each.
void Run::send_produce(Connection& c, std::int64_t due_ns) {
    Writer head = request(kProduce, 9, c.next_correlation++);
    head.unsigned_varint(0).unsigned_varint(0);  // no tags, no transactional id
    head.i16(static_cast<std::int16_t>(options_.acks)).i32(30'000).unsigned_varint(2);
    head.compact_string(options_.topic)
        .unsigned_varint(static_cast<std::uint64_t>(options_.bundle) + 1);
    std::vector<std::pair<std::string, std::string_view>> pieces;
    std::size_t size = 0;
    for (int i = 0; i < options_.bundle; ++i) {
        const std::int32_t partition = c.partitions[c.next_partition++ % c.partitions.size()];
        std::string_view batch = batches_[next_batch_++ % batches_.size()];
        if (i > 0) head.unsigned_varint(0);  // tags of the partition before
        head.i32(partition).unsigned_varint(batch.size() + 1);
        if (options_.is_idempotent) {
            std::int32_t& sequence = sequences_[static_cast<std::size_t>(partition)];
            std::string numbered(batch);
            set_producer(numbered, producer_id_, producer_epoch_, sequence);
            sequence += static_cast<std::int32_t>(options_.batch.records);
            head.out += numbered;
            batch = {};
        }
        if (consumer_ != nullptr) {
            due_by_partition_[static_cast<std::size_t>(partition)].push_back(due_ns);
        }
        size += head.out.size() + batch.size();
        pieces.emplace_back(std::move(head.out), batch);
        head.out.clear();
    }
    pieces.emplace_back(std::string(3, '\0'),
                        std::string_view());  // tags: partition, topic, request
    set_length(pieces.front().first, size + 3 - pieces.front().first.size());
    for (auto& [bytes, tail] : pieces) c.queue(std::move(bytes), tail);
    c.asked_ns.push_back(due_ns);
    ++c.in_flight;
    asked_ += records_per_request();
}

/// True when something was sent.
bool Run::send_what_is_due() {
    const std::int64_t now = now_ns();
    bool has_sent = false;
    for (std::size_t tried = 0; tried < connections_.size();) {
        if (asked_ >= options_.records + options_.warmup) break;
        std::int64_t due = now;
        if (options_.rate > 0) {
            due = pace_begin_ns_ + static_cast<std::int64_t>(static_cast<double>(asked_) * 1e9 /
                                                             static_cast<double>(options_.rate));
            if (due > now) break;
        }
        Connection& c = *connections_[next_connection_++ % connections_.size()];
        if (c.in_flight >= options_.in_flight || (options_.acks == 0 && c.has_unsent())) {
            ++tried;
            continue;
        }
        tried = 0;
        send_produce(c, due);
        has_sent = true;
        if (options_.acks == 0) {
            c.flush();
            acknowledge(c);
        }
    }
    if (has_sent) {
        for (const auto& c : connections_) {
            if (c->has_unsent()) c->flush();
        }
    }
    return has_sent;
}

void Run::acknowledge(Connection& c) {
    if (c.asked_ns.empty()) die("a response to nothing");
    const std::int64_t latency = now_ns() - c.asked_ns.front();
    c.asked_ns.pop_front();
    --c.in_flight;
    if (consumer_ == nullptr) {
        done_ += records_per_request();
        if (is_measuring_) latencies_ns_.push_back(latency);
    }
}

void Run::take_produced(Connection& c, std::string_view frame) {
    Reader r(frame);
    r.i32();
    r.tags();
    for (auto topics = r.unsigned_varint(); topics > 1 && r.ok; --topics) {
        r.compact_string();
        for (auto partitions = r.unsigned_varint(); partitions > 1 && r.ok; --partitions) {
            r.i32();
            if (const std::int16_t error = r.i16(); error != 0) note_error(error);
            r.bytes(24);
            for (auto bad = r.unsigned_varint(); bad > 1 && r.ok; --bad) {
                r.i32();
                r.compact_string();
                r.tags();
            }
            r.compact_string();
            r.tags();
        }
        r.tags();
    }
    if (!r.ok) die("a produce response cannot be read");
    acknowledge(c);
}

/// Fetch version 11, the last before the flexible ones, without a session.
void Run::send_fetch(Connection& c) {
    Writer w = request(kFetch, 11, c.next_correlation++);
    w.i32(-1).i32(options_.fetch_wait_ms).i32(1).i32(50 << 20).i8(0).i32(0).i32(-1);
    w.i32(1).string(options_.topic).i32(static_cast<std::int32_t>(c.partitions.size()));
    for (std::size_t i = 0; i < c.partitions.size(); ++i) {
        // Begins elsewhere each time, so that the response's limit is not always spent on the same.
        const std::int32_t p = c.partitions[(c.next_partition + i) % c.partitions.size()];
        w.i32(p).i32(-1).i64(c.fetch_offsets[static_cast<std::size_t>(p)]).i64(-1);
        w.i32(options_.fetch_bytes);
    }
    ++c.next_partition;
    w.i32(0).string("");
    set_length(w.out);
    c.asked_ns.push_back(now_ns());
    c.queue(std::move(w.out));
    c.flush();
}

void Run::take_fetched(Connection& c, std::string_view frame) {
    Reader r(frame);
    r.i32();
    r.i32();
    if (const std::int16_t error = r.i16(); error != 0) note_error(error);
    r.i32();
    for (std::int32_t topics = r.i32(); topics > 0 && r.ok; --topics) {
        r.string();
        for (std::int32_t left = r.i32(); left > 0 && r.ok; --left) {
            const auto partition = static_cast<std::size_t>(r.i32());
            if (const std::int16_t error = r.i16(); error != 0) note_error(error);
            r.bytes(24);
            for (std::int32_t aborted = r.i32(); aborted > 0 && r.ok; --aborted) r.bytes(16);
            r.i32();
            const std::string_view records = r.bytes(r.i32());
            if (partition < c.fetch_offsets.size()) take_batches(c, partition, records);
        }
    }
    if (!r.ok) die("a fetch response cannot be read");
    if (c.asked_ns.empty()) die("a response to nothing");
    if (options_.mode == "consume" && is_measuring_) {
        latencies_ns_.push_back(now_ns() - c.asked_ns.front());
    }
    c.asked_ns.pop_front();
    if (!is_done() && errors_ == 0) send_fetch(c);
}

void Run::take_batches(Connection& c, std::size_t partition, std::string_view records) {
    std::int64_t& position = c.fetch_offsets[partition];
    const std::int64_t now = now_ns();
    while (records.size() >= kBatchHeaderBytes) {
        const auto size =
            static_cast<std::size_t>(load_big<std::uint32_t>(records.data() + kBatchLengthAt)) + 12;
        if (size > records.size()) return;  // cut off by the limit
        const auto base = load_big<std::int64_t>(records.data());
        const auto count = load_big<std::int32_t>(records.data() + kRecordCountAt);
        records.remove_prefix(size);
        if (base + count <= position && !options_.is_raw) continue;
        const std::int64_t fresh =
            options_.is_raw ? count : base + count - std::max(base, position);
        if (base > position && !options_.is_raw) die("offsets were skipped");
        position = base + count;
        done_ += fresh;
        if (consumer_ == nullptr) continue;
        const auto batch = static_cast<std::size_t>(
            (base - first_offsets_[partition]) / static_cast<std::int64_t>(options_.batch.records));
        const auto& dues = due_by_partition_[partition];
        if (batch >= dues.size()) die("somebody else writes to the topic");
        if (is_measuring_) latencies_ns_.push_back(now - dues[batch]);
    }
}

int Run::produce() {
    prepare();
    open_connections();
    while (!is_done() && errors_ == 0) {
        send_what_is_due();
        const bool is_paced = options_.rate > 0 && asked_ < options_.records + options_.warmup;
        const bool is_unanswered =
            options_.acks == 0 && asked_ < options_.records + options_.warmup;
        const std::int64_t now = now_ns();
        const std::int64_t next_due =
            pace_begin_ns_ + static_cast<std::int64_t>(
                                 static_cast<double>(asked_) * 1e9 /
                                 static_cast<double>(std::max<std::int64_t>(options_.rate, 1)));
        const bool is_blocked =
            std::all_of(connections_.begin(), connections_.end(), [&](const auto& c) {
                return options_.acks == 0 ? c->has_unsent() : c->in_flight >= options_.in_flight;
            });
        if (is_paced && !is_blocked) {
            wait(next_due);
        } else {
            wait(is_unanswered && !is_blocked ? now : now + 1'000'000'000);
        }
    }
    return report();
}

int Run::consume() {
    prepare();
    open_connections();
    for (const auto& c : connections_) send_fetch(*c);
    std::int64_t done_before = -1;
    while (!is_done() && errors_ == 0) {
        const std::int64_t deadline = now_ns() + 10'000'000'000;
        if (done_ == done_before) die("nothing more to fetch after " + std::to_string(done_));
        done_before = done_;
        while (done_ == done_before && now_ns() < deadline && errors_ == 0) wait(deadline);
    }
    return report();
}

int Run::roundtrip() {
    if (options_.rate == 0) die("roundtrip needs --rate");
    prepare();
    consumer_ = std::make_unique<Connection>(options_, epoll_fd_);
    for (std::int32_t p = 0; p < options_.partitions; ++p) consumer_->partitions.push_back(p);
    consumer_->fetch_offsets = first_offsets_;
    send_fetch(*consumer_);
    return produce();
}

int Run::report() {
    const double seconds = static_cast<double>(now_ns() - begin_ns_) * 1e-9;
    const double own_cpu = own_cpu_seconds() - begin_own_cpu_;
    const Usage end = usage_of(options_.pids);
    const auto records = static_cast<double>(done_ - begin_done_);
    const double mb = records * static_cast<double>(options_.batch.record_bytes) * 1e-6;
    std::sort(latencies_ns_.begin(), latencies_ns_.end());
    const auto ms = [&](double quantile) { return quantile_ms(latencies_ns_, quantile); };
    printf(
        "{\"label\":\"%s\",\"mode\":\"%s\",\"records\":%.0f,\"seconds\":%.4f,\"records_per_s\":%."
        "0f,"
        "\"mb_per_s\":%.3f,\"p50_ms\":%.4f,\"p99_ms\":%.4f,\"p999_ms\":%.4f,\"max_ms\":%.4f,"
        "\"client_cpu_s\":%.3f",
        options_.label.c_str(), options_.mode.c_str(), records, seconds, records / seconds,
        mb / seconds, ms(0.5), ms(0.99), ms(0.999), ms(1), own_cpu);
    if (!options_.pids.empty()) {
        const double cpu = end.cpu_seconds - begin_usage_.cpu_seconds;
        printf(
            ",\"broker_cpu_s\":%.3f,\"broker_cpu_s_per_million\":%.4f,\"broker_rss_mb\":%.1f,"
            "\"broker_peak_mb\":%.1f",
            cpu, cpu * 1e6 / records, end.rss_mb, end.peak_mb);
    }
    printf(",\"errors\":%lld,\"first_error\":%d}\n", static_cast<long long>(errors_), first_error_);
    return errors_ == 0 ? 0 : 1;
}

int main_of(int argc, char** argv) {
    Options o = parse(argc, argv);
    if (o.partitions < 1 || o.connections < 1 || o.in_flight < 1 || o.bundle < 1 ||
        o.batch.records < 1 || o.records < 1) {
        die("numbers must be at least 1");
    }
    if (o.partition >= o.partitions) {
        die("--partition is one of --partitions, from 0");
    }
    if (o.is_idempotent && o.connections > o.partitions) {
        die("--idempotent needs a partition for each connection");
    }
    if (o.mode == "create" || o.mode == "delete") {
        const int fd = connect_to(o);
        if (o.mode == "delete") {
            delete_topic(fd, o);
        } else {
            create_topic(fd, o);
            wait_for_leaders(fd, o);
        }
        ::close(fd);
        return 0;
    }
    Run run(o);
    if (o.mode == "produce") return run.produce();
    if (o.mode == "consume") return run.consume();
    if (o.mode == "roundtrip") return run.roundtrip();
    die("unknown mode " + o.mode);
}

}  // namespace
}  // namespace dlog::load

int main(int argc, char** argv) {
    return dlog::load::main_of(argc, argv);
}
