#include "cli/json.h"

#include <cstdint>
#include <cstdio>

#include "cli/text.h"

namespace dlog::cli {

std::string json_string(std::string_view text) {
    const bool is_clean = is_utf8(text);
    std::string out = "\"";
    for (const char c : text) {
        if (c == '"' || c == '\\') {
            out += '\\';
            out += c;
        } else if (static_cast<unsigned char>(c) < 0x20) {
            char escape[8];
            std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(c));
            out += escape;
        } else if (!is_clean && static_cast<unsigned char>(c) >= 0x80) {
            out += "\\ufffd";
        } else {
            out += c;
        }
    }
    return out + '"';
}

std::string json_bytes(const std::optional<ByteView>& bytes) {
    if (!bytes) return "null";
    const std::string_view text = as_text(*bytes);
    if (is_utf8(text)) return json_string(text);
    static constexpr char kHex[] = "0123456789abcdef";
    std::string hex;
    for (const std::uint8_t byte : *bytes) {
        hex += kHex[byte >> 4];
        hex += kHex[byte & 15];
    }
    return json_object({{"hex", json_string(hex)}});
}

std::string json_bool(bool value) {
    return value ? "true" : "false";
}

std::string json_array(const std::vector<std::string>& values) {
    std::string out = "[";
    for (const std::string& value : values) {
        if (out.size() > 1) out += ',';
        out += value;
    }
    return out + ']';
}

std::string json_object(std::initializer_list<std::pair<std::string_view, std::string>> members) {
    std::string out = "{";
    for (const auto& [name, value] : members) {
        if (out.size() > 1) out += ',';
        out += json_string(name) + ':' + value;
    }
    return out + '}';
}

}  // namespace dlog::cli
