/// Thousands of members of consumer groups, each on a connection of its own, that do nothing but
/// stay members.
#pragma once

#include <string>

#include "load/crowd.h"

namespace dlog::load {

struct MemberOptions {
    int groups = 1;
    int size = 4;
    int interval_ms = 3000;
    double seconds = 5;
    std::string pids;  ///< Processes of the broker, separated by commas.
};

/// Has all of them join, beat for the time, and beat again for as long while the first group is
/// rebalanced every second. Prints a line for each of the three. 1 when any other group noticed.
int hold_members(const CrowdOptions& crowd, const MemberOptions& options);

}  // namespace dlog::load
