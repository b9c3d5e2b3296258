#include "storage/checkpoint.h"

#include <algorithm>
#include <span>

#include "base/assert.h"
#include "storage/file_crc.h"

namespace dlog::storage {
namespace {

// docs/formats/checkpoint.md
constexpr std::uint32_t kMagic = 0x50'43'4c'44;  // "DLCP"
constexpr std::uint16_t kVersion = 1;
constexpr std::uint16_t kCleanFlag = 1;
constexpr std::size_t kHeaderSize = 64;
constexpr std::size_t kSegmentSize = 48;
constexpr std::size_t kEpochSize = 12;
constexpr std::size_t kProducerSize = 20;
constexpr std::size_t kProducerBatchSize = 24;

class Writer {
  public:
    explicit Writer(std::uint8_t* at) : at_(at) {}
    template <class T>
    void put(T value) {
        store_little_endian(at_, value);
        at_ += sizeof(T);
    }
    [[nodiscard]] const std::uint8_t* at() const { return at_; }

  private:
    std::uint8_t* at_;
};

/// Reads fields from bytes whose number has been checked.
class Reader {
  public:
    explicit Reader(ByteView bytes) : bytes_(bytes) {}
    template <class T>
    T take() {
        DLOG_ASSERT(bytes_.size() >= sizeof(T), bytes_.size());
        const T value = load_little_endian<T>(bytes_.data());
        bytes_ = bytes_.subspan(sizeof(T));
        return value;
    }
    [[nodiscard]] std::size_t left() const { return bytes_.size(); }

  private:
    ByteView bytes_;
};

void put_segment(Writer& out, const Segment& segment) {
    out.put(segment.base_offset.value);
    out.put(segment.end_offset.value);
    out.put(segment.size_bytes);
    out.put(segment.max_timestamp.ms);
    out.put(segment.max_timestamp_offset.value);
    out.put(segment.last_append.ms);
}

Segment take_segment(Reader& in) {
    Segment segment;
    segment.base_offset = Offset{in.take<std::int64_t>()};
    segment.end_offset = Offset{in.take<std::int64_t>()};
    segment.size_bytes = in.take<std::uint64_t>();
    segment.max_timestamp = Timestamp{in.take<std::int64_t>()};
    segment.max_timestamp_offset = Offset{in.take<std::int64_t>()};
    segment.last_append = Timestamp{in.take<std::int64_t>()};
    return segment;
}

bool is_sound(const Segment& segment) {
    return segment.base_offset.value >= 0 && segment.end_offset >= segment.base_offset &&
           segment.size_bytes <= UINT32_MAX &&
           (segment.size_bytes == 0) == (segment.end_offset == segment.base_offset);
}

void put_producer(Writer& out, ProducerId id, const ProducerState& state) {
    out.put(id.value);
    out.put(state.epoch.value);
    out.put(state.batch_count);
    out.put(std::uint8_t{0});
    out.put(state.last_timestamp.ms);
    for (std::size_t i = 0; i < state.batch_count; ++i) {
        const ProducerBatch& batch = state.batches[i];
        out.put(batch.last_sequence);
        out.put(batch.offset_delta);
        out.put(batch.last_offset.value);
        out.put(batch.timestamp.ms);
    }
}

/// Producers ascend: `after` is the one before.
Result<ProducerId> take_producer(Reader& in, ProducerId after, ProducerMap& producers) {
    if (in.left() < kProducerSize) return unexpected(Error::kBadLength);
    const ProducerId id{in.take<std::int64_t>()};
    ProducerState state;
    state.epoch = ProducerEpoch{in.take<std::int16_t>()};
    state.batch_count = in.take<std::uint8_t>();
    const auto reserved = in.take<std::uint8_t>();
    state.last_timestamp = Timestamp{in.take<std::int64_t>()};
    if (state.batch_count > ProducerState::kBatchesMax || reserved != 0 || id <= after) {
        return unexpected(Error::kBadContent);
    }
    if (in.left() < state.batch_count * kProducerBatchSize) return unexpected(Error::kBadLength);
    for (std::size_t i = 0; i < state.batch_count; ++i) {
        ProducerBatch& batch = state.batches[i];
        batch.last_sequence = in.take<std::int32_t>();
        batch.offset_delta = in.take<std::int32_t>();
        batch.last_offset = Offset{in.take<std::int64_t>()};
        batch.timestamp = Timestamp{in.take<std::int64_t>()};
        if (batch.last_sequence < 0 || batch.offset_delta < 0) {
            return unexpected(Error::kBadContent);
        }
    }
    producers.emplace(id, state);
    return id;
}

struct Counts {
    std::uint32_t segments = 0;
    std::uint32_t epochs = 0;
    std::uint32_t producers = 0;
};

/// Checks everything that can be checked before the sections are read.
Result<Counts> take_header(ByteView file, LogImage& image) {
    if (file.size() < kHeaderSize) return unexpected(Error::kBadLength);
    Reader in(file.first(kHeaderSize));
    if (in.take<std::uint32_t>() != kMagic) return unexpected(Error::kBadMagic);
    if (in.take<std::uint16_t>() != kVersion) return unexpected(Error::kBadVersion);
    const auto flags = in.take<std::uint16_t>();
    const auto crc = in.take<std::uint32_t>();
    Counts counts;
    counts.segments = in.take<std::uint32_t>();
    image.log_start_offset = Offset{in.take<std::int64_t>()};
    image.active_first_timestamp = Timestamp{in.take<std::int64_t>()};
    counts.epochs = in.take<std::uint32_t>();
    counts.producers = in.take<std::uint32_t>();
    if (in.take<std::uint64_t>() != file.size()) return unexpected(Error::kBadLength);
    if (crc != file_crc(file)) return unexpected(Error::kBadChecksum);
    image.cleaned_to = Offset{in.take<std::int64_t>()};
    const auto swapping = in.take<std::int64_t>();
    if (swapping != 0) image.swapping = Offset{swapping - 1};
    if ((flags & ~kCleanFlag) != 0 || image.cleaned_to < Offset{0} || swapping < 0 ||
        counts.segments == 0) {
        return unexpected(Error::kBadContent);
    }
    image.is_clean = (flags & kCleanFlag) != 0;
    const std::uint64_t least = std::uint64_t{counts.segments} * kSegmentSize +
                                std::uint64_t{counts.epochs} * kEpochSize +
                                std::uint64_t{counts.producers} * kProducerSize;
    if (least > file.size() - kHeaderSize) return unexpected(Error::kBadLength);
    return counts;
}

}  // namespace

Buffer encode_checkpoint(const LogImage& image) {
    DLOG_ASSERT(!image.segments.empty());
    std::vector<ProducerId> ids;
    std::size_t size =
        kHeaderSize + image.segments.size() * kSegmentSize + image.epochs.size() * kEpochSize;
    for (const auto& [id, state] : image.producers) {
        ids.push_back(id);
        size += kProducerSize + state.batch_count * kProducerBatchSize;
    }
    std::ranges::sort(ids);  // The same log gives the same bytes.

    Buffer file = Buffer::allocate(size);
    Writer out(file.mutable_data());
    out.put(kMagic);
    out.put(kVersion);
    out.put(image.is_clean ? kCleanFlag : std::uint16_t{0});
    out.put(std::uint32_t{0});
    out.put(static_cast<std::uint32_t>(image.segments.size()));
    out.put(image.log_start_offset.value);
    out.put(image.active_first_timestamp.ms);
    out.put(static_cast<std::uint32_t>(image.epochs.size()));
    out.put(static_cast<std::uint32_t>(image.producers.size()));
    out.put(static_cast<std::uint64_t>(size));
    out.put(image.cleaned_to.value);
    out.put(image.swapping ? image.swapping->value + 1 : std::int64_t{0});
    for (const Segment& segment : image.segments) put_segment(out, segment);
    for (const EpochStart& epoch : image.epochs) {
        out.put(epoch.epoch.value);
        out.put(epoch.start_offset.value);
    }
    for (const ProducerId id : ids) put_producer(out, id, image.producers.at(id));
    DLOG_ASSERT(out.at() == file.data() + size, size);
    store_little_endian(file.mutable_data() + kCrcAt, file_crc(file.view()));
    return file;
}

Result<LogImage> decode_checkpoint(ByteView file) {
    LogImage image;
    DLOG_TRY_ASSIGN(const Counts counts, take_header(file, image));
    Reader in(file.subspan(kHeaderSize));

    image.segments.reserve(counts.segments);
    for (std::uint32_t i = 0; i < counts.segments; ++i) {
        const Segment segment = take_segment(in);
        if (!is_sound(segment)) return unexpected(Error::kBadContent);
        // An empty segment cannot be followed by another one.
        if (i > 0 && (segment.base_offset < image.segments.back().end_offset ||
                      image.segments.back().is_empty())) {
            return unexpected(Error::kBadContent);
        }
        image.segments.push_back(segment);
    }
    if (image.log_start_offset < Offset{0} ||
        image.log_start_offset > image.segments.back().end_offset) {
        return unexpected(Error::kBadContent);
    }
    const auto is_swapping = [&](const Segment& segment) {
        return segment.base_offset == image.swapping;
    };
    if (image.cleaned_to > image.segments.back().end_offset ||
        (image.swapping && std::ranges::none_of(image.segments, is_swapping))) {
        return unexpected(Error::kBadContent);
    }
    image.epochs.reserve(counts.epochs);
    for (std::uint32_t i = 0; i < counts.epochs; ++i) {
        EpochStart epoch;
        epoch.epoch = LeaderEpoch{in.take<std::int32_t>()};
        epoch.start_offset = Offset{in.take<std::int64_t>()};
        if (i > 0 && (epoch.epoch <= image.epochs.back().epoch ||
                      epoch.start_offset <= image.epochs.back().start_offset)) {
            return unexpected(Error::kBadContent);
        }
        image.epochs.push_back(epoch);
    }
    image.producers.reserve(counts.producers);
    ProducerId last = kNoProducer;
    for (std::uint32_t i = 0; i < counts.producers; ++i) {
        DLOG_TRY_ASSIGN(last, take_producer(in, last, image.producers));
    }
    if (in.left() != 0) return unexpected(Error::kBadLength);
    return image;
}

LogImage empty_image(Offset start_offset) {
    LogImage image;
    image.log_start_offset = start_offset;
    image.is_clean = true;
    image.segments.push_back({.base_offset = start_offset, .end_offset = start_offset});
    return image;
}

}  // namespace dlog::storage
