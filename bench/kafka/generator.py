"""Our own generator (bench/load/kload), and the floors (bench/floor): what the work costs without a broker around it.

kload sends batches that it encoded before and discards what it fetches, so that the broker is the limit. A floor
program takes the same requests from it.
"""

import json
import pathlib
import statistics
import subprocess
import time

from node import free_port

BATCH_BYTES = 64 * 1024
NOT_LEADER = 6  # NOT_LEADER_OR_FOLLOWER


def options(case) -> list[str]:
    """What a case asks for, in kload's words: batches of 64 KiB, up to 16 partitions in one request."""
    size, partitions = case.driver["size"], case.partitions
    per_batch = max(1, min(BATCH_BYTES // size, case.driver.get("batch_records", 1 << 20)))
    words = {"partitions": partitions, "record-size": size, "batch-records": per_batch, "acks": -1}
    words["records"] = case.driver["records"]
    words["warmup"] = case.driver["records"] // 10
    words["bundle"] = min(partitions, 16)
    return [word for name, value in words.items() for word in (f"--{name}", str(value))]


def run(programs: pathlib.Path, mode: str, address: str, topic: str, pid: int, words: list[str]) -> dict:
    command = [str(programs / "load" / "kload"), mode, address, topic, *words, "--pid", str(pid)]
    for _ in range(20):
        ran = subprocess.run(command, capture_output=True, text=True, timeout=300)
        if ran.stdout.strip():
            result = json.loads(ran.stdout.strip().split("\n")[-1])
            if ran.returncode == 0:
                return result
            if result["first_error"] == NOT_LEADER:  # the broker has told of its leadership before taking it up
                time.sleep(1)
                continue
        break
    raise RuntimeError(f"kload {mode}: {ran.stdout.strip()} {ran.stderr.strip()}")


def produce(programs, broker, topic: str, case) -> dict:
    return run(programs, "produce", broker.server.bootstrap, topic, broker.server.pid, options(case))


def consume(programs, broker, topic: str, case) -> dict:
    return run(programs, "consume", broker.server.bootstrap, topic, broker.server.pid, options(case))


def floor(programs, name: str, arguments: list, mode: str, case) -> dict:
    """One floor program under kload."""
    port = free_port()
    command = [str(programs / "floor" / name), str(port), *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            process.stdout.readline()  # "listening on ..."
            return run(programs, mode, f"127.0.0.1:{port}", "floor", process.pid, [*options(case), "--raw"])
        finally:
            process.kill()


def floors(programs, folder: pathlib.Path, cases) -> list[dict]:
    """For each kload case, the same requests against a program that only does what must be done."""
    found = []
    for case in cases:
        if case.kind != "kload":
            continue
        file = folder / "floor"
        sync = ["--sync"] if case.durability == "sync" else []
        result = floor(programs, "floor_produce", [file, *sync], "produce", case)
        file.unlink(missing_ok=True)
        found.append({"case": case.name, "broker": "floor", **result})
        if case.then_consume:
            size, total = case.driver["size"], case.driver["size"] * case.driver["records"]
            result = floor(programs, "floor_fetch", [file, total, 1 << 20, size], "consume", case)
            file.unlink(missing_ok=True)
            found.append({"case": case.consume_name(case.then_consume[0]), "broker": "floor", **result})
    return found


def floor_table(results: list[dict]) -> str:
    """dlog beside the floor, for the cases that have one."""
    metrics = {"records_per_s": "{:,.0f}", "broker_cpu_s_per_million": "{:.3f}"}
    lines = ["", "| case | metric | dlog | floor | dlog / floor |", "| --- | --- | ---: | ---: | ---: |"]
    for case in dict.fromkeys(r["case"] for r in results if r["broker"] == "floor"):
        for metric, form in metrics.items():
            sides = [
                statistics.median(values)
                for kind in ("dlog", "floor")
                if (values := [r[metric] for r in results if (r["case"], r["broker"]) == (case, kind) and metric in r])
            ]
            if len(sides) == 2 and sides[1]:
                shown = " | ".join(form.format(value) for value in sides)
                lines.append(f"| {case} | {metric} | {shown} | {sides[0] / sides[1]:.2f} |")
    return "\n".join(lines) if len(lines) > 3 else ""
