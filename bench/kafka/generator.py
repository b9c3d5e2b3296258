"""Our own generator (bench/load/kload), and the floors (bench/floor): what the work costs without a broker."""


def produce(broker, topic, case) -> dict:
    raise NotImplementedError


def consume(broker, topic, case) -> dict:
    raise NotImplementedError


def floors(options, folder, cases) -> list[dict]:
    return []


def floor_table(results) -> str:
    return ""
