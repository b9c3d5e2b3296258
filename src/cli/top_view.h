/// What stands on the screen of `dlog top`: its tables, how they are sorted, what keys do. Pure: a
/// size goes in and lines come out.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "cli/key.h"
#include "cli/top_tables.h"

namespace dlog::cli {

struct ScreenLine {
    enum class Style { kPlain, kBold, kHead, kDim };
    std::string text;  ///< printable, no longer than the screen is wide
    Style style = Style::kPlain;
};

/// Lines as the control sequences (ECMA-48) that draw them over what was there.
[[nodiscard]] std::string screen_text(const std::vector<ScreenLine>& lines);

class TopView {
  public:
    /// `place` is where the cluster was found.
    TopView(std::string place, Duration interval);

    /// Shows the report, unless it pauses.
    void take(Report report);
    /// Shows why there is no new report, below the last.
    void fail(std::string_view why);
    /// False when this key means to leave.
    [[nodiscard]] bool press(const Key& key);

    /// At most `height` lines of at most `width` columns. No table stays scrolled beyond its end.
    [[nodiscard]] std::vector<ScreenLine> lines(std::size_t width, std::size_t height);

  private:
    static constexpr std::size_t kTables = 4;

    /// How one table is looked at.
    struct Stance {
        std::size_t column = 0;
        bool is_descending = false;
        std::size_t first_row = 0;
    };

    [[nodiscard]] bool press_character(char character);
    void choose_column(std::size_t column);
    void move_focus(std::size_t step);
    void scroll(std::ptrdiff_t rows);
    void sort(std::size_t table);
    [[nodiscard]] std::string title() const;
    [[nodiscard]] std::string sums() const;
    [[nodiscard]] ScreenLine bottom() const;
    [[nodiscard]] std::vector<ScreenLine> help() const;
    [[nodiscard]] std::array<std::size_t, kTables> shared_rows(std::size_t height) const;
    void add_table(std::vector<ScreenLine>& lines, std::size_t index, std::size_t rows,
                   std::size_t width);

    const std::string place_;
    const Duration interval_;
    Report report_;
    std::vector<Table> tables_;
    std::array<Stance, kTables> stances_;
    std::size_t focus_ = 1;
    bool has_report_ = false;
    bool is_paused_ = false;
    bool shows_help_ = false;
    std::string failure_;
};

}  // namespace dlog::cli
