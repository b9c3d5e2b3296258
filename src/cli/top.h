/// `dlog top`: what goes on in a cluster, again and again.
#pragma once

namespace dlog::cli {

struct Invocation;

int top(const Invocation& invocation);

}  // namespace dlog::cli
