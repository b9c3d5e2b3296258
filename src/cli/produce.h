/// `dlog produce`.
#pragma once

namespace dlog::cli {

struct Invocation;

[[nodiscard]] int produce(const Invocation& invocation);

}  // namespace dlog::cli
