/// `dlog topic …`.
#pragma once

namespace dlog::cli {

struct Invocation;

[[nodiscard]] int topic_create(const Invocation& invocation);
[[nodiscard]] int topic_list(const Invocation& invocation);
[[nodiscard]] int topic_describe(const Invocation& invocation);
[[nodiscard]] int topic_alter(const Invocation& invocation);
[[nodiscard]] int topic_delete(const Invocation& invocation);

}  // namespace dlog::cli
