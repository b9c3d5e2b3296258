/// `dlog group …`.
#pragma once

namespace dlog::cli {

struct Invocation;

[[nodiscard]] int group_list(const Invocation& invocation);
[[nodiscard]] int group_describe(const Invocation& invocation);
[[nodiscard]] int group_reset(const Invocation& invocation);
[[nodiscard]] int group_delete(const Invocation& invocation);

}  // namespace dlog::cli
