#include "storage/swap.h"

#include <algorithm>
#include <iterator>

namespace dlog::storage {
namespace {

bool is_taken_over(const SwapFileName& swap, const LogImage* checkpoint) {
    if (checkpoint == nullptr) return true;
    if (checkpoint->swapping != swap.base_offset) return false;
    const auto segment =
        std::ranges::find(checkpoint->segments, swap.base_offset, &Segment::base_offset);
    return segment != checkpoint->segments.end() && segment->end_offset == swap.end_offset;
}

}  // namespace

std::vector<std::string> replaced_files(const std::vector<std::string>& names,
                                        const SwapFileName& swap) {
    std::vector<std::string> replaced;
    for (const std::string& name : names) {
        const auto file = parse_segment_file_name(name);
        if (!file || file->base_offset < swap.base_offset || file->base_offset >= swap.end_offset) {
            continue;
        }
        const bool is_renamed_over =
            file->base_offset == swap.base_offset && file->kind == FileKind::kLog;
        if (!is_renamed_over) replaced.push_back(name);
    }
    return replaced;
}

SwapRepairs plan_swap_repairs(const std::vector<std::string>& names, const LogImage* checkpoint) {
    SwapRepairs repairs;
    for (const std::string& name : names) {
        if (is_cleaned_file_name(name)) repairs.remove.push_back(name);
        const auto swap = parse_swap_file_name(name);
        if (!swap) continue;
        if (repairs.finish || !is_taken_over(*swap, checkpoint)) {
            repairs.remove.push_back(name);
            continue;
        }
        repairs.finish = *swap;
        std::ranges::move(replaced_files(names, *swap), std::back_inserter(repairs.remove));
    }
    return repairs;
}

}  // namespace dlog::storage
