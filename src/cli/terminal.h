/// The terminal as a screen with keys: its modes while it is used that way, and the signals that
/// concern it.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "base/time.h"

namespace dlog::cli {

struct ScreenSize {
    std::size_t width = 80;
    std::size_t height = 24;
};

/// Belongs to the thread that waits on it; `ring` is for any thread. Made before the process starts
/// threads, so that they all leave the signals to it. One at a time.
class Terminal {
  public:
    /// nullptr when standard output is no terminal that can be drawn on, or there is no keyboard.
    [[nodiscard]] static std::unique_ptr<Terminal> open();
    Terminal(const Terminal&) = delete;
    Terminal& operator=(const Terminal&) = delete;
    /// Leaves, and lets the signals do what they do by themselves.
    ~Terminal();

    /// Another screen than the shell's, keys without Enter, no cursor. It is left again by `leave`,
    /// the destructor, and a process that aborts. What is printed to standard output meanwhile
    /// spoils it.
    void enter();
    void leave();
    [[nodiscard]] ScreenSize size() const;
    void draw(std::string_view text) const;

    struct Wake {
        std::string typed;
        bool rang = false;
        bool needs_drawing = false;  ///< it has another size, or was left and entered again
        bool hung_up = false;        ///< nobody is there any more
        int ended_by = 0;            ///< the signal that asks the process to end
    };
    /// Waits until something happens, at most `limit`. Ctrl-Z stops the process in here, with the
    /// terminal as it was.
    [[nodiscard]] Wake wait(Duration limit);
    /// Any thread: `wait` returns.
    void ring() const;

  private:
    Terminal(int keyboard, int signals, int bell)
        : keyboard_(keyboard), signals_(signals), bell_(bell) {}
    void take_signals(Wake& wake);
    void stop_process();

    const int keyboard_;
    const int signals_;
    const int bell_;
};

/// Ends the process by `signal`, as if it had not been caught.
[[noreturn]] void end_by(int signal);

}  // namespace dlog::cli
