/// `dlog config …`.
#pragma once

namespace dlog::cli {

struct Invocation;

[[nodiscard]] int config_get(const Invocation& invocation);
[[nodiscard]] int config_set(const Invocation& invocation);

}  // namespace dlog::cli
