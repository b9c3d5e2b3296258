/// A time limit for what is done on a connection.
#pragma once

#include "port/clock.h"
#include "port/net.h"

namespace dlog::port {

/// Closes the connection when its time is up, which ends what is pending on it.
class CloseAfter final : public Timer {
  public:
    CloseAfter(Clock& clock, Connection& connection, Duration span) : connection_(connection) {
        clock.arm(*this, clock.now() + span);
    }
    void fired() override { connection_.close(); }

  private:
    Connection& connection_;
};

}  // namespace dlog::port
