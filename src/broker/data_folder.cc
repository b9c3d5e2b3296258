#include "broker/data_folder.h"

#include <charconv>
#include <optional>
#include <string_view>
#include <utility>

#include "base/assert.h"
#include "base/result.h"
#include "codec/crc32c.h"
#include "port/entropy.h"

namespace dlog::broker {

namespace {

constexpr std::string_view kFirstLine = "dlog meta 1\n";
constexpr std::size_t kMetaBytesMax = 4096;

std::string hex8(std::uint32_t value) {
    constexpr char kDigits[] = "0123456789abcdef";
    std::string text(8, '0');
    for (int i = 7; i >= 0; --i, value >>= 4)
        text[static_cast<std::size_t>(i)] = kDigits[value & 15];
    return text;
}

/// 22 characters of base64 for URLs, the form of Kafka's cluster ids.
std::string random_cluster_id(port::Entropy& entropy) {
    constexpr std::string_view kAlphabet =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    std::string id;
    while (id.size() < 22) {
        for (std::uint64_t bits = entropy.next(); bits != 0 && id.size() < 22; bits >>= 6) {
            id += kAlphabet[bits & 63];
        }
    }
    return id;
}

/// Takes the line "name value\n" off the front of `text`.
std::optional<std::string_view> take_line(std::string_view& text, std::string_view name) {
    if (!text.starts_with(name) || text.size() <= name.size() || text[name.size()] != ' ') {
        return std::nullopt;
    }
    const std::size_t end = text.find('\n');
    if (end == std::string_view::npos) return std::nullopt;
    const std::string_view value = text.substr(name.size() + 1, end - name.size() - 1);
    text.remove_prefix(end + 1);
    return value;
}

std::optional<std::int32_t> number(std::string_view text) {
    std::int32_t value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
    return value;
}

std::string failure(std::string_view what, const std::string& path, port::DiskError error) {
    return std::string(what) + " " + path + ": " + std::string(port::disk_error_name(error)) + ".";
}

/// Who holds the lock, from what the holder wrote into the lock file.
port::Task<std::string> lock_holder(port::Disk& disk, std::string path) {
    const auto contents = co_await port::read_file(disk, std::move(path), 64);
    if (!contents) co_return std::string();
    std::string_view text = as_text(contents->view());
    text = text.substr(0, text.find_first_not_of("0123456789"));
    co_return std::string(text);
}

/// Only for people: a lock without it locks as well.
port::Task<void> write_holder(port::Disk& disk, port::FilePtr lock, std::int64_t process_id) {
    if (!co_await disk.truncate(lock, 0)) co_return;
    std::vector<Buffer> parts{Buffer::copy_of(as_bytes(std::to_string(process_id) + "\n"))};
    static_cast<void>(co_await disk.write(lock, 0, std::move(parts)));
}

port::Task<std::expected<port::FilePtr, std::string>> lock_folder(port::Disk& disk,
                                                                  std::string path,
                                                                  std::int64_t process_id) {
    const std::string lock_path = path + "/lock";
    auto lock = co_await disk.lock(lock_path);
    if (lock) {
        co_await write_holder(disk, *lock, process_id);
        co_return *std::move(lock);
    }
    if (lock.error() != port::DiskError::kLocked) {
        co_return std::unexpected(
            failure("Cannot lock the data folder with", lock_path, lock.error()));
    }
    const std::string holder = co_await lock_holder(disk, lock_path);
    co_return std::unexpected("The data folder " + path + " is in use by another dlog" +
                              (holder.empty() ? std::string() : " (pid " + holder + ")") +
                              ". Stop it first, or choose another folder with --data-dir.");
}

}  // namespace

Buffer encode_node_meta(const NodeMeta& meta) {
    std::string text(kFirstLine);
    text += "node.id " + std::to_string(meta.node_id.value) + "\n";
    text += "cluster.id " + meta.cluster_id + "\n";
    text += "epoch " + std::to_string(meta.epoch.value) + "\n";
    text += "crc32c " + hex8(codec::crc32c(as_bytes(text))) + "\n";
    return Buffer::copy_of(as_bytes(text));
}

std::expected<NodeMeta, std::string> decode_node_meta(ByteView bytes) {
    std::string_view text = as_text(bytes);
    if (!text.starts_with(kFirstLine)) {
        return std::unexpected("its first line is not \"dlog meta 1\"");
    }
    text.remove_prefix(kFirstLine.size());
    const auto node = take_line(text, "node.id");
    const auto cluster = node ? take_line(text, "cluster.id") : std::nullopt;
    const auto epoch = cluster ? take_line(text, "epoch") : std::nullopt;
    const std::size_t covered = bytes.size() - text.size();
    const auto crc = epoch ? take_line(text, "crc32c") : std::nullopt;
    if (!crc || !text.empty()) return std::unexpected("its lines are not those of a meta file");
    if (*crc != hex8(codec::crc32c(bytes.first(covered)))) {
        return std::unexpected("its checksum is wrong");
    }
    const auto node_id = number(*node);
    const auto starts = number(*epoch);
    if (!node_id || !starts || *starts < 0) return std::unexpected("a number in it is damaged");
    return NodeMeta{.node_id = NodeId(*node_id),
                    .cluster_id = std::string(*cluster),
                    .epoch = LeaderEpoch(*starts)};
}

port::Task<std::expected<DataFolder, std::string>> open_data_folder(port::Ports ports,
                                                                    std::string path,
                                                                    NodeId node_id,
                                                                    std::int64_t process_id) {
    port::Disk& disk = ports.disk;
    if (const auto made = co_await disk.make_directories(path); !made) {
        co_return std::unexpected(failure("Cannot make the data folder", path, made.error()));
    }
    DataFolder folder;
    DLOG_CO_TRY_ASSIGN(folder.lock, co_await lock_folder(disk, path, process_id));
    const std::string meta_path = path + "/meta";
    const auto contents = co_await port::read_file(disk, meta_path, kMetaBytesMax);
    if (!contents && contents.error() != port::DiskError::kNotFound) {
        co_return std::unexpected(failure("Cannot read", meta_path, contents.error()));
    }
    if (contents) {
        auto meta = decode_node_meta(contents->view());
        if (!meta) {
            co_return std::unexpected("The file " + meta_path + " is damaged: " + meta.error() +
                                      ".");
        }
        folder.meta = *std::move(meta);
        if (folder.meta.node_id != node_id) {
            co_return std::unexpected(
                "The data folder " + path + " belongs to node " +
                std::to_string(folder.meta.node_id.value) + ", but this is node " +
                std::to_string(node_id.value) +
                ". Start with that --node-id, or choose another folder with --data-dir.");
        }
    } else {
        folder.meta = {.node_id = node_id, .cluster_id = random_cluster_id(ports.entropy)};
    }
    ++folder.meta.epoch;
    // Before anything is written under the new epoch, a crash must not forget that it was used.
    const auto written =
        co_await port::replace_file(disk, meta_path, encode_node_meta(folder.meta));
    if (!written) co_return std::unexpected(failure("Cannot write", meta_path, written.error()));
    co_return folder;
}

}  // namespace dlog::broker
