#include "cli/top_view.h"

#include <algorithm>
#include <compare>
#include <utility>

#include "base/assert.h"
#include "cli/bench_support.h"
#include "cli/progress.h"
#include "cli/start_point.h"
#include "cli/text.h"

namespace dlog::cli {

namespace {

using Style = ScreenLine::Style;

constexpr std::size_t kHeadLines = 2;
/// A table's head, and the blank line before it.
constexpr std::size_t kTableLines = 2;
constexpr std::size_t kPage = 10;
constexpr std::size_t kNameColumnsMin = 8;
constexpr std::string_view kGap = "  ";
constexpr std::string_view kDescending = "\u25bc";
constexpr std::string_view kAscending = "\u25b2";

std::string_view style_text(Style style) {
    switch (style) {
        case Style::kPlain:
            return {};
        case Style::kBold:
            return "\x1b[1m";
        case Style::kHead:
            return "\x1b[7m";
        case Style::kDim:
            return "\x1b[2m";
    }
    return {};
}

std::string padded(std::string_view text, std::size_t width, bool is_at_right) {
    std::string cell = clipped(text, width);
    const std::string blanks(width - columns_of(cell), ' ');
    return is_at_right ? blanks + cell : cell + blanks;
}

/// How wide each column is. The first one with words gives way when they do not fit.
std::vector<std::size_t> column_widths(const Table& table, std::size_t width) {
    std::vector<std::size_t> widths;
    std::size_t all = 0;
    for (std::size_t i = 0; i < table.columns.size(); ++i) {
        std::size_t widest = table.columns[i].title.size() + 1;  // and the mark of the sorted one
        for (const auto& row : table.rows) widest = std::max(widest, columns_of(row[i].text));
        widths.push_back(widest);
        all += kGap.size() + widest;
    }
    const auto words = std::ranges::find(table.columns, false, &Column::is_number);
    if (words != table.columns.end() && all > width) {
        std::size_t& name = widths[static_cast<std::size_t>(words - table.columns.begin())];
        const std::size_t least = std::min(name, kNameColumnsMin);
        name = std::max(least, name - std::min(name, all - width));
    }
    return widths;
}

std::string plural(std::size_t count, const std::string& what) {
    return std::to_string(count) + ' ' + what + (count == 1 ? "" : "s");
}

std::string speed_text(double bytes_per_second) {
    return size_text(static_cast<std::uint64_t>(std::max(bytes_per_second, 0.0))) + "/s";
}

}  // namespace

std::string screen_text(const std::vector<ScreenLine>& lines) {
    std::string out = "\x1b[H";
    for (std::size_t i = 0; i < lines.size(); ++i) {
        if (i > 0) out += "\r\n";
        // The line is cleared first: behind its last column the cursor would stand on it.
        out += "\x1b[K";
        out += style_text(lines[i].style);
        out += lines[i].text;
        if (lines[i].style != Style::kPlain) out += "\x1b[0m";
    }
    return out + "\x1b[J";
}

TopView::TopView(std::string place, Duration interval)
    : place_(printable(place)), interval_(interval) {
    tables_ = tables_of({});
    DLOG_ASSERT(tables_.size() == kTables, tables_.size());
    // Nodes by their numbers; topics by what comes in, groups by lag, requests by rate.
    stances_ = {Stance{}, Stance{4, true}, Stance{3, true}, Stance{1, true}};
}

void TopView::take(Report report) {
    failure_.clear();
    if (is_paused_) return;
    has_report_ = true;
    tables_ = tables_of(report);
    report_ = std::move(report);
    for (std::size_t i = 0; i < kTables; ++i) sort(i);
    if (tables_[focus_].rows.empty()) move_focus(1);
}

void TopView::fail(std::string_view why) {
    failure_ = printable(why);
}

/// Rows that are equal there stand in the order of their names.
void TopView::sort(std::size_t table) {
    const Stance& stance = stances_[table];
    const std::vector<Column>& columns = tables_[table].columns;
    const auto words = std::ranges::find(columns, false, &Column::is_number);
    const auto name = static_cast<std::size_t>(words - columns.begin());
    const auto order = [&](const std::vector<Cell>& a, const std::vector<Cell>& b) {
        const Cell& first = a[stance.column];
        const Cell& second = b[stance.column];
        return columns[stance.column].is_number
                   ? std::partial_ordering(first.number <=> second.number)
                   : std::partial_ordering(first.text <=> second.text);
    };
    const auto is_before = [&](const std::vector<Cell>& a, const std::vector<Cell>& b) {
        const std::partial_ordering ordered = order(a, b);
        if (ordered == 0) return a[name].text < b[name].text;
        return stance.is_descending ? ordered > 0 : ordered < 0;
    };
    std::ranges::sort(tables_[table].rows, is_before);
}

bool TopView::press(const Key& key) {
    if (shows_help_) {
        shows_help_ = false;
        return key != Key{Key::Kind::kCharacter, 'q'};
    }
    Stance& stance = stances_[focus_];
    const std::size_t columns = tables_[focus_].columns.size();
    switch (key.kind) {
        case Key::Kind::kCharacter:
            return press_character(key.character);
        case Key::Kind::kLeft:
            choose_column((stance.column + columns - 1) % columns);
            break;
        case Key::Kind::kRight:
            choose_column((stance.column + 1) % columns);
            break;
        case Key::Kind::kUp:
            scroll(-1);
            break;
        case Key::Kind::kDown:
            scroll(1);
            break;
        case Key::Kind::kPageUp:
            scroll(-std::ptrdiff_t{kPage});
            break;
        case Key::Kind::kPageDown:
            scroll(kPage);
            break;
        case Key::Kind::kHome:
            stance.first_row = 0;
            break;
        case Key::Kind::kEnd:
            stance.first_row = tables_[focus_].rows.size();
            break;
        case Key::Kind::kTab:
            move_focus(1);
            break;
        case Key::Kind::kBackTab:
            move_focus(kTables - 1);
            break;
        case Key::Kind::kEnter:
        case Key::Kind::kEscape:
            break;
    }
    return true;
}

bool TopView::press_character(char character) {
    Stance& stance = stances_[focus_];
    switch (character) {
        case 'q':
            return false;
        case '?':
        case 'h':
            shows_help_ = true;
            return true;
        case 'p':
        case ' ':
            is_paused_ = !is_paused_;
            return true;
        case 'r':
            stance.is_descending = !stance.is_descending;
            sort(focus_);
            return true;
        case 'j':
            scroll(1);
            return true;
        case 'k':
            scroll(-1);
            return true;
        default:
            break;
    }
    const std::vector<Column>& columns = tables_[focus_].columns;
    const auto found = std::ranges::find(columns, character, &Column::letter);
    if (found != columns.end()) choose_column(static_cast<std::size_t>(found - columns.begin()));
    return true;
}

/// The same column again: the other way round.
void TopView::choose_column(std::size_t column) {
    Stance& stance = stances_[focus_];
    const bool is_same = stance.column == column;
    stance.is_descending =
        is_same ? !stance.is_descending : tables_[focus_].columns[column].is_number;
    stance.column = column;
    stance.first_row = 0;
    sort(focus_);
}

/// To the next table that has rows.
void TopView::move_focus(std::size_t step) {
    for (std::size_t i = 0; i < kTables; ++i) {
        focus_ = (focus_ + step) % kTables;
        if (!tables_[focus_].rows.empty()) return;
    }
}

void TopView::scroll(std::ptrdiff_t rows) {
    std::size_t& first = stances_[focus_].first_row;
    const auto last = static_cast<std::ptrdiff_t>(tables_[focus_].rows.size());
    const auto wanted =
        std::clamp<std::ptrdiff_t>(static_cast<std::ptrdiff_t>(first) + rows, 0, last);
    first = static_cast<std::size_t>(wanted);
}

std::string TopView::title() const {
    std::string text = "dlog top  " + place_;
    if (!has_report_) return text + "  looking";
    const std::string time = format_time(report_.wall.ms);
    text += "  " + time + "  " + plural(report_.nodes.size(), "node") + ", " +
            plural(report_.topics.size(), "topic") + ", " + plural(report_.groups.size(), "group") +
            "  every " + decimal(interval_.seconds(), 1) + " s";
    return is_paused_ ? text + "  PAUSED" : text;
}

std::string TopView::sums() const {
    double records_in = 0;
    double records_out = 0;
    double grown = 0;
    double bytes_in = 0;
    double bytes_out = 0;
    std::int64_t size = 0;
    for (const TopicRow& topic : report_.topics) {
        records_in += topic.records_in;
        records_out += topic.records_out;
        grown += topic.bytes_in;
    }
    for (const NodeRow& node : report_.nodes) {
        bytes_in += node.bytes_in.value_or(0);
        bytes_out += node.bytes_out.value_or(0);
        size += std::max<std::int64_t>(node.size_bytes, 0);
    }
    std::string text = "in " + decimal(records_in, 1) + " records/s, " +
                       speed_text(report_.has_metrics ? bytes_in : grown) + "   out ";
    if (report_.has_metrics) text += speed_text(bytes_out) + ", ";
    text += decimal(records_out, 1) + " records/s by groups   on disk ";
    return text + size_text(static_cast<std::uint64_t>(size));
}

ScreenLine TopView::bottom() const {
    if (!failure_.empty()) return {"! " + failure_, Style::kBold};
    if (!report_.complaints.empty()) {
        return {"! " + printable(report_.complaints.front()), Style::kBold};
    }
    return {
        "q quit  ? help  p pause  Tab table  \u2190\u2192 sort by  r reverse  \u2191\u2193 scroll",
        Style::kDim};
}

std::vector<ScreenLine> TopView::help() const {
    std::vector<ScreenLine> lines = {
        {"dlog top: keys", Style::kBold},
        {},
        {"  q, Ctrl-C      leave"},
        {"  p, blank       pause, and go on"},
        {"  Tab            the next table; Shift-Tab: the one before"},
        {"  \u2190 \u2192            sort by the column to the left or right"},
        {"  r              the other way round"},
        {"  \u2191 \u2193, k j       scroll; Page Up, Page Down, Home and End too"},
        {},
        {"  A column's letter sorts by it, and again the other way round:"},
    };
    for (const Table& table : tables_) {
        std::string text = "  " + padded(table.name, 10, false);
        for (const Column& column : table.columns) {
            text += std::string("  ") + column.letter + ' ' + std::string(column.title);
        }
        lines.push_back({std::move(text)});
    }
    lines.push_back({});
    lines.push_back({"  Any key goes back."});
    return lines;
}

/// How many rows of each table there is room for: every table gets one after the other in turn, the
/// one in focus two.
std::array<std::size_t, TopView::kTables> TopView::shared_rows(std::size_t height) const {
    std::array<std::size_t, kTables> rows{};
    std::size_t taken = kHeadLines + 1;
    for (const Table& table : tables_) taken += table.rows.empty() ? 0 : kTableLines;
    std::size_t left = height > taken ? height - taken : 0;
    for (bool is_full = false; left > 0 && !is_full;) {
        is_full = true;
        for (std::size_t i = 0; i < kTables; ++i) {
            const std::size_t wanted = tables_[i].rows.size() - rows[i];
            const std::size_t given = std::min({wanted, left, std::size_t{i == focus_ ? 2U : 1U}});
            rows[i] += given;
            left -= given;
            is_full = is_full && given == 0;
        }
    }
    return rows;
}

void TopView::add_table(std::vector<ScreenLine>& lines, std::size_t index, std::size_t rows,
                        std::size_t width) {
    const Table& table = tables_[index];
    Stance& stance = stances_[index];
    const std::vector<std::size_t> widths = column_widths(table, width);
    std::string head;
    for (std::size_t i = 0; i < widths.size(); ++i) {
        std::string title(table.columns[i].title);
        if (i == stance.column) title += stance.is_descending ? kDescending : kAscending;
        head += (i == 0 && index == focus_ ? "> " : std::string(kGap)) +
                padded(title, widths[i], table.columns[i].is_number);
    }
    lines.push_back({});
    lines.push_back({padded(head, width, false), Style::kHead});
    stance.first_row = std::min(stance.first_row, table.rows.size() - rows);
    for (std::size_t row = stance.first_row; row < stance.first_row + rows; ++row) {
        std::string text;
        for (std::size_t i = 0; i < widths.size(); ++i) {
            text += std::string(kGap) +
                    padded(table.rows[row][i].text, widths[i], table.columns[i].is_number);
        }
        lines.push_back({std::move(text)});
    }
}

std::vector<ScreenLine> TopView::lines(std::size_t width, std::size_t height) {
    if (width == 0 || height == 0) return {};
    std::vector<ScreenLine> lines;
    if (shows_help_) {
        lines = help();
    } else {
        lines = {{title(), Style::kBold}, {has_report_ ? sums() : ""}};
        const std::array<std::size_t, kTables> rows = shared_rows(height);
        for (std::size_t i = 0; i < kTables; ++i) {
            if (!tables_[i].rows.empty()) add_table(lines, i, rows[i], width);
        }
        lines.resize(std::max(lines.size(), height - 1));
    }
    lines.resize(std::min(lines.size(), shows_help_ ? height : height - 1));
    if (!shows_help_) lines.push_back(bottom());
    for (ScreenLine& line : lines) line.text = clipped(line.text, width);
    return lines;
}

}  // namespace dlog::cli
