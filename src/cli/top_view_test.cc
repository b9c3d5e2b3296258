#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "cli/text.h"
#include "cli/top_view.h"

namespace dlog::cli {
namespace {

using Kind = Key::Kind;
using Style = ScreenLine::Style;

Key letter(char character) {
    return {Kind::kCharacter, character};
}

/// Topics t0, t1, … of which the later are the larger and the earlier the busier.
Report report(std::size_t topics, std::size_t groups) {
    Report report{.span = seconds(1), .wall = Timestamp{1'000'000'000'000}};
    report.nodes.push_back({.id = NodeId{1}, .address = "127.0.0.1:9092", .size_bytes = 1'500'000});
    for (std::size_t i = 0; i < topics; ++i) {
        report.topics.push_back({.name = "t" + std::to_string(i),
                                 .partitions = 1,
                                 .bytes_in = static_cast<double>(topics - i) * 1000,
                                 .size_bytes = static_cast<std::int64_t>(i)});
    }
    for (std::size_t i = 0; i < groups; ++i) {
        report.groups.push_back({.id = "g" + std::to_string(i),
                                 .state = "Stable",
                                 .lag = static_cast<std::int64_t>(i),
                                 .lag_change = -2.5});
    }
    return report;
}

TopView view(std::size_t topics, std::size_t groups) {
    TopView view("here:9092", seconds(2));
    view.take(report(topics, groups));
    return view;
}

/// The first word of each line behind the head of the table that has `title`, up to its end.
std::vector<std::string> names_below(TopView& view, const std::string& title,
                                     std::size_t height = 40) {
    std::vector<std::string> names;
    bool is_inside = false;
    for (const ScreenLine& line : view.lines(100, height)) {
        if (line.style == Style::kHead) {
            is_inside = line.text.find(title) != std::string::npos;
            continue;
        }
        if (line.text.empty() || line.style != Style::kPlain) is_inside = false;
        if (is_inside) names.push_back(line.text.substr(2, line.text.find(' ', 2) - 2));
    }
    return names;
}

bool shows(TopView& view, const std::string& text) {
    return std::ranges::any_of(view.lines(120, 40), [&](const ScreenLine& line) {
        return line.text.find(text) != std::string::npos;
    });
}

using Names = std::vector<std::string>;

TEST_CASE("a screen has no line too many and none too long, whatever its size") {
    TopView full = view(50, 50);
    for (const std::size_t width : {1, 2, 7, 20, 40, 80, 300}) {
        for (const std::size_t height : {1, 2, 3, 5, 8, 24, 200}) {
            CAPTURE(width);
            CAPTURE(height);
            for (const bool shows_help : {false, true}) {
                const auto lines = full.lines(width, height);
                CHECK(lines.size() <= height);
                for (const ScreenLine& line : lines) CHECK(columns_of(line.text) <= width);
                CHECK(full.press(letter(shows_help ? 'x' : '?')));
            }
        }
    }
    CHECK(full.lines(0, 10).empty());
    CHECK(full.lines(10, 0).empty());
}

TEST_CASE("before the first report the screen says that it is looking") {
    TopView empty("here:9092", seconds(1));
    CHECK(shows(empty, "looking"));
    empty.fail("nobody there\x1b[2J");
    CHECK(shows(empty, "! nobody there?[2J"));
    empty.take(report(1, 1));
    CHECK_FALSE(shows(empty, "nobody there"));
    CHECK(shows(empty, "1 node, 1 topic, 1 group  every 1.0 s"));
}

TEST_CASE("topics begin with the busiest, and keys sort by other columns") {
    TopView screen = view(3, 0);
    CHECK(names_below(screen, "topic") == Names{"t0", "t1", "t2"});
    CHECK(screen.press(letter('s')));  // size, the largest first
    CHECK(names_below(screen, "topic") == Names{"t2", "t1", "t0"});
    CHECK(shows(screen, "size\u25bc"));
    CHECK(screen.press(letter('s')));  // again: the smallest first
    CHECK(names_below(screen, "topic") == Names{"t0", "t1", "t2"});
    CHECK(shows(screen, "size\u25b2"));
    CHECK(screen.press({Kind::kRight}));  // around to the name
    CHECK(names_below(screen, "topic") == Names{"t0", "t1", "t2"});
    CHECK(screen.press(letter('r')));
    CHECK(names_below(screen, "topic") == Names{"t2", "t1", "t0"});
    CHECK(screen.press({Kind::kLeft}));
    CHECK(shows(screen, "size\u25bc"));
    // The order holds for what comes.
    screen.take(report(4, 0));
    CHECK(names_below(screen, "topic") == Names{"t3", "t2", "t1", "t0"});
}

TEST_CASE("Tab moves to the next table that has rows, and letters mean its columns") {
    TopView screen = view(2, 2);
    CHECK(screen.press({Kind::kTab}));
    CHECK(names_below(screen, "group") == Names{"g1", "g0"});
    CHECK(screen.press(letter('n')));
    CHECK(names_below(screen, "group") == Names{"g0", "g1"});
    CHECK(shows(screen, "> group"));
    CHECK(screen.press({Kind::kTab}));  // there are no requests: to the nodes
    CHECK(shows(screen, "> node"));
    CHECK(screen.press({Kind::kBackTab}));
    CHECK(shows(screen, "> group"));
}

TEST_CASE("a table that is longer than its place is scrolled, and no further than its end") {
    TopView screen = view(30, 0);
    // Nodes take 1 row and 2 lines; topics 2 lines; the title, sums and the bottom 3.
    const Names first = names_below(screen, "topic", 18);
    CHECK(first.size() == 10);
    CHECK(first.front() == "t0");
    CHECK(screen.press({Kind::kDown}));
    CHECK(names_below(screen, "topic", 18).front() == "t1");
    CHECK(screen.press({Kind::kEnd}));
    CHECK(names_below(screen, "topic", 18).back() == "t29");
    CHECK(screen.press({Kind::kUp}));
    CHECK(names_below(screen, "topic", 18).back() == "t28");
    CHECK(screen.press({Kind::kPageUp}));
    CHECK(names_below(screen, "topic", 18).back() == "t18");
    CHECK(screen.press({Kind::kHome}));
    CHECK(names_below(screen, "topic", 18).front() == "t0");
    // There is room for all of them.
    CHECK(screen.press({Kind::kEnd}));
    CHECK(names_below(screen, "topic", 60).size() == 30);
}

TEST_CASE("rows are shared so that every table shows some") {
    TopView screen = view(100, 100);
    const std::size_t topics = names_below(screen, "topic", 31).size();
    const std::size_t groups = names_below(screen, "group", 31).size();
    CHECK(topics + groups == 21);
    CHECK(topics > groups);  // in focus
    CHECK(groups >= 7);
}

TEST_CASE("while it pauses the screen stays, and goes on with the newest") {
    TopView screen = view(1, 0);
    CHECK(screen.press(letter('p')));
    CHECK(shows(screen, "PAUSED"));
    screen.take(report(2, 0));
    CHECK(names_below(screen, "topic") == Names{"t0"});
    CHECK(screen.press(letter('p')));
    screen.take(report(3, 0));
    CHECK(names_below(screen, "topic").size() == 3);
    CHECK_FALSE(shows(screen, "PAUSED"));
}

TEST_CASE("help shows the keys until one is pressed, and q leaves") {
    TopView screen = view(1, 1);
    CHECK(screen.press(letter('?')));
    CHECK(shows(screen, "sorts by it"));
    CHECK(shows(screen, "s size"));
    CHECK(screen.press({Kind::kEscape}));
    CHECK_FALSE(shows(screen, "sorts by it"));
    CHECK_FALSE(screen.press(letter('q')));
}

TEST_CASE("a cluster that becomes empty leaves the keys something to do") {
    TopView screen = view(3, 3);
    Report nothing;
    screen.take(nothing);
    for (const char key : std::string("nsrjk?x")) CHECK(screen.press(letter(key)));
    for (const Kind kind : {Kind::kTab, Kind::kBackTab, Kind::kLeft, Kind::kEnd, Kind::kPageDown}) {
        CHECK(screen.press({kind}));
    }
    CHECK(shows(screen, "0 nodes, 0 topics, 0 groups"));
}

TEST_CASE("a line is cleared before it is drawn, and styles end with it") {
    const std::string text = screen_text({{"a", Style::kBold}, {"b"}});
    CHECK(text == "\x1b[H\x1b[K\x1b[1ma\x1b[0m\r\n\x1b[Kb\x1b[J");
}

TEST_CASE("a long name gives way to the numbers beside it") {
    Report wide = report(1, 0);
    wide.topics[0].name = std::string(249, 'x');
    TopView screen("here:9092", seconds(1));
    screen.take(wide);
    for (const ScreenLine& line : screen.lines(80, 20)) {
        if (line.text.find("xxx") == std::string::npos) continue;
        CHECK(line.text.find("1.0 kB") != std::string::npos);
    }
}

}  // namespace
}  // namespace dlog::cli
