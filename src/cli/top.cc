#include "cli/top.h"

#include <charconv>
#include <cstdint>
#include <expected>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "cli/bench_support.h"
#include "cli/exit_code.h"
#include "cli/parse.h"
#include "cli/session.h"
#include "cli/terminal.h"
#include "cli/top_collect.h"
#include "cli/top_report.h"
#include "cli/top_tables.h"
#include "cli/top_view.h"
#include "port/clock.h"
#include "port/spawn.h"
#include "port/sync.h"

namespace dlog::cli {

namespace {

/// An escape that is nothing but the key of that name has nothing behind it for this long.
constexpr Duration kEscapeDelay = milliseconds(50);

struct Plan {
    std::string place;  ///< of the cluster, as it was given
    Duration interval;
    std::int64_t iterations = 0;  ///< 0: without end
    bool is_json = false;
    std::vector<HttpPlace> http;
};

std::expected<Duration, std::string> parse_interval(const std::string& text) {
    constexpr double kLeast = 0.01;
    constexpr double kMost = 86'400;
    double seconds = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seconds);
    const bool is_number = error == std::errc() && end == text.data() + text.size();
    if (!is_number || !(seconds >= kLeast && seconds <= kMost)) {
        return unexpected("--interval \"" + text +
                          "\" is not a number of seconds from 0.01 to 86400");
    }
    return nanoseconds(static_cast<std::int64_t>(seconds * 1e9));
}

std::expected<Plan, std::string> plan_of(const Invocation& invocation) {
    Plan plan{.place = bootstrap_text(invocation), .is_json = invocation.is_on("json")};
    DLOG_TRY_ASSIGN(plan.interval, parse_interval(invocation.option("interval")));
    DLOG_TRY_ASSIGN(plan.iterations, number_of(invocation, "iterations", 0, INT64_MAX));
    for (const std::string& text : invocation.all("http")) {
        DLOG_TRY_ASSIGN(HttpPlace place, parse_http_place(text));
        plan.http.push_back(std::move(place));
    }
    return plan;
}

/// Tables or JSON to standard output; the first look that fails ends it.
port::Task<int> print(Session& session, const Plan* plan) {
    auto before = co_await take_look(session, plan->http);
    if (!before) co_return tell(before.error());
    for (std::int64_t i = 0; plan->iterations == 0 || i < plan->iterations; ++i) {
        co_await port::sleep_for(session.ports.clock, plan->interval);
        auto now = co_await take_look(session, plan->http);
        if (!now) co_return tell(now.error());
        const Report report = compare(*before, *now);
        for (const std::string& complaint : report.complaints) {
            static_cast<void>(tell(kOk, complaint));
        }
        const std::string text =
            plan->is_json ? report_json(report) + '\n' : plain_text(tables_of(report));
        if (!write_out(text)) co_return kFailed;
        before = std::move(now);
    }
    co_return kOk;
}

/// A report, or why there is none.
using News = std::expected<Report, std::string>;

/// Where the loop's thread leaves news for the terminal's.
class Board {
  public:
    explicit Board(const Terminal& terminal) : terminal_(terminal) {}

    void post(News news) {
        const std::lock_guard lock(mutex_);
        news_ = std::move(news);
        terminal_.ring();
    }
    /// Nothing more will come.
    void finish() {
        const std::lock_guard lock(mutex_);
        is_finished_ = true;
        terminal_.ring();
    }
    /// The newest, once.
    [[nodiscard]] std::optional<News> take() {
        const std::lock_guard lock(mutex_);
        return std::exchange(news_, std::nullopt);
    }
    [[nodiscard]] bool is_finished() const {
        const std::lock_guard lock(mutex_);
        return is_finished_;
    }

  private:
    const Terminal& terminal_;
    mutable std::mutex mutex_;
    std::optional<News> news_;
    bool is_finished_ = false;
};

/// The looking that goes on while the screen is shown; belongs to the loop.
struct Looking {
    bool is_over = false;
    port::Notifier over;
    port::Gate gate;
};

/// A cluster that does not answer may come back: it is asked on. `hold` comes first so that it is
/// dropped last.
port::Task<void> keep_looking([[maybe_unused]] port::Gate::Hold hold, Session& session,
                              const Plan* plan, Board* board, Looking* looking) {
    std::optional<Look> before;
    std::int64_t shown = 0;
    while (!looking->is_over && (plan->iterations == 0 || shown < plan->iterations)) {
        const Instant next = session.ports.clock.now() + plan->interval;
        auto now = co_await take_look(session, plan->http);
        if (!now) {
            board->post(unexpected(now.error().text()));
        } else {
            // The first has nothing to be compared with but itself.
            shown += before ? 1 : 0;
            board->post(compare(before ? *before : *now, *now));
            before = *std::move(now);
        }
        while (!looking->is_over && session.ports.clock.now() < next) {
            static_cast<void>(co_await looking->over.wait_until(session.ports.clock, next));
        }
    }
    board->finish();
}

/// Draws and obeys keys until the user leaves, or a signal asks for it, which is returned.
int watch(Terminal& terminal, Board& board, TopView& view) {
    KeyReader keys;
    terminal.enter();
    bool needs_drawing = true;
    while (!board.is_finished()) {
        if (needs_drawing) {
            const ScreenSize size = terminal.size();
            terminal.draw(screen_text(view.lines(size.width, size.height)));
        }
        const auto wake = terminal.wait(keys.is_waiting() ? kEscapeDelay : seconds(3600));
        if (wake.ended_by != 0) return wake.ended_by;
        if (wake.hung_up) return 0;
        const auto typed = wake.typed.empty() ? keys.give_up() : keys.read(wake.typed);
        for (const Key& key : typed) {
            if (!view.press(key)) return 0;
        }
        needs_drawing = wake.needs_drawing || wake.rang || !typed.empty();
        if (auto news = board.take()) {
            *news ? view.take(**std::move(news)) : view.fail(news->error());
        }
    }
    return 0;
}

port::Task<int> show(Session& session, const Plan* plan, Terminal* terminal, int* ended_by) {
    Board board(*terminal);
    TopView view(plan->place, plan->interval);
    Looking looking;
    session.ports.spawn.spawn(keep_looking(looking.gate.enter(), session, plan, &board, &looking));
    // The terminal blocks; the loop does not.
    co_await session.ports.spawn.offload([&] {
        *ended_by = watch(*terminal, board, view);
        terminal->leave();
    });
    looking.is_over = true;
    looking.over.notify_all();
    session.cluster.close();
    while (looking.gate.held() > 0) co_await looking.gate.left().wait();
    co_return kOk;
}

}  // namespace

int top(const Invocation& invocation) {
    const auto plan = plan_of(invocation);
    if (!plan) return tell(kUsage, plan.error());
    // Before any thread starts.
    auto terminal = plan->is_json ? nullptr : Terminal::open();
    int ended_by = 0;
    const int exit_code = run_session(invocation, [&](Session& session) {
        return terminal == nullptr ? print(session, &*plan)
                                   : show(session, &*plan, terminal.get(), &ended_by);
    });
    terminal.reset();
    if (ended_by != 0) end_by(ended_by);
    return exit_code;
}

}  // namespace dlog::cli
