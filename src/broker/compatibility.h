/// docs/kafka-compatibility.md, made from the table of APIs and the table of topic settings.
#pragma once

#include <string>

namespace dlog::broker {

[[nodiscard]] std::string compatibility_markdown();

}  // namespace dlog::broker
