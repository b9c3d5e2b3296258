/// Expected failures. Each room has a closed error enum `Error` of its own and an alias
/// `template <class T> using Result = std::expected<T, Error>`; a room converts its callees' errors
/// at its edge.
#pragma once

#include <expected>
#include <utility>

namespace dlog {

using std::unexpected;

}  // namespace dlog

#define DLOG_CONCAT_(a, b) a##b
#define DLOG_CONCAT(a, b) DLOG_CONCAT_(a, b)

/// `DLOG_TRY(expr)`: returns expr's error from this function when it failed.
#define DLOG_TRY(expression)                                          \
    do {                                                              \
        if (auto try_result = (expression); !try_result) [[unlikely]] \
            return ::std::unexpected(std::move(try_result).error());  \
    } while (false)

/// `DLOG_TRY_ASSIGN(auto x, expr)`: declares x from expr's value, or returns expr's error.
#define DLOG_TRY_ASSIGN(declaration, expression) \
    DLOG_TRY_ASSIGN_(DLOG_CONCAT(try_assign_, __LINE__), declaration, expression)
#define DLOG_TRY_ASSIGN_(name, declaration, expression)    \
    auto name = (expression);                              \
    if (!name) [[unlikely]]                                \
        return ::std::unexpected(std::move(name).error()); \
    declaration = *std::move(name)

/// The same two inside a coroutine.
#define DLOG_CO_TRY(expression)                                         \
    do {                                                                \
        if (auto try_result = (expression); !try_result) [[unlikely]]   \
            co_return ::std::unexpected(std::move(try_result).error()); \
    } while (false)
#define DLOG_CO_TRY_ASSIGN(declaration, expression) \
    DLOG_CO_TRY_ASSIGN_(DLOG_CONCAT(try_assign_, __LINE__), declaration, expression)
#define DLOG_CO_TRY_ASSIGN_(name, declaration, expression)    \
    auto name = (expression);                                 \
    if (!name) [[unlikely]]                                   \
        co_return ::std::unexpected(std::move(name).error()); \
    declaration = *std::move(name)
