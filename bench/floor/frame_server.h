/// A bare single-threaded epoll server of length-prefixed frames: the least that any broker must
/// do.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace dlog::floor {

/// One client.
class Client {
  public:
    explicit Client(int client_fd) : fd(client_fd), in(std::size_t{1} << 20, '\0') {}
    ~Client();
    Client(const Client&) = delete;
    Client& operator=(const Client&) = delete;

    /// Queues bytes, which are copied.
    void answer(std::string bytes);
    /// Queues `size` bytes of a file for sendfile.
    void answer_file(int file, std::uint64_t position, std::size_t size);

    const int fd;

  private:
    friend class Server;
    struct Piece {
        std::string bytes;
        int file = -1;
        std::uint64_t position = 0;
        std::size_t size = 0;
    };
    [[nodiscard]] bool flush();

    std::string in;
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
    std::deque<Piece> out_;
    std::size_t sent_ = 0;  // of the first piece
};

class Server {
  public:
    virtual ~Server() = default;
    /// Listens on 127.0.0.1 and serves until the process is killed. Prints one line when it is
    /// ready.
    void serve(std::uint16_t port);

  protected:
    /// A frame without its length. What it answers is sent after `end_round`.
    virtual void on_frame(Client& client, std::string_view frame) = 0;
    /// Everything that had come was handled.
    virtual void end_round() {}

  private:
    [[nodiscard]] bool receive(Client& client);
};

[[noreturn]] void die(const char* what);

}  // namespace dlog::floor
