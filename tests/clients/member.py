"""A member of a group on one of the Python clients, one process each:

    member.py CLIENT BOOTSTRAP TOPIC GROUP [SETTING=VALUE...]

Prints "= PARTITION,..." whenever its assignment changes and "PARTITION<TAB>OFFSET<TAB>KEY<TAB>VALUE" for every record,
and leaves when its input ends.
"""

import sys
import threading

import confluent_kafka
import kafka


def until_input_ends() -> threading.Event:
    ended = threading.Event()
    threading.Thread(target=lambda: (sys.stdin.read(), ended.set()), daemon=True).start()
    return ended


def tell(line: str) -> None:
    print(line, flush=True)


def text(data: bytes | None) -> str:
    return data.decode() if data is not None else ""


def confluent(bootstrap: str, topic: str, group: str, settings: dict[str, str]) -> None:
    consumer = confluent_kafka.Consumer(
        {"bootstrap.servers": bootstrap, "group.id": group, "auto.offset.reset": "earliest", **settings}
    )
    consumer.subscribe([topic])
    ended, known = until_input_ends(), None
    while not ended.is_set():
        message = consumer.poll(0.1)
        assigned = sorted(part.partition for part in consumer.assignment())
        if assigned != known:
            known = assigned
            tell("= " + ",".join(map(str, assigned)))
        if message is not None:
            assert message.error() is None, message.error()
            tell(f"{message.partition()}\t{message.offset()}\t{text(message.key())}\t{text(message.value())}")
    consumer.close()


def kafka_python(bootstrap: str, topic: str, group: str, settings: dict[str, str]) -> None:
    more = {name.replace(".", "_"): int(value) if value.isdigit() else value for name, value in settings.items()}
    consumer = kafka.KafkaConsumer(
        topic, bootstrap_servers=bootstrap, group_id=group, auto_offset_reset="earliest", **more
    )
    ended, known = until_input_ends(), None
    while not ended.is_set():
        found = consumer.poll(100)
        assigned = sorted(part.partition for part in consumer.assignment())
        if assigned != known:
            known = assigned
            tell("= " + ",".join(map(str, assigned)))
        for records in found.values():
            for r in records:
                tell(f"{r.partition}\t{r.offset}\t{text(r.key)}\t{text(r.value)}")
    consumer.close()


if __name__ == "__main__":
    client, *where = sys.argv[1:5]
    run = {"confluent-kafka": confluent, "kafka-python": kafka_python}[client]
    run(*where, dict(setting.split("=", 1) for setting in sys.argv[5:]))
