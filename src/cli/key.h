/// The keys of a terminal, from the bytes that it sends for them.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace dlog::cli {

struct Key {
    enum class Kind : std::uint8_t {
        kCharacter,
        kUp,
        kDown,
        kLeft,
        kRight,
        kPageUp,
        kPageDown,
        kHome,
        kEnd,
        kTab,
        kBackTab,
        kEnter,
        kEscape,
    };
    Kind kind = Kind::kCharacter;
    char character = 0;  ///< printable ASCII, of kCharacter only

    bool operator==(const Key&) const = default;
};

/// ECMA-48 control sequences as xterm and its like send them. What it does not know it skips.
class KeyReader {
  public:
    /// The keys that are whole; the beginning of one waits for its rest.
    [[nodiscard]] std::vector<Key> read(std::string_view bytes);
    /// Whether an escape waits for what may follow it.
    [[nodiscard]] bool is_waiting() const { return !rest_.empty(); }
    /// Nothing followed for a while: an escape alone is the key of that name.
    [[nodiscard]] std::vector<Key> give_up();

  private:
    std::string rest_;
};

}  // namespace dlog::cli
