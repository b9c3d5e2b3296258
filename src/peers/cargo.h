/// What a link to another node carries.
#pragma once

#include <cstdint>
#include <vector>

#include "peers/frame_stream.h"
#include "port/net.h"

namespace dlog::peers {

/// One for each purpose of a connection. Lives on its link's core.
class Cargo {
  public:
    virtual ~Cargo() = default;
    [[nodiscard]] virtual bool is_empty() const = 0;
    struct Load {
        std::vector<port::OutPart> parts;
        std::uint64_t frames = 0;
    };
    /// What goes out next, while it is not empty. It may turn out to be nothing.
    [[nodiscard]] virtual Load take() = 0;
    /// The connection broke, or could not be made: what waits is dropped, what was taken may be
    /// lost.
    virtual void drop() = 0;
    /// The same, for good.
    virtual void stop() = 0;
    /// The other side sent this. False when it had no business to.
    [[nodiscard]] virtual bool came(Frame frame) = 0;
};

}  // namespace dlog::peers
