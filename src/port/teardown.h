/// Destroying suspended coroutines. A simulated crash, or a test that gives up, destroys a node's
/// coroutine frames where they stand; this is what keeps their destructors from waking each other
/// meanwhile.
#pragma once

namespace dlog::port {

namespace detail {
inline constinit thread_local bool is_tearing_down = false;
}  // namespace detail

/// While one lives, nothing on this thread resumes a coroutine: notifications are dropped, and
/// objects that would assert that nobody waits for them let go of their waiters instead.
class Teardown {
  public:
    Teardown() : was_under_way_(detail::is_tearing_down) { detail::is_tearing_down = true; }
    Teardown(const Teardown&) = delete;
    Teardown& operator=(const Teardown&) = delete;
    ~Teardown() { detail::is_tearing_down = was_under_way_; }

    /// Asked by whatever resumes a coroutine from a destructor.
    [[nodiscard]] static bool is_under_way() { return detail::is_tearing_down; }

  private:
    bool was_under_way_;
};

}  // namespace dlog::port
