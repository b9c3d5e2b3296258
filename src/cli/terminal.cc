#include "cli/terminal.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdint>
#include <cstdlib>

#include "base/assert.h"
#include "cli/session.h"

namespace dlog::cli {

namespace {

/// The alternate screen (xterm's 1049), no cursor; and back.
constexpr std::string_view kEnter = "\x1b[?1049h\x1b[?25l\x1b[2J";
constexpr std::string_view kLeave = "\x1b[0m\x1b[?25h\x1b[?1049l";
constexpr int kSignals[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGWINCH, SIGTSTP};
constexpr int kCrashes[] = {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL};

/// What a crash needs to put the terminal right. Only one is open at a time.
int entered_keyboard = -1;
termios modes_before{};

sigset_t handled_signals() {
    sigset_t set;
    ::sigemptyset(&set);
    for (const int signal : kSignals) ::sigaddset(&set, signal);
    return set;
}

/// The process crashes: only what may be called from a signal's handler (signal-safety(7)).
void put_right(int signal) {
    static_cast<void>(!::write(STDOUT_FILENO, kLeave.data(), kLeave.size()));
    if (entered_keyboard >= 0) ::tcsetattr(entered_keyboard, TCSANOW, &modes_before);
    ::raise(signal);  // its own action again: the handler is gone
}

void handle_crashes(bool is_on) {
    struct sigaction action{};
    if (is_on) action.sa_handler = put_right;
    action.sa_flags = static_cast<int>(SA_RESETHAND | SA_NODEFER);
    for (const int signal : kCrashes) ::sigaction(signal, &action, nullptr);
}

/// Standard input, or the terminal itself when that is something else.
int open_keyboard() {
    return ::isatty(STDIN_FILENO) != 0 ? ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3)
                                       : ::open("/dev/tty", O_RDWR | O_CLOEXEC);
}

}  // namespace

std::unique_ptr<Terminal> Terminal::open() {
    const char* kind = std::getenv("TERM");
    if (::isatty(STDOUT_FILENO) == 0 || kind == nullptr || *kind == '\0' ||
        std::string_view(kind) == "dumb") {
        return nullptr;
    }
    const int keyboard = open_keyboard();
    if (keyboard < 0) return nullptr;
    const sigset_t set = handled_signals();
    ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
    const int signals = ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    const int bell = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    DLOG_ASSERT(signals >= 0 && bell >= 0, signals, bell, errno);
    return std::unique_ptr<Terminal>(new Terminal(keyboard, signals, bell));
}

Terminal::~Terminal() {
    leave();
    const sigset_t set = handled_signals();
    ::pthread_sigmask(SIG_UNBLOCK, &set, nullptr);
    ::close(keyboard_);
    ::close(signals_);
    ::close(bell_);
}

void Terminal::enter() {
    if (entered_keyboard >= 0 || ::tcgetattr(keyboard_, &modes_before) != 0) return;
    entered_keyboard = keyboard_;
    handle_crashes(true);
    termios modes = modes_before;
    // Ctrl-C and Ctrl-Z stay signals.
    modes.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO);
    modes.c_cc[VMIN] = 0;
    modes.c_cc[VTIME] = 0;
    ::tcsetattr(keyboard_, TCSAFLUSH, &modes);
    draw(kEnter);
}

void Terminal::leave() {
    if (entered_keyboard < 0) return;
    draw(kLeave);
    ::tcsetattr(keyboard_, TCSAFLUSH, &modes_before);
    handle_crashes(false);
    entered_keyboard = -1;
}

ScreenSize Terminal::size() const {
    winsize window{};
    if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &window) != 0 || window.ws_col == 0 ||
        window.ws_row == 0) {
        return {};
    }
    return {.width = window.ws_col, .height = window.ws_row};
}

void Terminal::draw(std::string_view text) const {
    static_cast<void>(write_out(text));
}

/// With the shell's screen and modes until somebody continues it.
void Terminal::stop_process() {
    leave();
    ::raise(SIGSTOP);
    enter();
}

void Terminal::take_signals(Wake& wake) {
    signalfd_siginfo info{};
    while (::read(signals_, &info, sizeof(info)) == static_cast<ssize_t>(sizeof(info))) {
        const auto signal = static_cast<int>(info.ssi_signo);
        if (signal == SIGTSTP) stop_process();
        if (signal == SIGTSTP || signal == SIGWINCH) {
            wake.needs_drawing = true;
        } else {
            wake.ended_by = signal;
        }
    }
}

Terminal::Wake Terminal::wait(Duration limit) {
    Wake wake;
    pollfd waits[] = {{.fd = keyboard_, .events = POLLIN, .revents = 0},
                      {.fd = signals_, .events = POLLIN, .revents = 0},
                      {.fd = bell_, .events = POLLIN, .revents = 0}};
    const auto limit_ms = std::clamp<std::int64_t>(limit.ms(), 0, INT_MAX);
    if (::poll(waits, std::size(waits), static_cast<int>(limit_ms)) <= 0) return wake;
    if (waits[1].revents != 0) take_signals(wake);
    if (waits[2].revents != 0) {
        std::uint64_t count = 0;
        wake.rang = ::read(bell_, &count, sizeof(count)) > 0;
    }
    if (waits[0].revents != 0) {
        char bytes[256];
        const ssize_t count = ::read(keyboard_, bytes, sizeof(bytes));
        if (count > 0) wake.typed.assign(bytes, static_cast<std::size_t>(count));
        const bool is_gone = (waits[0].revents & (POLLHUP | POLLERR)) != 0;
        wake.hung_up = count <= 0 && is_gone;
    }
    return wake;
}

void Terminal::ring() const {
    const std::uint64_t one = 1;
    static_cast<void>(!::write(bell_, &one, sizeof(one)));
}

void end_by(int signal) {
    ::signal(signal, SIG_DFL);
    ::raise(signal);
    ::_exit(128 + signal);
}

}  // namespace dlog::cli
