/// `dlog bench produce`, `dlog bench consume` and `dlog bench e2e`: load, and how fast it goes.
#pragma once

namespace dlog::cli {

struct Invocation;

int bench_produce(const Invocation& invocation);
int bench_consume(const Invocation& invocation);
int bench_e2e(const Invocation& invocation);

}  // namespace dlog::cli
