#include "base/assert.h"

#include <cstdio>
#include <cstdlib>

namespace dlog {

void assert_failed(const char* file, int line, const char* condition, const char* names,
                   const AssertOperand* operands, unsigned count) {
    std::fprintf(stderr, "assertion failed: %s\n  at %s:%d\n", condition, file, line);
    if (count > 0) std::fprintf(stderr, "  %s =", names);
    for (unsigned i = 0; i < count; ++i) {
        const AssertOperand& operand = operands[i];
        switch (operand.kind) {
            case AssertOperand::Kind::kSigned:
                std::fprintf(stderr, " %lld", static_cast<long long>(operand.as_signed));
                break;
            case AssertOperand::Kind::kUnsigned:
                std::fprintf(stderr, " %llu", static_cast<unsigned long long>(operand.as_unsigned));
                break;
            case AssertOperand::Kind::kText:
                std::fprintf(stderr, " \"%.*s\"", static_cast<int>(operand.as_text.size()),
                             operand.as_text.data());
                break;
        }
    }
    if (count > 0) std::fputc('\n', stderr);
    std::fflush(stderr);
    std::abort();
}

}  // namespace dlog
