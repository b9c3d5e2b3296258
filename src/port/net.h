/// The Net port: stream connections.
#pragma once

#include <cstdint>
#include <expected>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/buffer.h"
#include "base/bytes.h"
#include "port/disk.h"
#include "port/task.h"

namespace dlog::port {

enum class NetError : std::uint8_t {
    kClosed,  ///< This side closed it, or the node is stopping.
    kReset,   ///< The peer went away, or the network lost it.
    kRefused,
    kUnreachable,
    kUnknownHost,
    kAddressInUse,
    kTooManyFiles,
    kDenied,
    kTimedOut,
    kFile,  ///< A file range being sent could not be read.
};

[[nodiscard]] std::string_view net_error_name(NetError error);

template <class T>
using NetResult = std::expected<T, NetError>;

struct Endpoint {
    std::string host;  ///< A name or an address; "0.0.0.0" listens everywhere.
    std::uint16_t port = 0;

    bool operator==(const Endpoint&) const = default;
    [[nodiscard]] std::string text() const;
};

/// Parses "host:port", "[v6]:port" or ":port" (host "0.0.0.0"); false when it is neither.
[[nodiscard]] bool parse_endpoint(std::string_view text, Endpoint& endpoint);

/// Bytes [position, position + length) of a file, sent without passing through this process where
/// the system can.
struct FileRange {
    FilePtr file;
    std::uint64_t position = 0;
    std::uint64_t length = 0;
};

/// One piece of what is written to a connection.
using OutPart = std::variant<Buffer, FileRange>;

/// The bytes of a piece: a buffer as it is, a file's range read. kIo when the file ends within it.
Task<DiskResult<Buffer>> load(Disk& disk, OutPart part);

/// One stream. At most one read and one write are under way at a time. Every pending operation ends
/// with kClosed when `close` is called. Dropping the object closes it; nothing may be pending then.
class Connection {
  public:
    virtual ~Connection() = default;
    /// Reads at least one byte into `into`; 0 means that the peer has finished sending.
    virtual Task<NetResult<std::size_t>> read(MutableBytes into) = 0;
    /// Sends all parts in order; returns when the system has taken the last byte.
    virtual Task<NetResult<void>> write(std::vector<OutPart> parts) = 0;
    virtual void close() = 0;
    /// Leaves its core, while nothing is pending: then it is dropped, or another core of the node
    /// adopts it.
    virtual void leave() = 0;
    /// The peer's address, "127.0.0.1:40312".
    [[nodiscard]] virtual const std::string& peer() const = 0;
};
using ConnectionPtr = std::unique_ptr<Connection>;

class Listener {
  public:
    virtual ~Listener() = default;
    virtual Task<NetResult<ConnectionPtr>> accept() = 0;
    /// The bound address, with the real port when 0 was asked for.
    [[nodiscard]] virtual Endpoint endpoint() const = 0;
    /// A pending accept ends with kClosed.
    virtual void close() = 0;
};
using ListenerPtr = std::unique_ptr<Listener>;

class Net {
  public:
    virtual ~Net() = default;
    /// Several cores of one node may listen on the same endpoint; each new connection goes to one
    /// of them.
    virtual Task<NetResult<ListenerPtr>> listen(Endpoint endpoint) = 0;
    virtual Task<NetResult<ConnectionPtr>> connect(Endpoint endpoint) = 0;
    /// Takes over a connection that has left another core of this node. False when it was closed
    /// meanwhile, or this core cannot take it: then it is to be dropped.
    [[nodiscard]] virtual bool adopt(Connection& connection) = 0;
};

/// Reads exactly into.size() bytes. False when the peer finished before the first byte; kReset when
/// it finished after it.
Task<NetResult<bool>> read_exactly(Connection& connection, MutableBytes into);

}  // namespace dlog::port
