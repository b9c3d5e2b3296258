/// The real Connection: one non-blocking socket in its core's loop.
#pragma once

#include <coroutine>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "port/net.h"
#include "reactor/loop.h"

namespace dlog::reactor {

/// Owned by one core. Edge-triggered: the socket is in epoll once, for both directions, and a flag
/// for each remembers whether trying is worth a system call. A request that is answered at once
/// costs one recv, one sendmsg and one epoll_wait. Short reads (a frame's length) read on into a
/// borrowed block, from which the next reads are served. File ranges that are in the page cache are
/// sent by the loop; others by the I/O pool, which may wait for the device.
class TcpConnection final : public port::Connection, private Pollable {
  public:
    /// Takes `fd` over; null, with errno, when epoll has no room for it.
    [[nodiscard]] static port::ConnectionPtr adopt(Loop& loop, int fd, std::string peer);
    TcpConnection(int fd, std::string peer);
    ~TcpConnection() override;

    port::Task<port::NetResult<std::size_t>> read(MutableBytes into) override;
    port::Task<port::NetResult<void>> write(std::vector<port::OutPart> parts) override;
    void close() override;
    void leave() override;
    /// Goes on in `loop` after `leave`. False as for `adopt`.
    [[nodiscard]] bool join(Loop& loop);
    [[nodiscard]] const std::string& peer() const override { return peer_; }

  private:
    /// How far a write has come.
    struct Cursor {
        std::size_t part = 0;
        std::uint64_t offset = 0;
    };
    enum class Step : std::uint8_t { kMoved, kWouldBlock, kFailed, kFileFailed };
    struct FileStep {
        Step step = Step::kMoved;
        std::uint64_t sent = 0;
        int error = 0;
    };
    /// Waits until `slot` is resumed: by an event, or by close.
    struct Wait {
        std::coroutine_handle<>& slot;
        [[nodiscard]] bool await_ready() const { return false; }
        void await_suspend(std::coroutine_handle<> self) const { slot = self; }
        void await_resume() const {}
    };

    /// Waits for this connection's turn in the loop's line.
    struct Turn {
        TcpConnection& owner;
        [[nodiscard]] bool await_ready() const { return false; }
        void await_suspend(std::coroutine_handle<> self) const {
            owner.loop_->line().wait(owner.share_, self);
        }
        void await_resume() const {}
    };

    void on_events(std::uint32_t events) override;
    void on_stop() override { close(); }
    /// The result of one recv: bytes, or -1 with errno.
    std::int64_t receive(MutableBytes into);
    std::int64_t receive_ahead(MutableBytes into);
    std::size_t take_ahead(MutableBytes into);
    Step send_buffers(const std::vector<port::OutPart>& parts, Cursor& cursor);
    static FileStep send_file(int fd, const port::FileRange& range, std::uint64_t offset,
                              std::uint64_t wanted);
    port::Task<Step> send_range(const port::FileRange* range, Cursor* cursor);
    void set_cork(bool is_corked) const;
    void close_descriptor();

    Loop* loop_ = nullptr;  // null between two cores
    int fd_;
    bool is_closed_ = false;
    bool is_readable_ = false;
    bool is_writable_ = true;
    bool is_hung_up_ = false;  // the peer has finished or gone: more reading is always worth it
    bool is_reading_ = false;
    bool is_writing_ = false;
    bool is_pool_sending_ = false;
    bool has_seen_writable_ = false;
    int write_errno_ = 0;
    FairLine::Share share_;
    std::coroutine_handle<> reader_;
    std::coroutine_handle<> writer_;
    std::unique_ptr<std::uint8_t[]> ahead_;  // kAheadBytes when it is there
    std::uint16_t ahead_begin_ = 0;
    std::uint16_t ahead_end_ = 0;
    const std::string peer_;
};

}  // namespace dlog::reactor
