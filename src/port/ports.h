/// The world as one core of a node sees it.
#pragma once

namespace dlog {
class LogSink;
}

namespace dlog::port {

class Clock;
class Disk;
class Net;
class Spawn;
class Entropy;

/// References to one core's ports. Whoever composes the program keeps the bodies alive longer than
/// every driver.
struct Ports {
    Clock& clock;
    Disk& disk;
    Net& net;
    Spawn& spawn;
    Entropy& entropy;
    LogSink& log;
};

}  // namespace dlog::port
