#include "cli/key.h"

#include <algorithm>
#include <optional>

namespace dlog::cli {

namespace {

constexpr char kEscapeByte = '\x1b';
/// No sequence that a key sends is longer; what is goes as the noise that it is.
constexpr std::size_t kSequenceMax = 32;

std::optional<Key::Kind> named_by_letter(char final) {
    switch (final) {
        case 'A':
            return Key::Kind::kUp;
        case 'B':
            return Key::Kind::kDown;
        case 'C':
            return Key::Kind::kRight;
        case 'D':
            return Key::Kind::kLeft;
        case 'F':
            return Key::Kind::kEnd;
        case 'H':
            return Key::Kind::kHome;
        case 'Z':
            return Key::Kind::kBackTab;
        default:
            return std::nullopt;
    }
}

std::optional<Key::Kind> named_by_number(std::string_view parameters) {
    if (parameters == "1" || parameters == "7") return Key::Kind::kHome;
    if (parameters == "4" || parameters == "8") return Key::Kind::kEnd;
    if (parameters == "5") return Key::Kind::kPageUp;
    if (parameters == "6") return Key::Kind::kPageDown;
    return std::nullopt;
}

/// The length of the sequence at the start of `bytes`, which begin with an escape; 0 when more of
/// it is to come.
std::size_t sequence_length(std::string_view bytes) {
    if (bytes.size() < 2) return 0;
    if (bytes[1] == 'O') return bytes.size() < 3 ? 0 : 3;
    if (bytes[1] != '[') return 1;
    for (std::size_t i = 2; i < bytes.size(); ++i) {
        if (bytes[i] >= '@' && bytes[i] <= '~') return i + 1;
        if (i >= kSequenceMax) return i + 1;
    }
    return 0;
}

std::optional<Key> key_of_sequence(std::string_view sequence) {
    if (sequence.size() == 1) return Key{Key::Kind::kEscape};
    const char final = sequence.back();
    const auto kind = final == '~' ? named_by_number(sequence.substr(2, sequence.size() - 3))
                                   : named_by_letter(final);
    return kind ? std::optional(Key{*kind}) : std::nullopt;
}

std::optional<Key> key_of_byte(char byte) {
    if (byte == '\t') return Key{Key::Kind::kTab};
    if (byte == '\r' || byte == '\n') return Key{Key::Kind::kEnter};
    if (byte < ' ' || byte > '~') return std::nullopt;
    return Key{Key::Kind::kCharacter, byte};
}

}  // namespace

std::vector<Key> KeyReader::read(std::string_view bytes) {
    rest_ += bytes;
    std::vector<Key> keys;
    std::string_view left = rest_;
    while (!left.empty()) {
        const bool is_sequence = left.front() == kEscapeByte;
        const std::size_t length = is_sequence ? sequence_length(left) : 1;
        if (length == 0) break;
        const auto key =
            is_sequence ? key_of_sequence(left.substr(0, length)) : key_of_byte(left.front());
        if (key) keys.push_back(*key);
        left.remove_prefix(length);
    }
    rest_.erase(0, rest_.size() - left.size());
    return keys;
}

std::vector<Key> KeyReader::give_up() {
    const bool is_escape = rest_.size() == 1;
    rest_.clear();
    return is_escape ? std::vector{Key{Key::Kind::kEscape}} : std::vector<Key>();
}

}  // namespace dlog::cli
