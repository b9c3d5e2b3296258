/// How `dlog consume` prints a record: text with %-tokens, as kcat has them.
#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

namespace dlog::record {
struct Record;
}

namespace dlog::cli {

/// A parsed --format.
class RecordFormat {
  public:
    /// The error names the token that is unknown and lists those that are known.
    [[nodiscard]] static std::expected<RecordFormat, std::string> parse(std::string_view text);

    /// Appends the record to `out`. A missing key or value prints as nothing, its size as -1.
    void append(std::string& out, std::string_view topic, std::int32_t partition,
                const record::Record& record) const;

  private:
    /// A token's letter, or 0 for the literal text.
    struct Piece {
        char token = 0;
        std::string text;
    };
    void literal(std::string_view text);
    std::vector<Piece> pieces_;
};

/// The headers as a JSON array of objects with name and value: there may be several of a name.
[[nodiscard]] std::string headers_json(const record::Record& record);
/// A consumed record as one JSON object.
[[nodiscard]] std::string record_json(std::string_view topic, std::int32_t partition,
                                      const record::Record& record);

}  // namespace dlog::cli
