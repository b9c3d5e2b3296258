/// Text that owns its bytes: <string> alone takes longer to compile than all of these headers.
#pragma once

#include <string_view>

namespace dlog {

/// An immutable string. It converts from whatever `std::string_view` is made of, and into it.
class Text {
  public:
    Text() = default;
    template <class Source>
        requires requires(const Source& source, std::string_view view) { view = source; }
    // NOLINTNEXTLINE(google-explicit-constructor): made to convert
    Text(const Source& source) : Text(copy_of(source)) {}
    Text(const Text& other) : Text(copy_of(other.view_)) {}
    Text(Text&& other) noexcept : view_(other.view_) { other.view_ = {}; }
    Text& operator=(Text other) noexcept {
        const std::string_view mine = view_;
        view_ = other.view_;
        other.view_ = mine;
        return *this;
    }
    ~Text();

    [[nodiscard]] std::string_view view() const { return view_; }
    // NOLINTNEXTLINE(google-explicit-constructor): made to convert
    operator std::string_view() const { return view_; }
    /// Ends in a zero byte.
    [[nodiscard]] const char* c_str() const { return view_.data() == nullptr ? "" : view_.data(); }

  private:
    [[nodiscard]] static Text copy_of(std::string_view view);
    std::string_view view_;
};

}  // namespace dlog
