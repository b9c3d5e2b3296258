"""DLog's C++ client and `dlog top` with partitions that are added, and with a Kafka cluster of three nodes whose
leaders move: requests go to the right node, and nothing is lost or written twice."""

import json
import subprocess

import confluent_kafka
import confluent_kafka.admin
import pytest
from apache_kafka import KafkaCluster
from conftest import start_broker
from cpp_client_test import PROTOCOLS, client, member, prefix  # noqa: F401
from drivers import run
from members import Member, wait_for
from node import BINARY

AGE = "metadata.max.age.ms=300"
PARTITIONS = 6


def administer(broker, method: str, *arguments):
    """What the only future that the method returns comes to."""
    admin = confluent_kafka.admin.AdminClient({"bootstrap.servers": broker.bootstrap})
    asked = getattr(admin, method)(*arguments)
    return (next(iter(asked.values())) if isinstance(asked, dict) else asked).result(20)


def create(broker, topic: str, partitions: int, replicas: int) -> None:
    try:
        administer(broker, "create_topics", [confluent_kafka.admin.NewTopic(topic, partitions, replicas)])
    except confluent_kafka.KafkaException as error:
        # The name is nobody else's: librdkafka asked twice because the first answer was slow.
        if error.args[0].code() != confluent_kafka.KafkaError.TOPIC_ALREADY_EXISTS:
            raise


class Flow:
    """A producer that goes on until `end`, which says how many records it has delivered."""

    def __init__(self, client, broker, topic: str, *more: str):  # noqa: F811
        self.process = subprocess.Popen(
            [*client.command(), "flow", broker.bootstrap, topic, *more],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )

    def end(self) -> int:
        printed, errors = self.process.communicate(timeout=90)
        assert self.process.returncode == 0, errors
        return int(printed)

    def __enter__(self) -> "Flow":
        return self

    def __exit__(self, *_) -> None:
        self.process.kill()
        self.process.wait()


def more_of_all(one: Member, partitions: int, records: int = 20):
    """Whether so many more records than now have come of every partition."""
    before = len(one.rows)

    def have_come() -> bool:
        new = [partition for partition, *_ in one.rows[before:]]
        return all(new.count(number) >= records for number in range(partitions))

    return have_come


def check_log(client, broker, topic: str, count: int) -> None:  # noqa: F811
    """Every record is there once."""
    read = run([*client.command(), "since", broker.bootstrap, topic, "0", str(count)]).split()
    assert sorted(read[2::3]) == sorted(f"k{i}" for i in range(count))
    ends = [confluent_kafka.TopicPartition(topic, number) for number in range(PARTITIONS)]
    consumer = confluent_kafka.Consumer({"bootstrap.servers": broker.bootstrap, "group.id": "none"})
    assert sum(consumer.get_watermark_offsets(one, timeout=20)[1] for one in ends) == count
    consumer.close()


@pytest.fixture(scope="module", params=["dlog", "kafka"])
def either(request, tmp_path_factory):
    with start_broker(request.param, tmp_path_factory.mktemp(request.param)) as running:
        yield running


@pytest.mark.parametrize("settings", PROTOCOLS, ids=["range", "cooperative", "consumer"])
def test_partitions_that_are_added_are_written_and_read(client, either, topic, settings):  # noqa: F811
    create(either, topic, 2, 1)
    words = [f"{name.replace('_', '.')}={value}" for name, value in settings.items()]
    command = [*client.command(), "group", either.bootstrap, topic, f"g-{topic}", *words, AGE]
    with Member(command) as one, Flow(client, either, topic, AGE) as flow:
        wait_for(more_of_all(one, 2), "records of both partitions", [one])
        administer(either, "create_partitions", [confluent_kafka.admin.NewPartitions(topic, PARTITIONS)])
        wait_for(lambda: one.assigned == set(range(PARTITIONS)), "the new partitions", [one])
        wait_for(more_of_all(one, PARTITIONS), "records of all partitions", [one])
        count = flow.end()
        written = sorted(f"v{i}" for i in range(count))
        wait_for(lambda: sorted(row[3] for row in one.rows) == written, "every record once", [one])
        one.leave()


def test_a_partition_that_was_just_added_can_be_written_to(client, either, topic):  # noqa: F811
    create(either, topic, 1, 1)
    run([*client.command(), "grown", either.bootstrap, topic, "4"])


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    with KafkaCluster(tmp_path_factory.mktemp("cluster")) as running:
        admin = confluent_kafka.admin.AdminClient({"bootstrap.servers": running.bootstrap})
        wait_for(lambda: len(admin.list_topics(timeout=20).brokers) == 3, "all nodes in the cluster", [])
        yield running


def leaders(cluster, topic: str) -> list[int]:
    admin = confluent_kafka.admin.AdminClient({"bootstrap.servers": cluster.bootstrap})
    partitions = admin.list_topics(topic, timeout=20).topics[topic].partitions
    return [partitions[number].leader for number in range(PARTITIONS)]


def test_leaders_are_followed_wherever_they_move(client, cluster, topic):  # noqa: F811
    create(cluster, topic, PARTITIONS, 3)
    wait_for(lambda: set(leaders(cluster, topic)) == {1, 2, 3}, "a leader on each node", [])
    at_first = leaders(cluster, topic)
    with member(client, cluster, topic) as one, Flow(client, cluster, topic) as flow:
        wait_for(more_of_all(one, PARTITIONS), "records of all partitions", [one])
        # The node is gone without a word.
        cluster.nodes[2].kill()
        wait_for(more_of_all(one, PARTITIONS), "records of all partitions without node 2", [one])
        assert 2 not in leaders(cluster, topic)
        # It comes back, and its partitions return to it while those that led them meanwhile are well: they answer
        # NOT_LEADER_OR_FOLLOWER from then on.
        cluster.nodes[2].start()
        moving = [confluent_kafka.TopicPartition(topic, number) for number in range(PARTITIONS)]

        def are_back() -> bool:
            administer(cluster, "elect_leaders", confluent_kafka.ElectionType.PREFERRED, moving)
            return leaders(cluster, topic) == at_first

        wait_for(are_back, "the leaders of the beginning", [one])
        wait_for(more_of_all(one, PARTITIONS), "records of all partitions from their first leaders", [one])
        count = flow.end()
        written = {f"v{i}" for i in range(count)}
        wait_for(lambda: {row[3] for row in one.rows} == written, "every record", [one])
        one.leave()
    check_log(client, cluster, topic, count)


def look(cluster) -> dict:
    command = [str(BINARY), "top", "-b", cluster.bootstrap, "-n", "1", "--interval", "0.1", "--json"]
    return json.loads(run(command))


def test_top_shows_the_nodes_of_a_cluster_and_what_each_leads(client, cluster, topic):  # noqa: F811
    create(cluster, topic, PARTITIONS, 3)
    client.produce(cluster, topic, "none", 100)
    seen = look(cluster)
    assert [node["id"] for node in seen["nodes"]] == [1, 2, 3]
    assert all(node["partitions_led"] >= 2 and node["size_bytes"] > 0 for node in seen["nodes"])
    mine = next(one for one in seen["topics"] if one["name"] == topic)
    assert mine["partitions"] == PARTITIONS and mine["records"] == 100 and mine["size_bytes"] > 0
    cluster.nodes[3].stop()
    seen = look(cluster)
    assert [node["id"] for node in seen["nodes"]] == [1, 2]
    assert next(one for one in seen["topics"] if one["name"] == topic)["records"] == 100
