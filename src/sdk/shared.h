/// Objects that the public classes and the coroutines on the client's thread share.
#pragma once

#include <atomic>
#include <cstdint>
#include <utility>

namespace dlog::sdk {

/// Counts its owners; the last one to let go destroys it. Any thread.
class Shared {
  public:
    Shared() = default;
    Shared(const Shared&) = delete;
    Shared& operator=(const Shared&) = delete;
    void retain() { owners_.fetch_add(1, std::memory_order_relaxed); }
    void release() {
        if (owners_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
    }

  protected:
    virtual ~Shared() = default;

  private:
    std::atomic<std::uint32_t> owners_ = 0;
};

/// Owns a share of a T.
template <class T>
class Ref {
  public:
    Ref() = default;
    explicit Ref(T* object) : object_(object) {
        if (object_ != nullptr) object_->retain();
    }
    Ref(const Ref& other) : Ref(other.object_) {}
    Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
    Ref& operator=(Ref other) noexcept {
        std::swap(object_, other.object_);
        return *this;
    }
    ~Ref() {
        if (object_ != nullptr) object_->release();
    }
    [[nodiscard]] T* get() const { return object_; }
    T* operator->() const { return object_; }
    T& operator*() const { return *object_; }

    /// Gives this share to a public class, which holds it as a bare pointer.
    [[nodiscard]] T* leave() { return std::exchange(object_, nullptr); }

  private:
    T* object_ = nullptr;
};

}  // namespace dlog::sdk
