"""Changing settings and deleting records of a running broker, by the administration calls of real clients."""

import functools
import json

import confluent_kafka
import confluent_kafka.admin as confluent
import kafka
import kafka.admin
import pytest
from drivers import CLIENTS, console, soon

COUNT = 100
RETENTION = "7200000"


def made(broker, topic: str, **configs: str) -> str:
    """The topic with one partition and COUNT records."""
    settings = {name.replace("_", "."): value for name, value in configs.items()}
    new = confluent.NewTopic(topic, 1, 1, config=settings)
    next(iter(admin_of(broker).create_topics([new]).values())).result(10)
    CLIENTS["confluent-kafka"].produce(broker, topic, "none", COUNT)
    return topic


@functools.cache
def admin_at(bootstrap: str):
    """Kept, because the outcome of a call is lost with its client."""
    return confluent.AdminClient({"bootstrap.servers": bootstrap})


def admin_of(broker):
    return admin_at(broker.bootstrap)


def done(futures):
    (future,) = futures.values()
    return future.result(20)


def resource(name: str, kind=confluent.ResourceType.TOPIC, **changes):
    """A setting is set to text, and deleted by None."""
    operation = confluent.AlterConfigOpType
    entries = [
        confluent.ConfigEntry(
            key.replace("_", "."), value, incremental_operation=operation.SET if value else operation.DELETE
        )
        for key, value in changes.items()
    ]
    return confluent.ConfigResource(kind, name, incremental_configs=entries)


def setting(broker, name: str, key: str, kind=confluent.ResourceType.TOPIC):
    """The value of a setting and where it comes from."""
    entry = done(admin_of(broker).describe_configs([confluent.ConfigResource(kind, name)])).get(key)
    return (entry.value, confluent.ConfigSource(entry.source).name) if entry else None


def name_of(futures) -> str:
    """The name of the error that a call ends with."""
    with pytest.raises(confluent_kafka.KafkaException) as caught:
        done(futures)
    return caught.value.args[0].name()


def earliest(broker, topic: str) -> int:
    consumer = CLIENTS["confluent-kafka"].consumer(broker)
    try:
        return consumer.get_watermark_offsets(confluent_kafka.TopicPartition(topic, 0), timeout=10)[0]
    finally:
        consumer.close()


def delete(broker, topic: str, offset: int) -> int:
    """The offset at which the log begins after what lies before `offset` was deleted."""
    return done(admin_of(broker).delete_records([confluent_kafka.TopicPartition(topic, 0, offset)])).low_watermark


def test_a_topics_settings_change_one_by_one(broker, topic):
    made(broker, topic, segment_ms="9000000")
    admin = admin_of(broker)
    done(admin.incremental_alter_configs([resource(topic, retention_ms=RETENTION)]))
    assert soon(lambda: setting(broker, topic, "retention.ms") == (RETENTION, "DYNAMIC_TOPIC_CONFIG"))
    assert setting(broker, topic, "segment.ms") == ("9000000", "DYNAMIC_TOPIC_CONFIG")
    done(admin.incremental_alter_configs([resource(topic, retention_ms=None)]))
    assert soon(lambda: setting(broker, topic, "retention.ms") == ("604800000", "DEFAULT_CONFIG"))


def test_alter_configs_takes_back_what_it_does_not_name(broker, topic):
    made(broker, topic, segment_ms="9000000")
    whole = confluent.ConfigResource(confluent.ResourceType.TOPIC, topic, set_config={"retention.ms": RETENTION})
    done(admin_of(broker).alter_configs([whole]))
    assert soon(lambda: setting(broker, topic, "retention.ms") == (RETENTION, "DYNAMIC_TOPIC_CONFIG"))
    assert setting(broker, topic, "segment.ms") == ("604800000", "DEFAULT_CONFIG")


def test_a_changed_setting_holds_at_once(broker, topic):
    made(broker, topic)
    done(admin_of(broker).incremental_alter_configs([resource(topic, max_message_bytes="1000")]))
    producer = CLIENTS["confluent-kafka"].producer(broker)
    failed = []

    def is_refused() -> bool:
        producer.produce(topic, "x" * 5000, on_delivery=lambda error, _: error and failed.append(error.name()))
        producer.flush(10)
        return failed == ["MSG_SIZE_TOO_LARGE"]

    assert soon(is_refused)


def test_a_brokers_settings_outlast_a_restart(own_broker, topic):
    """Those of all nodes have the empty name, which only Java's client can say: Probe.java."""
    made(own_broker, topic)
    kind = confluent.ResourceType.BROKER
    of_node = ("9000000", "DYNAMIC_BROKER_CONFIG")
    done(admin_of(own_broker).incremental_alter_configs([resource("1", kind, log_retention_ms="9000000")]))
    assert soon(lambda: setting(own_broker, topic, "retention.ms") == of_node)
    own_broker.stop()
    own_broker.start()
    assert soon(lambda: setting(own_broker, "1", "log.retention.ms", kind) == of_node)
    done(admin_of(own_broker).incremental_alter_configs([resource("1", kind, log_retention_ms=None)]))
    assert soon(lambda: setting(own_broker, topic, "retention.ms") == ("604800000", "DEFAULT_CONFIG"))


def test_refusals_have_kafkas_names_and_change_nothing(broker, topic):
    made(broker, topic)
    alter = admin_of(broker).incremental_alter_configs
    kind = confluent.ResourceType.BROKER
    assert name_of(alter([resource(topic, retention_ms="x")])) == "INVALID_CONFIG"
    assert name_of(alter([resource(topic, no_such_setting="1")])) == "INVALID_CONFIG"
    assert name_of(alter([resource(topic + "none", retention_ms="1")])) == "UNKNOWN_TOPIC_OR_PART"
    assert name_of(alter([resource("1", kind, node_id="7")])) == "INVALID_REQUEST"
    assert name_of(alter([resource("1", kind, log_retention_ms="x")])) == "INVALID_REQUEST"
    assert setting(broker, topic, "retention.ms") == ("604800000", "DEFAULT_CONFIG")
    done(alter([resource(topic, retention_ms="5")], validate_only=True))
    assert setting(broker, topic, "retention.ms") == ("604800000", "DEFAULT_CONFIG")


def test_deleted_records_stay_deleted(own_broker, topic, request):
    """Kafka notes the start of a log now and then only, and forgets it when it is killed."""
    made(own_broker, topic)
    assert delete(own_broker, topic, 40) == 40
    assert delete(own_broker, topic, 10) == 40
    if request.config.getoption("--against") == "kafka":
        own_broker.stop()
    else:
        own_broker.kill()
    own_broker.start()
    assert earliest(own_broker, topic) == 40
    assert CLIENTS["confluent-kafka"].consume(own_broker, topic, 60)[0] == (40, "k40", "v40")


def test_records_are_deleted_up_to_the_end_and_no_further(broker, topic):
    made(broker, topic)
    with pytest.raises(confluent_kafka.KafkaException) as caught:
        delete(broker, topic, COUNT + 1)
    assert caught.value.args[0].name() == "OFFSET_OUT_OF_RANGE"
    assert delete(broker, topic, confluent_kafka.OFFSET_END) == COUNT
    assert earliest(broker, topic) == COUNT


def test_kafka_python_administers(broker, topic):
    made(broker, topic)
    admin = kafka.KafkaAdminClient(bootstrap_servers=broker.bootstrap)
    try:
        for incremental in (True, False):
            value = RETENTION if incremental else "7300000"
            change = kafka.admin.ConfigResource("TOPIC", topic, {"retention.ms": value})
            admin.alter_configs([change], incremental=incremental)
            assert soon(lambda value=value: setting(broker, topic, "retention.ms")[0] == value)
        shown = admin.describe_configs([kafka.admin.ConfigResource("TOPIC", topic)])
        assert "7300000" in str(shown)
        partition = kafka.TopicPartition(topic, 0)
        admin.delete_records({partition: 30})
        assert earliest(broker, topic) == 30
        assert topic in str(admin.describe_log_dirs({topic: [0]}))
        assert partition in admin.describe_producers([partition])
    finally:
        admin.close()


@pytest.mark.parametrize("name", ["java", "franz-go"])
def test_a_client_in_a_program_of_its_own_administers(broker, topic, name):
    made(broker, topic)
    CLIENTS[name].administer(broker, topic)
    assert earliest(broker, topic) == 40


def test_console_tools_delete_records_and_describe_log_folders(broker, topic, tmp_path):
    made(broker, topic)
    where = ["--bootstrap-server", broker.bootstrap]
    plan = tmp_path / "offsets.json"
    plan.write_text(json.dumps({"version": 1, "partitions": [{"topic": topic, "partition": 0, "offset": 25}]}))
    assert "low_watermark: 25" in console("DeleteRecordsCommand", *where, "--offset-json-file", str(plan))
    assert earliest(broker, topic) == 25
    told = console("LogDirsCommand", *where, "--describe", "--topic-list", topic)
    folders = json.loads(told.strip().split("\n")[-1])["brokers"][0]["logDirs"]
    (partition,) = folders[0]["partitions"]
    assert partition["partition"] == f"{topic}-0" and partition["size"] > 0


def test_the_transactions_tool_describes_idempotent_producers(broker, topic):
    made(broker, topic)
    producer = CLIENTS["confluent-kafka"].producer(broker, **{"enable.idempotence": True})
    CLIENTS["confluent-kafka"].send(producer, topic, range(7))
    where = ["--bootstrap-server", broker.bootstrap]
    told = console("TransactionsCommand", *where, "describe-producers", "--topic", topic, "--partition", "0")
    _, line = told.strip().split("\n")
    assert line.split()[3] == "6"
