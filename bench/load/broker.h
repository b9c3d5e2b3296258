/// Requests to a broker that are answered one at a time, and the head of those that are not.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "load/options.h"
#include "load/wire.h"

namespace dlog::load {

enum Api : std::int16_t {
    kProduce = 0,
    kFetch = 1,
    kListOffsets = 2,
    kMetadata = 3,
    kCreateTopics = 19,
    kDeleteTopics = 20,
    kInitProducerId = 22,
};

/// Room for the frame's length, then the request header before flexible versions.
[[nodiscard]] Writer request(Api api, std::int16_t version, std::int32_t correlation);
/// Sets the frame's length; `more` bytes follow it.
void set_length(std::string& frame, std::size_t more = 0);

[[nodiscard]] int connect_to(const Options& o);
void create_topic(int fd, const Options& o);
void delete_topic(int fd, const Options& o);
void wait_for_leaders(int fd, const Options& o);
/// (producer id, epoch)
[[nodiscard]] std::pair<std::int64_t, std::int16_t> init_producer(int fd);
/// By partition.
[[nodiscard]] std::vector<std::int64_t> list_end_offsets(int fd, const Options& o);

}  // namespace dlog::load
