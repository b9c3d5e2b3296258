/// The floor under a broker's Fetch: answers each Fetch version 11 with the next piece of a file
/// for every partition asked for, by sendfile. The file is as large as what a broker would read, so
/// that both wait for the same memory.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "floor/frame_server.h"
#include "load/batches.h"
#include "load/wire.h"

namespace dlog::floor {
namespace {

class FetchFloor final : public Server {
  public:
    /// `file` holds `pieces` times the same `piece_bytes` of batches.
    FetchFloor(int file, std::size_t piece_bytes, std::size_t pieces)
        : file_(file), piece_bytes_(piece_bytes), pieces_(pieces) {}

  private:
    void on_frame(Client& client, std::string_view frame) override {
        load::Reader r(frame);
        if (r.i16() != 1 || r.i16() != 11) {
            errno = EPROTO;
            die("a request that is not Fetch 11");
        }
        const std::int32_t correlation = r.i32();
        r.string();
        r.bytes(4 * 4 + 1 + 4 + 4);
        if (r.i32() != 1) {
            errno = EPROTO;
            die("a fetch of more than one topic");
        }
        const std::string_view topic = r.string();
        const std::int32_t partitions = r.i32();
        load::Writer w;
        w.i32(0).i32(correlation).i32(0).i16(0).i32(0).i32(1).string(topic).i32(partitions);
        std::vector<std::string> heads;
        std::size_t size = 0;
        for (std::int32_t i = 0; i < partitions && r.ok; ++i) {
            w.i32(r.i32()).i16(0).i64(INT64_MAX).i64(INT64_MAX).i64(0).i32(0).i32(-1);
            w.i32(static_cast<std::int32_t>(piece_bytes_));
            r.bytes(4 + 8 + 8 + 4);
            size += w.out.size() + piece_bytes_;
            heads.push_back(std::move(w.out));
            w.out.clear();
        }
        if (!r.ok || heads.empty()) {
            errno = EPROTO;
            die("a fetch request that cannot be read");
        }
        load::store_big(heads.front().data(), static_cast<std::int32_t>(size - 4));
        for (std::string& head : heads) {
            client.answer(std::move(head));
            client.answer_file(file_, next_piece_ * piece_bytes_, piece_bytes_);
            next_piece_ = (next_piece_ + 1) % pieces_;
        }
    }

    const int file_;
    const std::size_t piece_bytes_;
    const std::size_t pieces_;
    std::size_t next_piece_ = 0;
};

}  // namespace
}  // namespace dlog::floor

int main(int argc, char** argv) {
    if (argc < 6) {
        ::puts(
            "floor_fetch PORT FILE FILE_BYTES BYTES RECORD_SIZE\n"
            "writes FILE_BYTES of batches of about 16 KiB, sends BYTES of them for each partition "
            "of "
            "a request");
        return 2;
    }
    const auto file_bytes = static_cast<std::size_t>(::atol(argv[3]));
    const auto wanted = static_cast<std::size_t>(::atol(argv[4]));
    const auto record_bytes = static_cast<std::size_t>(::atol(argv[5]));
    const std::size_t records = std::max<std::size_t>(16384 / (record_bytes + 8), 1);
    std::string piece;
    for (std::uint64_t seed = 0; piece.empty() || piece.size() < wanted; ++seed) {
        piece += dlog::load::encode_batch({.record_bytes = record_bytes, .records = records}, seed);
    }
    const std::size_t pieces = std::max<std::size_t>(file_bytes / piece.size(), 1);
    const int file = ::open(argv[2], O_RDWR | O_CREAT | O_TRUNC, 0644);
    for (std::size_t i = 0; i < pieces; ++i) {
        if (::write(file, piece.data(), piece.size()) != static_cast<ssize_t>(piece.size())) {
            dlog::floor::die(argv[2]);
        }
    }
    dlog::floor::FetchFloor(file, piece.size(), pieces)
        .serve(static_cast<std::uint16_t>(::atoi(argv[1])));
}
