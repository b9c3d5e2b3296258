#include "load/members.h"

#include <stdio.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <queue>
#include <string_view>
#include <utility>
#include <vector>

#include "load/broker.h"
#include "load/options.h"
#include "load/usage.h"
#include "load/wire.h"

namespace dlog::load {
namespace {

constexpr auto kFindCoordinator = static_cast<Api>(10);
constexpr auto kJoinGroup = static_cast<Api>(11);
constexpr auto kHeartbeat = static_cast<Api>(12);
constexpr auto kSyncGroup = static_cast<Api>(14);

constexpr std::int16_t kUnknownMember = 25;
constexpr std::int64_t kRetryNs = 100'000'000;

struct Member {
    enum class Step : std::uint8_t { kFinding, kJoining, kSyncing, kBeating };
    Step step = Step::kFinding;
    bool is_leader = false;
    bool is_waiting = false;  ///< For an answer.
    std::string id;
    std::int32_t generation = -1;
    std::int64_t sent_ns = 0;
    std::vector<std::string> assigned;  ///< Those that a leader gives something to.
};

class Members {
  public:
    Members(CrowdOptions crowd, const MemberOptions& options)
        : options_(options),
          members_(static_cast<std::size_t>(crowd.connections)),
          crowd_(crowd, [this](int client, std::string_view frame) { take(client, frame); }) {}

    int run() {
        const std::int64_t begin = now_ns();
        crowd_.open();
        for (int i = 0; i < crowd_.size(); ++i) {
            ask(i);
            if (i % 50 == 0) pass(now_ns());
        }
        while (beating_ < crowd_.size()) pass(now_ns() + 10'000'000);
        printf("{\"phase\":\"joined\",\"members\":%d,\"seconds\":%.1f,\"closed\":%d}\n",
               crowd_.size(), static_cast<double>(now_ns() - begin) * 1e-9, crowd_.closed());
        const int before = measure("undisturbed", false);
        return std::max(before, measure("one group disturbed", true));
    }

  private:
    [[nodiscard]] std::string group_of(int i) const {
        return "crowd-" + std::to_string(i / options_.size);
    }
    [[nodiscard]] bool is_of_first_group(int i) const { return i < options_.size; }

    /// Sends what the member's step asks for.
    void ask(int i) {
        Member& m = members_[static_cast<std::size_t>(i)];
        Writer w;
        switch (m.step) {
            case Member::Step::kFinding:
                w = request(kFindCoordinator, 0, 1);
                w.string(group_of(i));
                break;
            case Member::Step::kJoining:
                w = request(kJoinGroup, 2, 1);
                w.string(group_of(i)).i32(60'000).i32(60'000).string(m.id).string("consumer");
                w.i32(1).string("range").i32(12).out += "subscription";
                break;
            case Member::Step::kSyncing:
                w = request(kSyncGroup, 0, 1);
                w.string(group_of(i)).i32(m.generation).string(m.id);
                w.i32(static_cast<std::int32_t>(m.assigned.size()));
                for (const std::string& one : m.assigned) w.string(one).i32(4).out += "part";
                break;
            case Member::Step::kBeating:
                w = request(kHeartbeat, 0, 1);
                w.string(group_of(i)).i32(m.generation).string(m.id);
                break;
        }
        set_length(w.out);
        m.sent_ns = now_ns();
        m.is_waiting = true;
        crowd_.send(i, w.out);
    }

    void become(Member& m, Member::Step step) {
        beating_ += (step == Member::Step::kBeating) - (m.step == Member::Step::kBeating);
        m.step = step;
    }

    void ask_later(int i, std::int64_t in_ns) { alarms_.emplace(now_ns() + in_ns, i); }

    void take(int i, std::string_view frame) {
        Member& m = members_[static_cast<std::size_t>(i)];
        m.is_waiting = false;
        Reader r(frame);
        r.i32();
        if (m.step == Member::Step::kJoining) r.i32();
        const std::int16_t error = r.i16();
        if (m.step == Member::Step::kBeating && is_measuring_) {
            latencies_.push_back(now_ns() - m.sent_ns);
            disturbed_elsewhere_ += error != 0 && !is_of_first_group(i);
        }
        if (error != 0) return failed(i, error);
        switch (m.step) {
            case Member::Step::kFinding:
                become(m, Member::Step::kJoining);
                return ask(i);
            case Member::Step::kJoining:
                take_joined(m, r);
                become(m, Member::Step::kSyncing);
                return ask(i);
            case Member::Step::kSyncing:
                become(m, Member::Step::kBeating);
                // The beats of all are spread over the interval, wherever each begins.
                return ask_later(i, interval_ns() * (i % 997) / 997);
            case Member::Step::kBeating:
                return ask_later(i,
                                 std::max<std::int64_t>(m.sent_ns + interval_ns() - now_ns(), 0));
        }
    }

    void take_joined(Member& m, Reader& r) {
        m.generation = r.i32();
        r.string();
        const std::string_view leader = r.string();
        m.id = r.string();
        m.is_leader = leader == m.id;
        m.assigned.clear();
        for (std::int32_t left = r.i32(); left > 0 && r.ok; --left) {
            m.assigned.emplace_back(r.string());
            r.bytes(r.i32());
        }
        if (!r.ok) die("a JoinGroup response cannot be read");
    }

    void failed(int i, std::int16_t error) {
        Member& m = members_[static_cast<std::size_t>(i)];
        if (error == kUnknownMember) m.id.clear();
        // The coordinator loads, or the generation is over.
        if (m.step != Member::Step::kFinding) become(m, Member::Step::kJoining);
        ask_later(i, kRetryNs);
    }

    /// Sends what is due and takes what comes, until the deadline or the next thing that is due.
    void pass(std::int64_t deadline_ns) {
        while (!alarms_.empty() && alarms_.top().first <= now_ns()) {
            const int i = alarms_.top().second;
            alarms_.pop();
            if (!members_[static_cast<std::size_t>(i)].is_waiting) ask(i);
        }
        crowd_.wait(alarms_.empty() ? deadline_ns : std::min(deadline_ns, alarms_.top().first));
    }

    int measure(const char* phase, bool disturbs) {
        latencies_.clear();
        is_measuring_ = true;
        const Usage before = usage_of(options_.pids);
        const std::int64_t begin = now_ns();
        const auto end = begin + static_cast<std::int64_t>(options_.seconds * 1e9);
        std::int64_t next_disturbance = disturbs ? begin : end;
        int disturbances = 0;
        while (now_ns() < end) {
            if (now_ns() >= next_disturbance) {
                next_disturbance += 1'000'000'000;
                disturbances += disturb();
            }
            pass(std::min(end, next_disturbance));
        }
        is_measuring_ = false;
        const Usage after = usage_of(options_.pids);
        std::sort(latencies_.begin(), latencies_.end());
        printf(
            "{\"phase\":\"%s\",\"beats\":%zu,\"p50_ms\":%.3f,\"p99_ms\":%.3f,"
            "\"core_percent\":%.2f,\"rss_mb\":%.1f,\"rebalances_asked\":%d,"
            "\"disturbed_elsewhere\":%ld,\"closed\":%d,\"own_cpu_s\":%.2f}\n",
            phase, latencies_.size(), quantile_ms(latencies_, 0.5), quantile_ms(latencies_, 0.99),
            (after.cpu_seconds - before.cpu_seconds) / options_.seconds * 100, after.rss_mb,
            disturbances, disturbed_elsewhere_, crowd_.closed(), own_cpu_seconds());
        fflush(stdout);
        return disturbed_elsewhere_ == 0 && crowd_.closed() == 0 ? 0 : 1;
    }

    /// The first group's leader joins again, which begins a rebalance; not while one goes on.
    int disturb() {
        for (int i = 0; i < options_.size; ++i) {
            if (members_[static_cast<std::size_t>(i)].step != Member::Step::kBeating) return 0;
        }
        for (int i = 0; i < options_.size; ++i) {
            Member& m = members_[static_cast<std::size_t>(i)];
            if (!m.is_leader || m.is_waiting) continue;
            become(m, Member::Step::kJoining);
            ask(i);
            return 1;
        }
        return 0;
    }

    [[nodiscard]] std::int64_t interval_ns() const {
        return std::int64_t{options_.interval_ms} * 1'000'000;
    }

    using Alarm = std::pair<std::int64_t, int>;

    const MemberOptions options_;
    std::vector<Member> members_;
    std::priority_queue<Alarm, std::vector<Alarm>, std::greater<>> alarms_;
    int beating_ = 0;
    bool is_measuring_ = false;
    long disturbed_elsewhere_ = 0;
    std::vector<std::int64_t> latencies_;
    Crowd crowd_;
};

}  // namespace

int hold_members(const CrowdOptions& crowd, const MemberOptions& options) {
    CrowdOptions sized = crowd;
    sized.connections = options.groups * options.size;
    Members members(sized, options);
    return members.run();
}

}  // namespace dlog::load
