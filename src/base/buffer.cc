#include "base/buffer.h"

#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/assert.h"

namespace dlog {

// The count uses the compiler's atomic builtins: a slice made on one core may be dropped on
// another, and that is the only thing in the pure rooms that two threads ever touch.
struct Buffer::Block {
    std::uint64_t references;
    std::size_t size;
};

Buffer::Buffer(const Buffer& other) : block_(other.block_), data_(other.data_), size_(other.size_) {
    if (block_ != nullptr) __atomic_fetch_add(&block_->references, 1, __ATOMIC_RELAXED);
}

Buffer::Buffer(Buffer&& other) noexcept
    : block_(std::exchange(other.block_, nullptr)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

Buffer& Buffer::operator=(Buffer other) noexcept {
    std::swap(block_, other.block_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
}

Buffer::~Buffer() {
    if (block_ == nullptr) return;
    const std::uint64_t before = __atomic_fetch_sub(&block_->references, 1, __ATOMIC_ACQ_REL);
    DLOG_ASSERT(before > 0, before);
    if (before == 1) std::free(block_);
}

Buffer Buffer::allocate(std::size_t size) {
    auto* block = static_cast<Block*>(std::malloc(sizeof(Block) + size));
    DLOG_ASSERT(block != nullptr, size);
    block->references = 1;
    block->size = size;
    Buffer buffer;
    buffer.block_ = block;
    buffer.data_ = reinterpret_cast<std::uint8_t*>(block + 1);
    buffer.size_ = size;
    return buffer;
}

Buffer Buffer::copy_of(ByteView bytes) {
    Buffer buffer = allocate(bytes.size());
    if (!bytes.empty()) std::memcpy(buffer.data_, bytes.data(), bytes.size());
    return buffer;
}

Buffer Buffer::slice(std::size_t position, std::size_t length) const {
    DLOG_ASSERT(position <= size_ && length <= size_ - position, position, length, size_);
    Buffer part = *this;
    part.data_ = data_ + position;
    part.size_ = length;
    return part;
}

Buffer Buffer::slice_of(ByteView part) const {
    DLOG_ASSERT(part.data() >= data_ && part.data() + part.size() <= data_ + size_, part.size(),
                size_);
    return slice(static_cast<std::size_t>(part.data() - data_), part.size());
}

bool Buffer::is_sole_slice() const {
    return block_ != nullptr && __atomic_load_n(&block_->references, __ATOMIC_ACQUIRE) == 1;
}

std::size_t Buffer::block_size() const {
    return block_ == nullptr ? 0 : block_->size;
}

}  // namespace dlog
