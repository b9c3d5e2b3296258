#include "cli/record_format.h"

#include "base/assert.h"
#include "base/bytes.h"
#include "base/result.h"
#include "cli/json.h"
#include "record/reader.h"

namespace dlog::cli {

namespace {

constexpr std::string_view kTokens = "tpokvThKV";

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

/// Takes an escape off the front of `text`, which stands behind the backslash.
std::expected<char, std::string> take_escape(std::string_view& text) {
    const char c = text.empty() ? '\0' : text[0];
    if (!text.empty()) text.remove_prefix(1);
    switch (c) {
        case 'n':
            return '\n';
        case 't':
            return '\t';
        case 'r':
            return '\r';
        case '0':
            return '\0';
        case '\\':
            return '\\';
        case 'x': {
            const int high = text.empty() ? -1 : hex_digit(text[0]);
            const int low = text.size() < 2 ? -1 : hex_digit(text[1]);
            if (high < 0 || low < 0) {
                return unexpected<std::string>("--format: \\x needs two hexadecimal digits");
            }
            text.remove_prefix(2);
            return static_cast<char>(high * 16 + low);
        }
        default:
            return unexpected<std::string>(
                "--format: after a backslash come n, t, r, 0, x and two digits, or a backslash");
    }
}

void append_headers(std::string& out, record::RecordHeaders headers) {
    bool is_first = true;
    while (headers.count() > 0) {
        const record::RecordHeader header = headers.next();
        if (!is_first) out += ',';
        is_first = false;
        out += as_text(header.key);
        out += '=';
        if (header.value.has_value()) out += as_text(*header.value);
    }
}

void append_size(std::string& out, const std::optional<ByteView>& bytes) {
    out += bytes.has_value() ? std::to_string(bytes->size()) : "-1";
}

}  // namespace

void RecordFormat::literal(std::string_view text) {
    if (pieces_.empty() || pieces_.back().token != 0) pieces_.emplace_back();
    pieces_.back().text += text;
}

std::expected<RecordFormat, std::string> RecordFormat::parse(std::string_view text) {
    RecordFormat format;
    while (!text.empty()) {
        const char c = text[0];
        text.remove_prefix(1);
        if (c == '\\') {
            DLOG_TRY_ASSIGN(const char escaped, take_escape(text));
            format.literal({&escaped, 1});
        } else if (c != '%') {
            format.literal({&c, 1});
        } else if (text.empty()) {
            return unexpected<std::string>(
                "--format ends in a lone %; write %% for a percent sign");
        } else if (text[0] == '%') {
            format.literal("%");
            text.remove_prefix(1);
        } else if (kTokens.find(text[0]) == std::string_view::npos) {
            return unexpected("--format: %" + std::string(1, text[0]) +
                              " is unknown; known are %t %p %o %k %v %T %h %K %V and %%");
        } else {
            format.pieces_.push_back({.token = text[0]});
            text.remove_prefix(1);
        }
    }
    return format;
}

void RecordFormat::append(std::string& out, std::string_view topic, std::int32_t partition,
                          const record::Record& record) const {
    for (const Piece& piece : pieces_) {
        switch (piece.token) {
            case 0:
                out += piece.text;
                break;
            case 't':
                out += topic;
                break;
            case 'p':
                out += std::to_string(partition);
                break;
            case 'o':
                out += std::to_string(record.offset.value);
                break;
            case 'k':
                if (record.key.has_value()) out += as_text(*record.key);
                break;
            case 'v':
                if (record.value.has_value()) out += as_text(*record.value);
                break;
            case 'T':
                out += std::to_string(record.timestamp.ms);
                break;
            case 'h':
                append_headers(out, record.headers);
                break;
            case 'K':
                append_size(out, record.key);
                break;
            case 'V':
                append_size(out, record.value);
                break;
            default:
                DLOG_UNREACHABLE();
        }
    }
}

std::string headers_json(const record::Record& record) {
    std::vector<std::string> values;
    record::RecordHeaders headers = record.headers;
    while (headers.count() > 0) {
        const record::RecordHeader header = headers.next();
        values.push_back(
            json_object({{"name", json_bytes(header.key)}, {"value", json_bytes(header.value)}}));
    }
    return json_array(values);
}

std::string record_json(std::string_view topic, std::int32_t partition,
                        const record::Record& record) {
    return json_object({{"topic", json_string(topic)},
                        {"partition", std::to_string(partition)},
                        {"offset", std::to_string(record.offset.value)},
                        {"timestamp_ms", std::to_string(record.timestamp.ms)},
                        {"key", json_bytes(record.key)},
                        {"value", json_bytes(record.value)},
                        {"headers", headers_json(record)}});
}

}  // namespace dlog::cli
