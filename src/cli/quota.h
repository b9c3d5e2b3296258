/// `dlog quota`: what clients may use.
#pragma once

namespace dlog::cli {

struct Invocation;

int quota_list(const Invocation& invocation);
int quota_set(const Invocation& invocation);
int quota_delete(const Invocation& invocation);

}  // namespace dlog::cli
