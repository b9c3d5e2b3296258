/// What a Records is made of.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "dlog/consumer.h"
#include "sdk/shared.h"

namespace dlog::sdk {

/// The records of one poll and everything that they view.
class RecordsCore final : public Shared {
  public:
    std::vector<Record> records;
    std::vector<Buffer> frames;
    std::vector<std::vector<std::uint8_t>> decompressed;
    std::vector<std::shared_ptr<const std::string>> topics;
};

}  // namespace dlog::sdk
