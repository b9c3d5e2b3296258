/// The coordinator of all groups whose records lie in one partition of __consumer_offsets.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <string>

#include "base/bytes.h"
#include "base/time.h"
#include "coordination/group/input.h"
#include "coordination/group/settings.h"

namespace dlog::coordination {

/// For metrics.
struct GroupCounts {
    std::uint64_t groups = 0;
    std::uint64_t members = 0;
    std::uint64_t offsets = 0;
    std::uint64_t rebalances = 0;  ///< Completed since the start.
};

/// Pure: decides, and folds in what it decided at once. When the records of a step could not be
/// written, the driver drops this object with all that waits in it and folds another from the log.
class Coordinator {
  public:
    /// `seed` is for the ids of new members.
    Coordinator(GroupSettings settings, std::uint64_t seed);
    Coordinator(const Coordinator&) = delete;
    Coordinator& operator=(const Coordinator&) = delete;
    ~Coordinator();

    /// Folds one record of the log in, in the log's order. The reason in words when it cannot be
    /// understood; records of kinds that only later versions of Kafka write are passed over.
    [[nodiscard]] std::expected<void, std::string> replay(ByteView key, bool is_tombstone,
                                                          ByteView value);
    /// The log has been folded to its end: sessions begin anew. Comes once, before any step.
    [[nodiscard]] Effects begin(const Now& now);

    [[nodiscard]] Effects step(const Now& now, const Input& input);

    void set_settings(const GroupSettings& settings);
    [[nodiscard]] GroupCounts counts() const;

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace dlog::coordination
