/// `dlog consume`.
#pragma once

namespace dlog::cli {

struct Invocation;

[[nodiscard]] int consume(const Invocation& invocation);

}  // namespace dlog::cli
