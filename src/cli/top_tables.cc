#include "cli/top_tables.h"

#include <algorithm>
#include <cstdint>

#include "cli/bench_support.h"
#include "cli/progress.h"
#include "cli/text.h"

namespace dlog::cli {

namespace {

constexpr const char* kUnknown = "-";

Cell word(std::string_view text) {
    return {printable(text), 0};
}

Cell count(std::size_t number) {
    return {std::to_string(number), static_cast<double>(number)};
}

Cell whole(std::int64_t number) {
    return {std::to_string(number), static_cast<double>(number)};
}

Cell rate(double number) {
    return {decimal(number, 1), number};
}

Cell change(double number) {
    return {(number > 0 ? "+" : "") + decimal(number, 1), number};
}

Cell bytes(std::optional<double> number) {
    if (!number || *number < 0) return {kUnknown, -1};
    return {size_text(static_cast<std::uint64_t>(*number)), *number};
}

Cell size(std::int64_t number) {
    return bytes(static_cast<double>(number));
}

Cell optional_number(std::optional<double> number, int digits) {
    if (!number) return {kUnknown, -1};
    return {decimal(*number, digits), *number};
}

Table node_table(const Report& report) {
    Table table{.name = "nodes",
                .columns = {{"node", 'n', true},
                            {"address", 'a'},
                            {"leads", 'l', true},
                            {"records/s", 'i', true},
                            {"in/s", 'b', true},
                            {"out/s", 'o', true},
                            {"cpu %", 'c', true},
                            {"size", 's', true},
                            {"free", 'f', true}}};
    for (const NodeRow& row : report.nodes) {
        table.rows.push_back({whole(row.id.value), word(row.address), count(row.leads),
                              rate(row.records_in), bytes(row.bytes_in), bytes(row.bytes_out),
                              optional_number(row.cpu_percent, 1), size(row.size_bytes),
                              size(row.free_bytes)});
    }
    return table;
}

Table topic_table(const Report& report) {
    Table table{.name = "topics",
                .columns = {{"topic", 'n'},
                            {"partitions", 'a', true},
                            {"records", 'c', true},
                            {"records/s", 'i', true},
                            {"in/s", 'b', true},
                            {"read/s", 'o', true},
                            {"size", 's', true}}};
    for (const TopicRow& row : report.topics) {
        table.rows.push_back({word(row.name), count(row.partitions), whole(row.records),
                              rate(row.records_in), bytes(row.bytes_in), rate(row.records_out),
                              size(row.size_bytes)});
    }
    return table;
}

Table group_table(const Report& report) {
    Table table{.name = "groups",
                .columns = {{"group", 'n'},
                            {"state", 't'},
                            {"members", 'm', true},
                            {"lag", 'l', true},
                            {"lag/s", 'g', true},
                            {"read/s", 'o', true}}};
    for (const GroupRow& row : report.groups) {
        table.rows.push_back({word(row.id), word(row.state), count(row.members), whole(row.lag),
                              change(row.lag_change), rate(row.records_out)});
    }
    return table;
}

Table request_table(const Report& report) {
    Table table{.name = "requests",
                .columns = {{"request", 'n'},
                            {"requests/s", 'i', true},
                            {"p50 ms", '5', true},
                            {"p99 ms", '9', true}}};
    for (const RequestRow& row : report.requests) {
        table.rows.push_back({word(row.api), rate(row.rate), optional_number(row.p50_ms, 3),
                              optional_number(row.p99_ms, 3)});
    }
    return table;
}

std::string padded(std::string_view text, std::size_t width, bool is_at_right) {
    const std::size_t columns = columns_of(text);
    const std::string blanks(width > columns ? width - columns : 0, ' ');
    return is_at_right ? blanks + std::string(text) : std::string(text) + blanks;
}

}  // namespace

std::vector<Table> tables_of(const Report& report) {
    return {node_table(report), topic_table(report), group_table(report), request_table(report)};
}

std::string plain_text(const std::vector<Table>& tables) {
    std::string out;
    for (const Table& table : tables) {
        if (table.rows.empty()) continue;
        std::vector<std::size_t> widths;
        for (std::size_t i = 0; i < table.columns.size(); ++i) {
            widths.push_back(table.columns[i].title.size());
            for (const auto& row : table.rows) {
                widths[i] = std::max(widths[i], columns_of(row[i].text));
            }
        }
        const auto add_cell = [&](std::size_t i, std::string_view text) {
            const bool is_last = i + 1 == table.columns.size() && !table.columns[i].is_number;
            out += "  " + padded(text, is_last ? 0 : widths[i], table.columns[i].is_number);
        };
        for (std::size_t i = 0; i < widths.size(); ++i) add_cell(i, table.columns[i].title);
        out += '\n';
        for (const auto& row : table.rows) {
            for (std::size_t i = 0; i < widths.size(); ++i) add_cell(i, row[i].text);
            out += '\n';
        }
        out += '\n';
    }
    return out;
}

}  // namespace dlog::cli
