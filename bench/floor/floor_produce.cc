/// The floor under a broker's Produce: receives the frames of Produce version 9, checks each
/// batch's CRC, appends its bytes to a file and answers. With --sync one fdatasync for all that
/// came at once.
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

class ProduceFloor final : public Server {
  public:
    ProduceFloor(int file, bool is_synced) : file_(file), is_synced_(is_synced) {}

  private:
    void on_frame(Client& client, std::string_view frame) override {
        load::Reader r(frame);
        if (r.i16() != 0 || r.i16() != 9) {
            errno = EPROTO;
            die("a request that is not Produce 9");
        }
        const std::int32_t correlation = r.i32();
        r.string();
        r.tags();
        r.compact_string();
        const std::int16_t acks = r.i16();
        r.i32();
        load::Writer w;
        w.i32(0).i32(correlation).i8(0);
        const std::uint64_t topics = r.unsigned_varint();
        w.unsigned_varint(topics);
        for (std::uint64_t t = 1; t < topics && r.ok; ++t) {
            w.compact_string(r.compact_string());
            const std::uint64_t partitions = r.unsigned_varint();
            w.unsigned_varint(partitions);
            for (std::uint64_t p = 1; p < partitions && r.ok; ++p) {
                w.i32(r.i32());
                const std::string_view batch = r.compact_string();
                r.tags();
                append(batch);
                w.i16(0).i64(position_).i64(-1).i64(0).unsigned_varint(1).unsigned_varint(0).i8(0);
            }
            r.tags();
            w.i8(0);
        }
        w.i32(0).i8(0);
        if (!r.ok) {
            errno = EPROTO;
            die("a produce request that cannot be read");
        }
        load::store_big(w.out.data(), static_cast<std::int32_t>(w.out.size() - 4));
        if (acks != 0) client.answer(std::move(w.out));
    }

    void append(std::string_view batch) {
        const auto* const bytes = reinterpret_cast<const std::uint8_t*>(batch.data());
        if (batch.size() < load::kBatchHeaderBytes ||
            load::crc32c(bytes + load::kCrcFrom, batch.size() - load::kCrcFrom) !=
                load::load_big<std::uint32_t>(batch.data() + load::kCrcAt)) {
            errno = EBADMSG;
            die("a batch with a wrong CRC");
        }
        const ssize_t written = ::pwrite(file_, batch.data(), batch.size(), position_);
        if (written != static_cast<ssize_t>(batch.size())) die("pwrite");
        position_ += written;
        is_dirty_ = true;
    }

    void end_round() override {
        if (is_dirty_ && is_synced_ && ::fdatasync(file_) != 0) die("fdatasync");
        is_dirty_ = false;
    }

    const int file_;
    const bool is_synced_;
    std::int64_t position_ = 0;
    bool is_dirty_ = false;
};

}  // namespace
}  // namespace dlog::floor

int main(int argc, char** argv) {
    if (argc < 3) {
        ::puts("floor_produce PORT FILE [--sync]");
        return 2;
    }
    const int file = ::open(argv[2], O_RDWR | O_CREAT | O_TRUNC, 0644);
    if (file < 0) dlog::floor::die(argv[2]);
    const bool is_synced = argc > 3 && std::string_view(argv[3]) == "--sync";
    dlog::floor::ProduceFloor(file, is_synced).serve(static_cast<std::uint16_t>(::atoi(argv[1])));
}
