/// The floor under a broker's Fetch: answers each Fetch version 11 with the same batches for every
/// partition asked for, from memory or by sendfile.
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
    /// `file` is -1 when the batches are sent from memory.
    FetchFloor(std::string batches, int file) : batches_(std::move(batches)), file_(file) {}

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
            w.i32(static_cast<std::int32_t>(batches_.size()));
            r.bytes(4 + 8 + 8 + 4);
            size += w.out.size() + batches_.size();
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
            if (file_ >= 0) {
                client.answer_file(file_, batches_.size());
            } else {
                client.answer_memory(batches_);
            }
        }
    }

    const std::string batches_;
    const int file_;
};

}  // namespace
}  // namespace dlog::floor

int main(int argc, char** argv) {
    if (argc < 4) {
        ::puts(
            "floor_fetch PORT BYTES RECORD_SIZE [FILE: sends from it by sendfile]\n"
            "BYTES of batches of about 16 KiB for each partition of a request");
        return 2;
    }
    const auto wanted = static_cast<std::size_t>(::atol(argv[2]));
    const auto record_bytes = static_cast<std::size_t>(::atol(argv[3]));
    const std::size_t records = std::max<std::size_t>(16384 / (record_bytes + 8), 1);
    std::string batches;
    for (std::uint64_t seed = 0; batches.empty() || batches.size() < wanted; ++seed) {
        batches +=
            dlog::load::encode_batch({.record_bytes = record_bytes, .records = records}, seed);
    }
    int file = -1;
    if (argc > 4) {
        file = ::open(argv[4], O_RDWR | O_CREAT | O_TRUNC, 0644);
        const auto size = static_cast<ssize_t>(batches.size());
        if (file < 0 || ::write(file, batches.data(), batches.size()) != size) {
            dlog::floor::die(argv[4]);
        }
    }
    dlog::floor::FetchFloor(std::move(batches), file)
        .serve(static_cast<std::uint16_t>(::atoi(argv[1])));
}
