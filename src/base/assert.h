/// Assertions that stay on in release. They are for programmer's errors and corrupt memory; what
/// the outside world can cause is a `Result`.
#pragma once

#include <concepts>
#include <cstdint>
#include <string_view>
#include <type_traits>

namespace dlog {

/// One printed operand of a failed assertion.
struct AssertOperand {
    enum class Kind : std::uint8_t { kSigned, kUnsigned, kText };
    Kind kind = Kind::kSigned;
    std::int64_t as_signed = 0;
    std::uint64_t as_unsigned = 0;
    std::string_view as_text;
};

template <class T>
[[nodiscard]] constexpr AssertOperand assert_operand(const T& value) {
    if constexpr (std::is_enum_v<T>) {
        return assert_operand(static_cast<std::underlying_type_t<T>>(value));
    } else if constexpr (std::convertible_to<const T&, std::string_view>) {
        return {.kind = AssertOperand::Kind::kText, .as_text = value};
    } else if constexpr (requires { value.value; }) {
        return assert_operand(value.value);
    } else if constexpr (std::is_signed_v<T>) {
        return {.kind = AssertOperand::Kind::kSigned,
                .as_signed = static_cast<std::int64_t>(value)};
    } else {
        return {.kind = AssertOperand::Kind::kUnsigned,
                .as_unsigned = static_cast<std::uint64_t>(value)};
    }
}

[[noreturn]] void assert_failed(const char* file, int line, const char* condition,
                                const char* names, const AssertOperand* operands, unsigned count);

template <class... Values>
[[noreturn, gnu::cold, gnu::noinline]] void assert_failed_with(const char* file, int line,
                                                               const char* condition,
                                                               const char* names,
                                                               const Values&... values) {
    if constexpr (sizeof...(values) == 0) {
        assert_failed(file, line, condition, names, nullptr, 0);
    } else {
        const AssertOperand operands[] = {assert_operand(values)...};
        assert_failed(file, line, condition, names, operands, sizeof...(values));
    }
}

}  // namespace dlog

/// Aborts with the condition and the named values when `condition` is false.
#define DLOG_ASSERT(condition, ...)                                           \
    ((condition) ? static_cast<void>(0)                                       \
                 : ::dlog::assert_failed_with(__FILE__, __LINE__, #condition, \
                                              #__VA_ARGS__ __VA_OPT__(, ) __VA_ARGS__))

/// Marks a place that control cannot reach.
#define DLOG_UNREACHABLE() ::dlog::assert_failed(__FILE__, __LINE__, "unreachable", "", nullptr, 0)
