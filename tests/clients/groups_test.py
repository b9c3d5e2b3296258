"""Consumer groups with real clients at their own default settings."""

import confluent_kafka
import confluent_kafka.admin
import pytest
from drivers import CLIENTS, console, run, soon
from members import join, wait_for

PARTITIONS = 4
each_client = pytest.mark.parametrize("client", CLIENTS)


def ask(broker, method: str, *arguments):
    """The only result of a call of the admin client."""
    admin = confluent_kafka.admin.AdminClient({"bootstrap.servers": broker.bootstrap})
    (result,) = [future.result(10) for future in getattr(admin, method)(*arguments).values()]
    return result


def make(broker, topic: str) -> str:
    ask(broker, "create_topics", [confluent_kafka.admin.NewTopic(topic, PARTITIONS, 1)])
    return topic


@pytest.fixture
def parted(broker, topic):
    """A topic of four partitions."""
    return make(broker, topic)


def produce(broker, topic: str, first: int, count: int) -> set[str]:
    """The values written, spread evenly over the partitions."""
    producer = confluent_kafka.Producer({"bootstrap.servers": broker.bootstrap})
    for i in range(first, first + count):
        producer.produce(topic, f"v{i}", f"k{i}", i % PARTITIONS)
    assert producer.flush(30) == 0
    return {f"v{i}" for i in range(first, first + count)}


def values(*members) -> set[str]:
    return {row[3] for member in members for row in member.rows}


def share(*members) -> bool:
    """Every partition is with exactly one of them, and each has some."""
    assigned = [member.assigned for member in members]
    return (
        all(assigned)
        and set().union(*assigned) == set(range(PARTITIONS))
        and sum(len(own) for own in assigned) == PARTITIONS
    )


def committed(broker, group: str, topic: str) -> dict[int, int]:
    found = ask(broker, "list_consumer_group_offsets", [confluent_kafka.ConsumerGroupTopicPartitions(group)])
    return {part.partition: part.offset for part in found.topic_partitions if part.topic == topic}


@each_client
def test_a_group_goes_on_where_it_left(broker, parted, client):
    first = produce(broker, parted, 0, 100)
    with join(client, broker, parted, f"g-{parted}") as member:
        wait_for(lambda: values(member) == first, "the first records", [member])
        rows = member.leave()
    assert len(rows) == 100
    assert soon(lambda: committed(broker, f"g-{parted}", parted) == dict.fromkeys(range(PARTITIONS), 25))
    second = produce(broker, parted, 100, 100)
    with join(client, broker, parted, f"g-{parted}") as member:
        wait_for(lambda: values(member) >= second, "the second records", [member])
        assert values(member) == second
        member.leave()


@each_client
def test_members_share_the_partitions_and_inherit_them(broker, parted, client):
    group = f"g-{parted}"
    with join(client, broker, parted, group) as one, join(client, broker, parted, group) as two:
        wait_for(lambda: share(one, two), "a fair share", [one, two])
        written = produce(broker, parted, 0, 40)
        wait_for(lambda: values(one, two) == written, "all records", [one, two])
        assert values(one) and values(two)
        one.leave()
        wait_for(lambda: share(two), "the inheritance", [two])
        more = produce(broker, parted, 40, 40)
        wait_for(lambda: values(two) >= more, "the records after it", [two])
        two.leave()


def test_members_of_one_group_may_run_on_different_clients(broker, parted):
    """All of these speak range assignment."""
    group = f"g-{parted}"
    settings = {"partition_assignment_strategy": "range"}
    with join("confluent-kafka", broker, parted, group, **settings) as one:
        kcat = join("kcat", broker, parted, group, **settings)
        with kcat as two, join("kafka-python", broker, parted, group) as three:
            members = [one, two, three]
            wait_for(lambda: share(*members), "a fair share", members)
            written = produce(broker, parted, 0, 40)
            wait_for(lambda: values(*members) == written, "all records", members)
            for member in members:
                member.leave()


@pytest.mark.parametrize("client", ["confluent-kafka", "java"])
def test_cooperative_members_keep_what_stays_theirs(broker, parted, client):
    strategy = "cooperative-sticky"
    if client == "java":
        strategy = "org.apache.kafka.clients.consumer.CooperativeStickyAssignor"
    settings = {"partition_assignment_strategy": strategy, "heartbeat_interval_ms": "500"}
    group = f"g-{parted}"
    with join(client, broker, parted, group, **settings) as one:
        wait_for(lambda: share(one), "everything for the first", [one])
        with join(client, broker, parted, group, **settings) as two:
            wait_for(lambda: share(one, two), "a fair share", [one, two])
            two.leave()
        wait_for(lambda: share(one), "everything again", [one])
        one.leave()


@pytest.mark.parametrize("client", ["confluent-kafka", "java"])
def test_a_static_member_comes_back_to_its_partitions_without_a_rebalance(broker, parted, client):
    group, brisk = f"g-{parted}", {"heartbeat_interval_ms": "500"}
    with join(client, broker, parted, group, group_instance_id="a", **brisk) as one:
        with join(client, broker, parted, group, group_instance_id="b", **brisk) as two:
            wait_for(lambda: share(one, two), "a fair share", [one, two])
            before = two.assigned
            two.kill()
        written = produce(broker, parted, 0, 40)
        with join(client, broker, parted, group, group_instance_id="b", **brisk) as again:
            wait_for(lambda: again.assigned == before, "the same partitions", [one, again])
            wait_for(lambda: values(one, again) == written, "all records", [one, again])
            again.leave()
        one.leave()


NEW_PROTOCOL = {"group_protocol": "consumer"}


@pytest.mark.parametrize("client", ["confluent-kafka", "java"])
@pytest.mark.parametrize("assignor", ["uniform", "range"])
def test_members_of_the_new_protocol_share_inherit_and_go_on(broker, parted, client, assignor):
    """KIP-848: the broker assigns."""
    group, settings = f"g-{parted}", {**NEW_PROTOCOL, "group_remote_assignor": assignor}
    with join(client, broker, parted, group, **settings) as one, join(client, broker, parted, group, **settings) as two:
        wait_for(lambda: share(one, two), "a fair share", [one, two])
        first = produce(broker, parted, 0, 40)
        wait_for(lambda: values(one, two) == first, "all records", [one, two])
        assert values(one) and values(two)
        one.leave()
        wait_for(lambda: share(two), "the inheritance", [two])
        second = produce(broker, parted, 40, 40)
        wait_for(lambda: values(two) >= second, "the records after it", [two])
        two.leave()
    third = produce(broker, parted, 80, 40)
    with join(client, broker, parted, group, **settings) as again:
        wait_for(lambda: values(again) >= third, "the records after all had left", [again])
        assert values(again) == third
        again.leave()


@pytest.mark.parametrize("client", ["confluent-kafka", "java"])
def test_a_static_member_of_the_new_protocol_comes_back_to_its_partitions(broker, parted, client):
    group = f"g-{parted}"
    with join(client, broker, parted, group, **NEW_PROTOCOL, group_instance_id="a") as one:
        with join(client, broker, parted, group, **NEW_PROTOCOL, group_instance_id="b") as two:
            wait_for(lambda: share(one, two), "a fair share", [one, two])
            before = two.assigned
            two.leave()
        with join(client, broker, parted, group, **NEW_PROTOCOL, group_instance_id="b") as again:
            wait_for(lambda: again.assigned == before, "the same partitions", [one, again])
            again.leave()
        one.leave()


@pytest.mark.parametrize("client", ["confluent-kafka", "java"])
def test_a_member_reads_what_its_pattern_matches_now_and_later(broker, topic, client):
    """KIP-848: the broker matches. Both clients send patterns that begin with ^ as they are."""
    make(broker, f"{topic}-a")
    make(broker, f"other-{topic}-a")
    with join(client, broker, f"^{topic}-.*", f"g-{topic}", **NEW_PROTOCOL) as one:
        produce(broker, f"other-{topic}-a", 1000, 40)
        first = produce(broker, f"{topic}-a", 0, 40)
        wait_for(lambda: values(one) == first, "the records of the first topic", [one])
        make(broker, f"{topic}-b")
        second = produce(broker, f"{topic}-b", 40, 40)
        wait_for(lambda: values(one) == first | second, "the records of the second topic", [one])
        one.leave()


def test_a_pattern_that_is_none_is_refused(broker, topic):
    make(broker, topic)
    with join("java", broker, f"^{topic}(", f"g-{topic}", **NEW_PROTOCOL) as one:
        assert one.finish() != 0
        assert "InvalidRegularExpression" in "".join(one.errors)


def test_a_group_has_settings_of_its_own(broker, topic):
    """Set to 7000, to 1, which is too short, and taken back."""
    out = run([*CLIENTS["java"].command(), "configure-group", broker.bootstrap, f"g-{topic}"])
    default, own = "500 STATIC_BROKER_CONFIG", "7000 DYNAMIC_GROUP_CONFIG"
    assert out.splitlines() == [default, own, "InvalidConfigurationException", own, default]


def test_tools_see_groups_of_the_new_protocol(broker, parted):
    group, where = f"g-{parted}", ["--bootstrap-server", broker.bootstrap]
    tool = "consumer.group.ConsumerGroupCommand"
    with join("java", broker, parted, group, **NEW_PROTOCOL) as one:
        wait_for(lambda: share(one), "the assignment", [one])
        state = console(tool, *where, "--describe", "--group", group, "--state")
        assert "Stable" in state and "uniform" in state
        members = console(tool, *where, "--describe", "--group", group, "--members", "--verbose")
        assert f"{parted}:0,1,2,3" in members.replace("(", ":").replace(")", ""), members
        one.leave()
    assert group in console(tool, *where, "--list", "--type", "consumer").split()
    assert group not in console(tool, *where, "--list", "--type", "classic").split()
    console(tool, *where, "--delete", "--group", group)
    assert group not in console(tool, *where, "--list").split()


@pytest.mark.parametrize("pattern", ["", "^"])
def test_a_group_of_the_new_protocol_survives_a_kill_of_the_broker(own_broker, topic, pattern):
    make(own_broker, topic)
    quick = {"reconnect_backoff_max_ms": "500"}
    with join("confluent-kafka", own_broker, pattern + topic, "g", **NEW_PROTOCOL, **quick) as one:
        first = produce(own_broker, topic, 0, 40)
        wait_for(lambda: values(one) == first, "the first records", [one])
        own_broker.kill()
        own_broker.start()
        second = produce(own_broker, topic, 40, 40)
        wait_for(lambda: values(one) == first | second, "the records after it", [one])
        one.leave()
    assert soon(lambda: committed(own_broker, "g", topic) == dict.fromkeys(range(PARTITIONS), 20))


def test_a_member_that_vanishes_is_taken_out_after_its_session(broker, parted):
    group = f"g-{parted}"
    quick = {"session_timeout_ms": "6000", "heartbeat_interval_ms": "1000"}
    with join("confluent-kafka", broker, parted, group, **quick) as one:
        with join("confluent-kafka", broker, parted, group, **quick) as two:
            wait_for(lambda: share(one, two), "a fair share", [one, two])
            two.kill()
        wait_for(lambda: share(one), "what the vanished had", [one])
        one.leave()


def test_a_group_survives_a_restart_and_a_kill_of_the_broker(own_broker, topic):
    make(own_broker, topic)
    with join("confluent-kafka", own_broker, topic, "g", reconnect_backoff_max_ms="500") as one:
        written = set()
        for round_number, end in enumerate([own_broker.stop, own_broker.kill, None]):
            written |= produce(own_broker, topic, round_number * 40, 40)
            wait_for(lambda: values(one) == written, "the records of this round", [one])
            if end is not None:
                end()
                own_broker.start()
        one.leave()
    assert soon(lambda: committed(own_broker, "g", topic) == dict.fromkeys(range(PARTITIONS), 30))


def test_console_tools_list_describe_reset_and_delete_groups(broker, parted):
    group, where = f"g-{parted}", ["--bootstrap-server", broker.bootstrap]
    produce(broker, parted, 0, 40)
    read = console("consumer.ConsoleConsumer", *where, "--topic", parted, "--group", group, "--from-beginning",
                   "--max-messages", "40")
    assert len(read.split()) == 40
    tool = "consumer.group.ConsumerGroupCommand"
    assert group in console(tool, *where, "--list").split()
    described = console(tool, *where, "--describe", "--group", group)
    lags = [line.split()[3:6] for line in described.split("\n") if line.startswith(group)]
    assert lags == [["10", "10", "0"]] * PARTITIONS, described
    assert "Empty" in console(tool, *where, "--describe", "--group", group, "--state")
    to_five = ["--reset-offsets", "--group", group, "--topic", parted, "--to-offset", "5"]
    console(tool, *where, *to_five, "--dry-run")
    assert committed(broker, group, parted)[0] == 10
    console(tool, *where, *to_five, "--execute")
    assert committed(broker, group, parted) == dict.fromkeys(range(PARTITIONS), 5)
    console(tool, *where, "--delete-offsets", "--group", group, "--topic", f"{parted}:0")
    assert committed(broker, group, parted) == dict.fromkeys(range(1, PARTITIONS), 5)
    console(tool, *where, "--delete", "--group", group)
    assert group not in console(tool, *where, "--list").split()


def test_admin_clients_see_members_and_their_partitions(broker, parted):
    group = f"g-{parted}"
    with join("confluent-kafka", broker, parted, group) as one:
        wait_for(lambda: share(one), "the assignment", [one])
        described = ask(broker, "describe_consumer_groups", [group])
        assert described.state.name == "STABLE" and described.coordinator.id == 1
        (member,) = described.members
        assert {part.partition for part in member.assignment.topic_partitions} == set(range(PARTITIONS))
        assert member.host == "/127.0.0.1" and member.client_id
        client = confluent_kafka.admin.AdminClient({"bootstrap.servers": broker.bootstrap})
        listed = client.list_consumer_groups().result(10)
        assert group in {found.group_id for found in listed.valid} and not listed.errors
        with pytest.raises(confluent_kafka.KafkaException) as caught:
            ask(broker, "delete_consumer_groups", [group])
        assert caught.value.args[0].name() == "NON_EMPTY_GROUP"
        one.leave()
    ask(broker, "delete_consumer_groups", [group])


def test_what_a_group_may_not_do_has_kafkas_errors(broker, parted):
    consumer = confluent_kafka.Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "g-" + parted})
    try:
        part = confluent_kafka.TopicPartition(parted, 0, 5)
        assert consumer.commit(offsets=[part], asynchronous=False)[0].offset == 5
        assert consumer.committed([part])[0].offset == 5
        for refused, error in [
            (confluent_kafka.TopicPartition(parted, 0, 6, metadata="x" * 5000), "OFFSET_METADATA_TOO_LARGE"),
            (confluent_kafka.TopicPartition(parted + "-none", 0, 6), "UNKNOWN_TOPIC_OR_PART"),
        ]:
            with pytest.raises(confluent_kafka.KafkaException) as caught:
                consumer.commit(offsets=[refused], asynchronous=False)
            assert caught.value.args[0].name() == error
        assert consumer.committed([part])[0].offset == 5
    finally:
        consumer.close()


@pytest.mark.parametrize("strategy", ["range", "cooperative-sticky"])
def test_a_group_goes_over_to_the_new_protocol_and_back_with_its_members(broker, parted, strategy):
    """KIP-848: members of both protocols share the partitions for as long as both are there."""
    group = f"g-{parted}"
    classic = {"partition_assignment_strategy": strategy, "heartbeat_interval_ms": "500"}
    new = {"group_protocol": "consumer"}
    written = set()

    def produce_to(*members) -> None:
        written.update(produce(broker, parted, len(written), 40))
        wait_for(lambda: values(*everyone) == written, "all records", list(members))

    with join("confluent-kafka", broker, parted, group, **classic) as old:
        everyone = [old]
        wait_for(lambda: share(old), "everything for the first", [old])
        produce_to(old)
        with join("java", broker, parted, group, **new) as one:
            everyone.append(one)
            wait_for(lambda: share(old, one), "a share for each protocol", [old, one])
            produce_to(old, one)
            old.leave()
            wait_for(lambda: share(one), "everything for the new one", [one])
            produce_to(one)
            with join("confluent-kafka", broker, parted, group, **classic) as back:
                everyone.append(back)
                wait_for(lambda: share(one, back), "a share for each protocol again", [one, back])
                one.leave()
                wait_for(lambda: share(back), "everything for the classic one", [back])
                produce_to(back)
                back.leave()
