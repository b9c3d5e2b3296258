/// A shared block of bytes. A request's frame is read into one Buffer; the batches in it, the tail
/// that readers are served from and the bytes that go to disk are slices of that same block.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/bytes.h"

namespace dlog {

/// A slice [offset, offset + size) of a reference-counted block. Copying shares the block; the last
/// slice frees it. The count is atomic: slices may be dropped on any core. The bytes are not
/// guarded: they may be written only while one core holds every slice.
class Buffer {
  public:
    Buffer() = default;
    Buffer(const Buffer& other);
    Buffer(Buffer&& other) noexcept;
    Buffer& operator=(Buffer other) noexcept;
    ~Buffer();

    /// A block of `size` uninitialised bytes.
    [[nodiscard]] static Buffer allocate(std::size_t size);
    [[nodiscard]] static Buffer copy_of(ByteView bytes);

    [[nodiscard]] std::size_t size() const { return size_; }
    [[nodiscard]] bool empty() const { return size_ == 0; }
    [[nodiscard]] const std::uint8_t* data() const { return data_; }
    [[nodiscard]] std::uint8_t* mutable_data() { return data_; }
    [[nodiscard]] ByteView view() const { return {data_, size_}; }
    [[nodiscard]] MutableBytes mutable_view() { return {data_, size_}; }

    /// The bytes [position, position + length) of this slice, sharing the block.
    [[nodiscard]] Buffer slice(std::size_t position, std::size_t length) const;
    /// The slice that covers `part`, which lies within this one.
    [[nodiscard]] Buffer slice_of(ByteView part) const;
    /// What holding this slice keeps in memory: the whole block's size.
    [[nodiscard]] std::size_t block_size() const;
    /// True when no other slice of the block is alive: its bytes may be written over.
    [[nodiscard]] bool is_sole_slice() const;
    [[nodiscard]] bool shares_block_with(const Buffer& other) const {
        return block_ != nullptr && block_ == other.block_;
    }

  private:
    struct Block;
    Block* block_ = nullptr;
    std::uint8_t* data_ = nullptr;
    std::size_t size_ = 0;
};

}  // namespace dlog
