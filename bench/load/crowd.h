/// Many connections to a broker in one thread, with little memory and CPU for each.
#pragma once

#include <netinet/in.h>

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace dlog::load {

struct CrowdOptions {
    std::string host, port;
    int connections = 1;
    int sources = 1;  ///< Addresses 127.0.0.1, 127.0.0.2, … that connections come from in turn.
};

/// Connections are known by their number. Frames that come are given to `on_frame` without their
/// length; it may send, and may not open or close.
class Crowd {
  public:
    using OnFrame = std::function<void(int client, std::string_view frame)>;

    Crowd(const CrowdOptions& options, OnFrame on_frame);
    ~Crowd();
    Crowd(const Crowd&) = delete;
    Crowd& operator=(const Crowd&) = delete;

    /// Opens all connections, some hundreds at a time.
    void open();
    /// Sends whole frames, their lengths included. What the socket does not take goes out later.
    void send(int client, std::string_view frames);
    /// Waits for frames, and for lines of standard input when `with_input`, until the deadline at
    /// most. True when standard input has something.
    bool wait(std::int64_t deadline_ns, bool with_input = false);

    [[nodiscard]] int size() const { return static_cast<int>(clients_.size()); }
    [[nodiscard]] int closed() const { return closed_; }

  private:
    struct Client {
        int fd = -1;
        std::string partial;  ///< The beginning of a frame.
        std::string unsent;
    };

    void connect_one(int number);
    void receive(int number);
    void take_frames(int number, std::string_view bytes);
    void flush(Client& client);
    void watch(int number, std::uint32_t events, bool is_new);
    void lose(Client& client);

    const CrowdOptions options_;
    const OnFrame on_frame_;
    const int epoll_fd_;
    sockaddr_in broker_{};
    std::vector<Client> clients_;
    std::string block_;
    int closed_ = 0;
    int connecting_ = 0;
    int receiving_ = -1;
    bool is_watching_input_ = false;
};

}  // namespace dlog::load
