/// `dlog top`: what goes on in a cluster, again and again; on a terminal as a screen with keys.
#pragma once

namespace dlog::cli {

struct Invocation;

int top(const Invocation& invocation);

}  // namespace dlog::cli
