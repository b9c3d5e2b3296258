// The commands, their options and examples.
#include "cli/command.h"
#include "server/config_keys.h"

namespace dlog::cli {

namespace {

Option bootstrap() {
    return {.name = "bootstrap",
            .letter = 'b',
            .value_name = "HOST:PORT",
            .documentation = "The broker to ask first. DLOG_BOOTSTRAP sets it for all commands.",
            .default_value = "127.0.0.1:9092"};
}

Option timeout() {
    return {
        .name = "timeout-ms",
        .value_name = "N",
        .documentation = "Give up when the broker has not answered after this many milliseconds.",
        .default_value = "30000"};
}

Option json() {
    return {.name = "json", .documentation = "Print JSON, for programs."};
}

std::vector<Option> config_options() {
    std::vector<Option> options;
    for (const server::ConfigKey& key : server::config_keys()) {
        options.push_back({.name = server::flag_name(key.name),
                           .value_name = std::string(key.value_name),
                           .documentation = std::string(key.documentation),
                           .default_value = std::string(key.default_value),
                           .choices = std::string(key.choices)});
    }
    options.push_back({.name = "print-config",
                       .documentation = "Print the configuration in effect, as TOML, and leave."});
    return options;
}

Command serve() {
    return {
        .name = "serve",
        .summary = "Run a node (also what `dlog` alone does)",
        .description =
            "Runs a node until SIGTERM or SIGINT; a second signal stops it at once.\n"
            "Every setting is a flag, an environment variable (DLOG_ and the name in capitals, '_' "
            "for "
            "'-')\nand a key of the TOML file given with --config ('.' for '-'; "
            "docs/operations.md lists them).\nA flag wins over the environment, the environment "
            "over "
            "the file.",
        .options = config_options(),
        .examples = {{"dlog --data-dir /var/lib/dlog", "A node on 127.0.0.1:9092"},
                     {"dlog serve --listen 0.0.0.0:9092 --advertise db1.example.org:9092",
                      "One that other machines can reach"},
                     {"DLOG_LOG_RETENTION_HOURS=24 dlog serve --config node.toml",
                      "Settings from a file, one of them overruled"},
                     {"dlog serve --config node.toml --print-config",
                      "What would be in effect, and why"}},
    };
}

Command topic_create() {
    return {
        .name = "topic create",
        .summary = "Create topics",
        .arguments = {{.name = "TOPIC",
                       .documentation = "the new topic's name",
                       .is_repeated = true}},
        .options =
            {{.name = "partitions",
              .letter = 'p',
              .value_name = "N",
              .documentation = "How many partitions; the broker's num.partitions when not given."},
             {.name = "config",
              .letter = 'c',
              .value_name = "KEY=VALUE",
              .documentation = "A topic setting by its Kafka name; may be given several times. "
                               "Sizes may have a unit: segment.bytes=64MiB.",
              .is_repeated = true},
             {.name = "if-not-exists", .documentation = "Succeed when the topic is there already."},
             json(),
             bootstrap(),
             timeout()},
        .examples = {{"dlog topic create orders --partitions 8", "A topic of eight partitions"},
                     {"dlog topic create audit -c retention.ms=-1 -c write.caching=true",
                      "Kept for ever, acknowledged from memory"}},
    };
}

Command topic_list() {
    return {
        .name = "topic list",
        .summary = "List topics",
        .options = {{.name = "all", .letter = 'a', .documentation = "Internal topics too."},
                    json(),
                    bootstrap(),
                    timeout()},
        .examples = {{"dlog topic list", "One name a line"},
                     {"dlog topic list --json", "An array of names"}},
    };
}

Command topic_describe() {
    return {
        .name = "topic describe",
        .summary = "Show partitions, offsets and settings of topics",
        .arguments = {{.name = "TOPIC", .documentation = "the topic's name", .is_repeated = true}},
        .options = {json(), bootstrap(), timeout()},
        .examples = {{"dlog topic describe orders",
                      "Partitions with their offsets, settings that differ "
                      "from the defaults"}},
    };
}

Command topic_delete() {
    return {
        .name = "topic delete",
        .summary = "Delete topics and their data",
        .arguments = {{.name = "TOPIC", .documentation = "the topic's name", .is_repeated = true}},
        .options = {{.name = "if-exists", .documentation = "Succeed when the topic is not there."},
                    json(),
                    bootstrap(),
                    timeout()},
        .examples = {{"dlog topic delete scratch", "At once, without asking"}},
    };
}

Command topic_alter() {
    return {
        .name = "topic alter",
        .summary = "Change settings of topics, or give them more partitions",
        .description =
            "The settings of a topic change together or not at all, and at once: the "
            "node goes on\nworking. New partitions come after the settings; the "
            "records that are there stay where they are.",
        .arguments = {{.name = "TOPIC", .documentation = "the topic's name", .is_repeated = true}},
        .options = {{.name = "config",
                     .letter = 'c',
                     .value_name = "KEY=VALUE",
                     .documentation = "A topic setting by its Kafka name; may be given several "
                                      "times. Sizes may have a unit: segment.bytes=64MiB.",
                     .is_repeated = true},
                    {.name = "delete-config",
                     .letter = 'd',
                     .value_name = "KEY",
                     .documentation = "Take a setting back: the node's value holds again. May be "
                                      "given several times.",
                     .is_repeated = true},
                    {.name = "partitions",
                     .letter = 'p',
                     .value_name = "N",
                     .documentation =
                         "How many partitions there shall be. There can only be more."},
                    json(),
                    bootstrap(),
                    timeout()},
        .examples = {{"dlog topic alter orders --config retention.ms=86400000", "Keep one day"},
                     {"dlog topic alter orders --delete-config retention.ms",
                      "Keep what the node keeps"},
                     {"dlog topic alter orders --partitions 16", "More partitions"}},
    };
}

Option config_topic() {
    return {
        .name = "topic", .letter = 't', .value_name = "NAME", .documentation = "Of this topic."};
}

Option config_broker() {
    return {.name = "broker",
            .value_name = "ID",
            .documentation = "Of this node; \"default\" for every node."};
}

Command config_get() {
    return {
        .name = "config get",
        .summary = "Show settings of a topic or a node",
        .description =
            "Without keys: what is not at its default. Behind each value stands where it comes "
            "from:\n  topic       set on the topic\n  node        set on the node while it ran\n"
            "  every node  set for all nodes while they ran\n"
            "  start       from the node's file, environment or flags\n  default",
        .arguments = {{.name = "KEY",
                       .documentation = "settings to show",
                       .is_required = false,
                       .is_repeated = true}},
        .options = {config_topic(),
                    config_broker(),
                    {.name = "all", .letter = 'a', .documentation = "Defaults too."},
                    json(),
                    bootstrap(),
                    timeout()},
        .examples = {{"dlog config get --topic orders", "What differs from the defaults"},
                     {"dlog config get --broker 1 log.retention.ms", "One setting of a node"},
                     {"dlog config get --broker 1 --all --json", "All of them, for a program"}},
    };
}

Command config_set() {
    return {
        .name = "config set",
        .summary = "Change settings of a topic or a node while it runs",
        .description =
            "A topic takes every topic setting. A node takes those that its topics fall back on "
            "(log.retention.ms,\nmessage.max.bytes, ...); the others are read at its start only. "
            "Settings that were given here outlast a\nrestart and win over the configuration "
            "file.",
        .arguments = {{.name = "KEY=VALUE",
                       .documentation = "settings by their Kafka names",
                       .is_required = false,
                       .is_repeated = true}},
        .options = {config_topic(),
                    config_broker(),
                    {.name = "delete",
                     .letter = 'd',
                     .value_name = "KEY",
                     .documentation = "Take a setting back; may be given several times.",
                     .is_repeated = true},
                    {.name = "dry-run", .documentation = "Check the change without making it."},
                    json(),
                    bootstrap(),
                    timeout()},
        .examples = {{"dlog config set --topic orders retention.ms=86400000", "Keep one day"},
                     {"dlog config set --broker default message.max.bytes=4MiB",
                      "Larger batches on every node"},
                     {"dlog config set --broker 1 --delete log.retention.ms",
                      "What holds for every node holds again"}},
    };
}

Command group_list() {
    return {
        .name = "group list",
        .summary = "List consumer groups",
        .options = {{.name = "state",
                     .value_name = "STATE",
                     .documentation = "Only groups in this state (Stable, Empty, "
                                      "PreparingRebalance, …); may be given several times.",
                     .is_repeated = true},
                    json(),
                    bootstrap(),
                    timeout()},
        .examples = {{"dlog group list", "Each with its state and kind"},
                     {"dlog group list --state Empty", "Those without members"}},
    };
}

Command group_describe() {
    return {
        .name = "group describe",
        .summary = "Show members, offsets and lag of consumer groups",
        .arguments = {{.name = "GROUP", .documentation = "the group's id", .is_repeated = true}},
        .options = {json(), bootstrap(), timeout()},
        .examples = {{"dlog group describe billing", "How far it is behind, and who reads what"}},
    };
}

Command group_reset() {
    return {
        .name = "group reset",
        .summary = "Move the committed offsets of a consumer group",
        .description =
            "The group must have no members. Without --topic, everything that it has "
            "committed is moved.\nOffsets outside the log are moved to its nearest end.",
        .arguments = {{.name = "GROUP", .documentation = "the group's id"}},
        .options = {{.name = "to",
                     .value_name = "WHERE",
                     .documentation = "beginning, end, end-N, an offset, a time "
                                      "(2026-11-22T20:00:00Z) or a span before now (-1h)."},
                    {.name = "shift",
                     .value_name = "N",
                     .documentation = "By so many records, forward or (negative) back."},
                    {.name = "topic",
                     .value_name = "TOPIC[:P,P]",
                     .documentation = "Only this topic, or only these partitions of it; may be "
                                      "given several times.",
                     .is_repeated = true},
                    {.name = "dry-run", .documentation = "Show what would be done."},
                    json(),
                    bootstrap(),
                    timeout()},
        .examples = {{"dlog group reset billing --to beginning --dry-run", "What would change"},
                     {"dlog group reset billing --to -1h --topic orders",
                      "Read the last hour of one topic again"},
                     {"dlog group reset billing --shift 1 --topic orders:3",
                      "Skip a record that cannot be read"}},
    };
}

Command group_delete() {
    return {
        .name = "group delete",
        .summary = "Delete consumer groups and their offsets",
        .arguments = {{.name = "GROUP", .documentation = "the group's id", .is_repeated = true}},
        .options = {json(), bootstrap(), timeout()},
        .examples = {{"dlog group delete billing", "At once; it must have no members"}},
    };
}

Command produce() {
    return {
        .name = "produce",
        .summary = "Write lines of standard input or of files to a topic",
        .description =
            "Each line becomes a record. On a terminal a progress line shows count and rate.",
        .arguments = {{.name = "TOPIC", .documentation = "the topic to write to"},
                      {.name = "FILE",
                       .documentation = "files to read instead of standard input",
                       .is_required = false,
                       .is_repeated = true}},
        .options = {{.name = "key-separator",
                     .letter = 'K',
                     .value_name = "TEXT",
                     .documentation =
                         "A line is KEY, this text, VALUE. Lines without it have no key."},
                    {.name = "partition",
                     .letter = 'p',
                     .value_name = "N",
                     .documentation =
                         "Write to this partition. Otherwise the key decides as in Kafka's "
                         "Java client; records without a key fill one batch after another."},
                    {.name = "header",
                     .letter = 'H',
                     .value_name = "NAME=VALUE",
                     .documentation = "A header for every record; may be given several times.",
                     .is_repeated = true},
                    {.name = "acks",
                     .value_name = "0|1|all",
                     .documentation = "What counts as written.",
                     .default_value = "all",
                     .choices = "0|1|all"},
                    {.name = "compression",
                     .letter = 'z',
                     .value_name = "CODEC",
                     .documentation = "none, gzip, snappy, lz4 or zstd.",
                     .default_value = "none",
                     .choices = "none|gzip|snappy|lz4|zstd"},
                    {.name = "idempotent",
                     .documentation = "Number the batches so that a retry cannot write one twice.",
                     .is_on_by_default = true},
                    {.name = "progress",
                     .documentation = "Show progress even when standard error is not a terminal."},
                    {.name = "quiet",
                     .letter = 'q',
                     .documentation = "Show neither progress nor the sum."},
                    {.name = "json", .documentation = "Print at the end what became of how many."},
                    bootstrap(),
                    timeout()},
        .examples = {{"echo hello | dlog produce greetings", "One record"},
                     {"dlog produce orders orders.txt --key-separator :",
                      "A file of key:value lines"},
                     {"dlog produce logs -z zstd --acks 1 < app.log", "Compressed"}},
    };
}

Command consume() {
    return {
        .name = "consume",
        .summary = "Print the records of a topic",
        .description =
            "--from says where to begin:\n"
            "  beginning   the oldest record that is kept\n"
            "  end         only what is written from now on (with --follow)\n"
            "  end-N       the last N records of each partition\n"
            "  N           offset N\n"
            "  TIME        the first record at or after a time: 2026-11-22T20:00:00Z, 2026-11-22, "
            "or\n"
            "              relative to now: -90s, -15m, -1h, -7d\n"
            "--format is text in which these stand for parts of the record:\n"
            "  %t topic  %p partition  %o offset  %k key  %v value  %T timestamp in ms  %h "
            "headers\n"
            "  %K key's size  %V value's size  %% a percent sign  \\n \\t \\r \\0 \\\\ \\xNN",
        .arguments = {{.name = "TOPIC", .documentation = "the topic to read"}},
        .options = {{.name = "from",
                     .letter = 'f',
                     .value_name = "WHERE",
                     .documentation = "beginning, end, end-N, an offset or a time.",
                     .default_value = "beginning"},
                    {.name = "partition",
                     .letter = 'p',
                     .value_name = "N",
                     .documentation = "Only this partition; may be given several times.",
                     .is_repeated = true},
                    {.name = "format",
                     .value_name = "TEXT",
                     .documentation = "How a record is printed.",
                     .default_value = "%v\\n"},
                    {.name = "follow",
                     .letter = 'F',
                     .documentation = "Wait for new records instead of stopping at the end."},
                    {.name = "count",
                     .letter = 'n',
                     .value_name = "N",
                     .documentation = "Stop after this many records."},
                    {.name = "json",
                     .documentation = "Print each record as a JSON object; bytes that are not "
                                      "UTF-8 as {\"hex\":\"...\"}."},
                    bootstrap(),
                    timeout()},
        .examples = {{"dlog consume orders", "Everything that is there, then stop"},
                     {"dlog consume orders --from end --follow", "What comes from now on"},
                     {"dlog consume orders --from -1h --format '%T %p/%o %k=%v\\n'",
                      "The last hour, with keys and places"}},
    };
}

std::vector<Option> quota_options(bool is_list) {
    const std::string of = is_list ? "Of " : "For ";
    return {
        {.name = "user", .value_name = "NAME", .documentation = of + "this user."},
        {.name = "default-user", .documentation = of + "users without a quota of their own."},
        {.name = "client-id", .value_name = "ID", .documentation = of + "this client id."},
        {.name = "default-client-id",
         .documentation = of + "each client id without a quota of its own."},
        {.name = "ip", .value_name = "ADDRESS", .documentation = of + "this address."},
        {.name = "default-ip", .documentation = of + "each address without a quota of its own."},
        json(),
        bootstrap(),
        timeout()};
}

Command quota_list() {
    return {
        .name = "quota list",
        .summary = "List what clients may use",
        .description =
            "Without options: all quotas. With some: those of entities that have all "
            "the parts named.",
        .options = quota_options(true),
        .examples = {{"dlog quota list", "One entity a line"},
                     {"dlog quota list --client-id loader --json", "Those of a client id"}},
    };
}

Command quota_set() {
    return {
        .name = "quota set",
        .summary = "Limit what clients may use",
        .description =
            "The keys are Kafka's:\n"
            "  producer_byte_rate        bytes a second of Produce requests\n"
            "  consumer_byte_rate        bytes a second of fetched records\n"
            "  request_percentage        time of requests, in percent of one core\n"
            "  controller_mutation_rate  partitions made and deleted a second\n"
            "  connection_creation_rate  new connections a second, of an --ip\n"
            "The most specific one holds: of the user and client id together, of the user, of the "
            "client id.\nClients do not authenticate yet: their user is ANONYMOUS.",
        .arguments = {{.name = "KEY=VALUE",
                       .documentation = "what to limit; byte rates may have a unit",
                       .is_repeated = true}},
        .options = quota_options(false),
        .examples = {{"dlog quota set --client-id loader producer_byte_rate=10MB",
                      "One client id, over all its connections"},
                     {"dlog quota set --default-client-id consumer_byte_rate=50MB",
                      "Each client id that has none of its own"},
                     {"dlog quota set --default-ip connection_creation_rate=20", "Each address"}},
    };
}

Command quota_delete() {
    return {
        .name = "quota delete",
        .summary = "Take limits of clients back",
        .arguments = {{.name = "KEY",
                       .documentation = "what to limit no longer; everything when not given",
                       .is_required = false,
                       .is_repeated = true}},
        .options = quota_options(false),
        .examples = {{"dlog quota delete --client-id loader", "All of its quotas"},
                     {"dlog quota delete --default-client-id consumer_byte_rate", "One of them"}},
    };
}

Option bench_records(std::string count, std::string documentation) {
    return {.name = "records",
            .letter = 'n',
            .value_name = "N",
            .documentation = std::move(documentation),
            .default_value = std::move(count)};
}

Option bench_quiet() {
    return {.name = "quiet", .letter = 'q', .documentation = "Only the sum at the end."};
}

/// How records are sent, for `bench produce` and `bench e2e`.
std::vector<Option> bench_sending(std::string size, std::string rate, std::string linger) {
    return {{.name = "size",
             .letter = 's',
             .value_name = "BYTES",
             .documentation = "Of each record's value.",
             .default_value = std::move(size)},
            {.name = "rate",
             .letter = 'r',
             .value_name = "N",
             .documentation = std::move(rate),
             .default_value = "0"},
            {.name = "acks",
             .value_name = "0|1|all",
             .documentation = "What counts as written.",
             .default_value = "all",
             .choices = "0|1|all"},
            {.name = "compression",
             .letter = 'z',
             .value_name = "CODEC",
             .documentation = "none, gzip, snappy, lz4 or zstd.",
             .default_value = "none",
             .choices = "none|gzip|snappy|lz4|zstd"},
            {.name = "batch-size",
             .value_name = "BYTES",
             .documentation = "A batch of this size is sent at once.",
             .default_value = "262144"},
            {.name = "linger-ms",
             .value_name = "N",
             .documentation = "How long a batch waits for more records.",
             .default_value = std::move(linger)},
            {.name = "idempotent",
             .documentation = "Number the batches so that a retry cannot write one twice.",
             .is_on_by_default = true}};
}

void append(std::vector<Option>& options, std::vector<Option> more) {
    for (Option& option : more) options.push_back(std::move(option));
}

Command bench_produce() {
    Command command{
        .name = "bench produce",
        .summary = "Measure how fast records are written",
        .description =
            "Writes records that are the same at every run, and shows each second, and at the end, "
            "how many\nwent through and how long each took from when it was due to its "
            "acknowledgement. MB are 10^6 bytes of\nkeys and values.",
        .arguments = {{.name = "TOPIC", .documentation = "made when it is not there"}},
        .options = {bench_records("1000000", "How many records to write.")},
        .examples = {{"dlog bench produce load --size 100", "As fast as it goes"},
                     {"dlog bench produce load -n 60000 --rate 1000 --linger-ms 0",
                      "Latency at a thousand records a second"},
                     {"dlog bench produce load -z zstd --compressible 50 --partitions 8 --json",
                      "Compressed, to eight partitions, for a program"}}};
    append(command.options,
           bench_sending("1000", "Records a second; 0: as many as possible.", "5"));
    append(command.options,
           {{.name = "partitions",
             .value_name = "N",
             .documentation = "Of the topic, when it is made.",
             .default_value = "1"},
            {.name = "partition",
             .letter = 'p',
             .value_name = "N",
             .documentation = "Write to this partition only."},
            {.name = "key-count",
             .value_name = "N",
             .documentation = "Give each record one of so many keys; 0: no keys.",
             .default_value = "0"},
            {.name = "compressible",
             .value_name = "PERCENT",
             .documentation = "How much of each value is one byte again and again; the rest is "
                              "random.",
             .default_value = "0"},
            {.name = "seed",
             .value_name = "N",
             .documentation = "Another number makes other records.",
             .default_value = "1"},
            bench_quiet(),
            json(),
            bootstrap(),
            timeout()});
    return command;
}

Command bench_consume() {
    return {
        .name = "bench consume",
        .summary = "Measure how fast records are read",
        .description =
            "Reads a topic from its beginning to where it ends at the start, checks "
            "every batch and counts\nits records. MB are 10^6 bytes of keys and values.",
        .arguments = {{.name = "TOPIC", .documentation = "the topic to read"}},
        .options = {bench_records("", "Stop after this many records."), bench_quiet(), json(),
                    bootstrap(), timeout()},
        .examples = {{"dlog bench consume load", "Everything that is there"},
                     {"dlog bench consume load -n 1000000 --json", "A million, for a program"}},
    };
}

Command bench_e2e() {
    Command command{
        .name = "bench e2e",
        .summary = "Measure how long a record takes from producer to consumer",
        .description =
            "Writes to one partition and reads from it, in one process: without --rate, each "
            "record when the one\nbefore has arrived. The time runs from when a record was due to "
            "when the consumer has it.",
        .arguments = {{.name = "TOPIC", .documentation = "made when it is not there"}},
        .options = {bench_records("10000", "How many records to send.")},
        .examples = {{"dlog bench e2e latency", "One record at a time"},
                     {"dlog bench e2e latency --rate 1000 --acks 1 -n 60000",
                      "A thousand a second for a minute"}}};
    append(command.options, bench_sending("100", "Records a second; 0: one at a time.", "0"));
    append(command.options, {{.name = "partition",
                              .letter = 'p',
                              .value_name = "N",
                              .documentation = "The partition to write to and read from.",
                              .default_value = "0"},
                             bench_quiet(),
                             json(),
                             bootstrap(),
                             timeout()});
    return command;
}

Command top() {
    return {
        .name = "top",
        .summary = "Show what goes on: nodes, topics, groups, requests",
        .description =
            "On a terminal a screen that is drawn again and again, with keys: q leaves, ? shows "
            "the others.\nElsewhere the tables, one look below the other. Rates are those between "
            "two looks:\n"
            "  records/s  written, by the ends of the logs\n"
            "  in/s       bytes written: a node's by its metrics, a topic's by how its files "
            "grew\n"
            "  out/s      bytes read, by a node's metrics\n"
            "  read/s     records that consumer groups committed\n"
            "  lag/s      how fast a group falls behind (above 0) or catches up (below)\n"
            "in/s, out/s and cpu of nodes and the latencies of requests need --http.",
        .options = {{.name = "interval",
                     .letter = 'i',
                     .value_name = "SECONDS",
                     .documentation = "Between two looks.",
                     .default_value = "1"},
                    {.name = "iterations",
                     .letter = 'n',
                     .value_name = "N",
                     .documentation = "Leave after so many; 0: never.",
                     .default_value = "0"},
                    {.name = "http",
                     .value_name = "[ID=]HOST:PORT",
                     .documentation = "Where a node (--http of `dlog serve`) answers /metrics; may "
                                      "be given several times. ID may be left out for an only "
                                      "node.",
                     .is_repeated = true},
                    {.name = "json", .documentation = "Print a JSON object each time."},
                    bootstrap(),
                    timeout()},
        .examples = {{"dlog top --http 127.0.0.1:9644", "Every second, until q"},
                     {"dlog top -n 1 --json", "One look, for a program"}},
    };
}

Command log_dump() {
    return {
        .name = "log dump",
        .summary = "Print what is in a file of a log",
        .description =
            "Knows segments (.log, and .swap and .cleaned of a compaction), their indexes (.index, "
            ".timeindex) and\ncheckpoints (log.checkpoint). Says at which position a file is "
            "damaged and goes on behind the damage\nwhere that is possible.",
        .arguments = {{.name = "FILE", .documentation = "the file to print", .is_repeated = true}},
        .options = {{.name = "records",
                     .letter = 'r',
                     .documentation = "Each record of a segment, not only its batches."},
                    {.name = "values", .documentation = "Keys and values too (implies --records)."},
                    {.name = "json", .documentation = "Print JSON objects, one a line."}},
        .examples =
            {{"dlog log dump data/topics/orders/0-1f2e3d4c/00000000000000000000.log --records",
              "Batches and records of a segment"}},
    };
}

Command log_check() {
    return {
        .name = "log check",
        .summary = "Verify a data folder while its node is stopped",
        .description =
            "Reads every segment, checks CRCs, the order of offsets, indexes and checkpoints, and "
            "names file and\nposition of any damage. Where a compaction was interrupted it checks "
            "what the next start will use.\nChanges nothing. Exit code 0 when all is well, 1 when "
            "there is damage.",
        .arguments = {{.name = "DIR", .documentation = "the data folder (--data-dir of the node)"}},
        .options = {{.name = "quiet", .letter = 'q', .documentation = "Print damage only."},
                    json()},
        .examples = {{"dlog log check ./data", "After a suspicious disk"}},
    };
}

Command completion() {
    return {
        .name = "completion",
        .summary = "Print a completion script for a shell",
        .arguments = {{.name = "SHELL", .documentation = "bash, zsh or fish"}},
        .examples = {{"source <(dlog completion bash)", "For this shell"},
                     {"dlog completion zsh > ~/.zfunc/_dlog", "For zsh, with ~/.zfunc in fpath"},
                     {"dlog completion fish > ~/.config/fish/completions/dlog.fish", "For fish"}},
    };
}

}  // namespace

const std::vector<Command>& commands() {
    static const std::vector<Command> table = {
        serve(),        topic_create(), topic_list(),    topic_describe(), topic_alter(),
        topic_delete(), config_get(),   config_set(),    group_list(),     group_describe(),
        group_reset(),  group_delete(), quota_list(),    quota_set(),      quota_delete(),
        produce(),      consume(),      bench_produce(), bench_consume(),  bench_e2e(),
        top(),          log_dump(),     log_check(),     completion()};
    return table;
}

const Command* find_command(std::string_view name) {
    for (const Command& command : commands()) {
        if (command.name == name) return &command;
    }
    return nullptr;
}

const std::vector<Option>& common_options() {
    static const std::vector<Option> table = {
        {.name = "help", .letter = 'h', .documentation = "Show this help."},
        {.name = "version", .documentation = "Show the version."}};
    return table;
}

}  // namespace dlog::cli
