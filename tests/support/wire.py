"""A small Kafka client of our own, from the protocol guide: enough to send any bytes and to read what came back.

It shares no code with the node and knows one version of each request, none of them flexible, so that a hostile variant
of a request is one edited field.
"""

import dataclasses
import gzip
import socket
import struct

import crc32c
import lz4.frame
import snappy
import zstandard

PRODUCE, FETCH, LIST_OFFSETS, METADATA = 0, 1, 2, 3
OFFSET_COMMIT, OFFSET_FETCH, FIND_COORDINATOR, JOIN_GROUP, HEARTBEAT, SYNC_GROUP = 8, 9, 10, 11, 12, 14
API_VERSIONS, CREATE_TOPICS, DELETE_TOPICS, INIT_PRODUCER_ID = 18, 19, 20, 22

CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}
NO_ERROR, CORRUPT_MESSAGE, UNKNOWN_TOPIC = 0, 2, 3
UNSUPPORTED_VERSION, TOPIC_EXISTS, INVALID_RECORD = 35, 36, 87


def varint(number: int) -> bytes:
    number = (number << 1) ^ (number >> 63)
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def text(value: str | None) -> bytes:
    if value is None:
        return struct.pack(">h", -1)
    raw = value.encode()
    return struct.pack(">h", len(raw)) + raw


def sized(value: bytes | None) -> bytes:
    return struct.pack(">i", -1) if value is None else struct.pack(">i", len(value)) + value


def record(offset_delta: int, key: bytes | None, value: bytes | None, timestamp_delta: int = 0) -> bytes:
    def part(data: bytes | None) -> bytes:
        return varint(-1) if data is None else varint(len(data)) + data

    body = b"\0" + varint(timestamp_delta) + varint(offset_delta) + part(key) + part(value) + varint(0)
    return varint(len(body)) + body


def compress(codec: str, data: bytes) -> bytes:
    match codec:
        case "gzip":
            return gzip.compress(data)
        case "snappy":
            return snappy.compress(data)
        case "lz4":
            return lz4.frame.compress(data)
        case "zstd":
            return zstandard.compress(data)
    return data


def decompress(codec: int, data: bytes) -> bytes:
    match codec:
        case 1:
            return gzip.decompress(data)
        case 2:
            return snappy_blocks(data)
        case 3:
            return lz4.frame.decompress(data)
        case 4:
            return zstandard.ZstdDecompressor().decompressobj().decompress(data)
    return data


def snappy_blocks(data: bytes) -> bytes:
    """Raw snappy, or the framing of xerial's Java library."""
    if not data.startswith(b"\x82SNAPPY\0"):
        return snappy.decompress(data)
    out, at = b"", 16
    while at < len(data):
        (size,) = struct.unpack_from(">i", data, at)
        out += snappy.decompress(data[at + 4 : at + 4 + size])
        at += 4 + size
    return out


@dataclasses.dataclass
class Batch:
    """A record batch (magic 2). Every field of its header can be set to a lie."""

    values: list[bytes] = dataclasses.field(default_factory=list)
    codec: str = "none"
    producer_id: int = -1
    producer_epoch: int = -1
    base_sequence: int = -1
    timestamp_ms: int = 1_700_000_000_000
    count: int | None = None
    length: int | None = None
    crc: int | None = None
    magic: int = 2
    body: bytes | None = None
    attributes: int | None = None

    def encode(self) -> bytes:
        count = len(self.values) if self.count is None else self.count
        body = self.body
        if body is None:
            body = compress(self.codec, b"".join(record(i, None, v) for i, v in enumerate(self.values)))
        attributes = CODECS[self.codec] if self.attributes is None else self.attributes
        times = (self.timestamp_ms, self.timestamp_ms)
        producer = (self.producer_id, self.producer_epoch, self.base_sequence)
        checked = struct.pack(">hiqqqhii", attributes, max(count - 1, 0), *times, *producer, count) + body
        crc = crc32c.crc32c(checked) if self.crc is None else self.crc
        length = 9 + len(checked) if self.length is None else self.length
        return struct.pack(">qiibI", 0, length, 0, self.magic, crc) + checked


@dataclasses.dataclass
class Record:
    offset: int
    key: bytes | None
    value: bytes | None


class Reader:
    """Reads the fields of a response one after another."""

    def __init__(self, data: bytes):
        self.data, self.at = data, 0

    def take(self, size: int) -> bytes:
        if self.at + size > len(self.data):
            raise ValueError("the response is too short")
        self.at += size
        return self.data[self.at - size : self.at]

    def number(self, kind: str) -> int:
        return struct.unpack(">" + kind, self.take(struct.calcsize(">" + kind)))[0]

    def text(self) -> str | None:
        size = self.number("h")
        return None if size < 0 else self.take(size).decode()

    def array(self, item) -> list:
        return [item() for _ in range(self.number("i"))]

    def varint(self) -> int:
        shift = result = 0
        while True:
            byte = self.take(1)[0]
            result |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return (result >> 1) ^ -(result & 1)

    def sized_varint(self) -> bytes | None:
        size = self.varint()
        return None if size < 0 else self.take(size)


def decode_batches(data: bytes) -> list[Record]:
    """All whole batches; each CRC is checked."""
    records, at = [], 0
    while at + 61 <= len(data):
        base_offset, length, _, magic, crc = struct.unpack_from(">qiibI", data, at)
        if at + 12 + length > len(data):
            break
        checked = data[at + 21 : at + 12 + length]
        if magic != 2 or crc32c.crc32c(checked) != crc:
            raise ValueError(f"the batch at offset {base_offset} is corrupt")
        attributes, count = struct.unpack_from(">h", checked)[0], struct.unpack_from(">i", checked, 36)[0]
        reader = Reader(decompress(attributes & 7, checked[40:]))
        for _ in range(count):
            reader.varint()
            reader.take(1)
            reader.varint()
            offset = base_offset + reader.varint()
            key, value = reader.sized_varint(), reader.sized_varint()
            for _ in range(reader.varint()):
                reader.sized_varint(), reader.sized_varint()
            records.append(Record(offset, key, value))
        at += 12 + length
    return records


def end_of_batches(data: bytes, offset: int) -> int:
    """The offset behind the last whole batch, or `offset` when there is none."""
    at = 0
    while at + 61 <= len(data):
        base_offset, length = struct.unpack_from(">qi", data, at)
        if at + 12 + length > len(data):
            break
        offset = base_offset + struct.unpack_from(">i", data, at + 23)[0] + 1
        at += 12 + length
    return offset


class Connection:
    """One TCP connection to a broker. Requests may be sent without waiting for the answers."""

    def __init__(self, port: int, timeout_s: float = 10):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=timeout_s)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.correlation = 0

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def send(self, api: int, version: int, body: bytes) -> int:
        self.correlation += 1
        request = struct.pack(">hhi", api, version, self.correlation) + text("wire") + body
        self.socket.sendall(struct.pack(">i", len(request)) + request)
        return self.correlation

    def read_exactly(self, size: int) -> bytes:
        parts = bytearray()
        while len(parts) < size:
            part = self.socket.recv(size - len(parts))
            if not part:
                raise ConnectionError("the broker closed the connection")
            parts += part
        return bytes(parts)

    def receive(self) -> tuple[int, Reader]:
        (size,) = struct.unpack(">i", self.read_exactly(4))
        reader = Reader(self.read_exactly(size))
        return reader.number("i"), reader

    def call(self, api: int, version: int, body: bytes) -> Reader:
        sent = self.send(api, version, body)
        correlation, reader = self.receive()
        if correlation != sent:
            raise ValueError(f"the answer is for request {correlation}, not {sent}")
        return reader

    def is_closed_by_broker(self, wait_s: float = 5) -> bool:
        """True when the broker ends the connection within that time without sending anything."""
        self.socket.settimeout(wait_s)
        try:
            return self.socket.recv(1) == b""
        except ConnectionError:
            return True
        except TimeoutError:
            return False

    def create_topic(self, topic: str, partitions: int = 1, **configs: str) -> int:
        settings = b"".join(text(name.replace("_", ".")) + text(value) for name, value in configs.items())
        entry = text(topic) + struct.pack(">ihi", partitions, 1, 0) + struct.pack(">i", len(configs)) + settings
        reader = self.call(CREATE_TOPICS, 2, struct.pack(">i", 1) + entry + struct.pack(">ib", 10_000, 0))
        reader.number("i")
        (error,) = reader.array(lambda: (reader.text(), reader.number("h"), reader.text())[1])
        return error

    @staticmethod
    def produce_body(topic: str, partition: int, batch: bytes, acks: int = -1) -> bytes:
        head = text(None) + struct.pack(">hii", acks, 10_000, 1) + text(topic)
        return head + struct.pack(">ii", 1, partition) + sized(batch)

    @staticmethod
    def read_produced(reader: Reader) -> tuple[int, int]:
        """The error code and the base offset of a Produce answer (version 7) for one partition."""

        def partition() -> tuple[int, int]:
            _, error, offset = reader.number("i"), reader.number("h"), reader.number("q")
            reader.number("q"), reader.number("q")
            return error, offset

        ((result,),) = reader.array(lambda: (reader.text(), reader.array(partition))[1])
        return result

    def produce(self, topic: str, partition: int, batch: bytes, acks: int = -1) -> tuple[int, int]:
        return self.read_produced(self.call(PRODUCE, 7, self.produce_body(topic, partition, batch, acks)))

    @staticmethod
    def fetch_body(topic: str, partition: int, offset: int, max_bytes: int = 1 << 20, wait_ms: int = 100) -> bytes:
        head = struct.pack(">iiiib", -1, wait_ms, 1, max_bytes, 0) + struct.pack(">i", 1) + text(topic)
        return head + struct.pack(">iiqi", 1, partition, offset, max_bytes)

    def fetch(self, topic: str, partition: int, offset: int, **limits: int) -> tuple[int, int, bytes]:
        """The error code, the high watermark and the batches' bytes."""
        reader = self.call(FETCH, 4, self.fetch_body(topic, partition, offset, **limits))
        reader.number("i")

        def one() -> tuple[int, int, bytes]:
            _, error, high_watermark, _ = (reader.number(kind) for kind in "ihqq")
            reader.array(lambda: (reader.number("q"), reader.number("q")))
            size = reader.number("i")
            return error, high_watermark, reader.take(max(size, 0))

        ((result,),) = reader.array(lambda: (reader.text(), reader.array(one))[1])
        return result

    def offset_at(self, topic: str, partition: int, timestamp: int) -> int:
        """ListOffsets: -1 for the end, -2 for the beginning, else the first offset at or after that time."""
        body = struct.pack(">ii", -1, 1) + text(topic) + struct.pack(">iiq", 1, partition, timestamp)
        reader = self.call(LIST_OFFSETS, 1, body)

        def one() -> int:
            _, error, _, offset = (reader.number(kind) for kind in "ihqq")
            if error:
                raise ValueError(f"ListOffsets answered error {error}")
            return offset

        ((offset,),) = reader.array(lambda: (reader.text(), reader.array(one))[1])
        return offset

    def read_all(self, topic: str, partition: int, offset: int = 0) -> list[Record]:
        """Every record up to the high watermark. Offsets must be dense."""
        records: list[Record] = []
        while True:
            error, high_watermark, data = self.fetch(topic, partition, offset, max_bytes=8 << 20)
            if error:
                raise ValueError(f"Fetch at {offset} answered error {error}")
            got = [r for r in decode_batches(data) if r.offset >= offset]
            for r in got:
                if r.offset != offset:
                    raise ValueError(f"offset {r.offset} follows {offset - 1}")
                offset += 1
            records += got
            if offset >= high_watermark:
                return records
            if not got:
                raise ValueError(f"no record at offset {offset}, below the high watermark {high_watermark}")

    def read_compacted(self, topic: str, partition: int) -> list[Record]:
        """Every record up to the high watermark; offsets ascend, and what compaction took leaves gaps."""
        records, offset = [], self.offset_at(topic, partition, -2)
        while True:
            error, high_watermark, data = self.fetch(topic, partition, offset, max_bytes=8 << 20)
            if error:
                raise ValueError(f"Fetch at {offset} answered error {error}")
            for r in decode_batches(data):
                if r.offset < offset:
                    continue
                if records and r.offset <= records[-1].offset:
                    raise ValueError(f"offset {r.offset} follows {records[-1].offset}")
                records.append(r)
            end = end_of_batches(data, offset)
            if end >= high_watermark:
                return records
            if end == offset:
                raise ValueError(f"no batch at offset {offset}, below the high watermark {high_watermark}")
            offset = end

    def init_producer_id(self) -> tuple[int, int]:
        reader = self.call(INIT_PRODUCER_ID, 1, text(None) + struct.pack(">i", 60_000))
        _, error, producer_id, epoch = (reader.number(kind) for kind in "ihqh")
        if error:
            raise ValueError(f"InitProducerId answered error {error}")
        return producer_id, epoch
