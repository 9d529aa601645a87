"""Sequences of requests, drawn and answered by the simulated cluster, put to a real control plane: same answers?"""

import collections
import concurrent.futures
import json
import queue
import subprocess
import threading
import time

from harness import ControlPlane, Failed

from .cluster import Cluster
from .differences import LISTED
from .player import Adapter, Difference, Player

# Sequences that go on side by side.
SIDE_BY_SIDE = 12
# A sequence that differs is played again, in a new namespace: what a control plane does once and not again is left to
# chance, which the simulated worlds that draw the sequences may have underrated.
TRIES = 3


class Tally:
    def __init__(self):
        self.lock = threading.Lock()
        self.sequences = self.requests = self.same = self.chance = 0
        self.kinds = collections.Counter()
        self.listed = collections.Counter()
        self.differences = []

    def text(self):
        listed = sum(self.listed.values())
        return (
            f"{self.sequences} sequences, {self.requests} requests put to both, {self.same} with the same answer and consequences, "
            f"{listed} with a listed difference, {len(self.differences)} with another; {self.chance} sequences went otherwise once "
            "and the same when played again"
        )


def control_plane(work):
    """A control plane whose nodes are played here."""
    flags = [f"--default-{what}-toleration-seconds=2" for what in ("not-ready", "unreachable")]
    options = ["--no-prometheus", "--node-grace", "40s", *(part for flag in flags for part in ("--apiserver-flag", flag))]
    plane = ControlPlane(work, quiet=True, options=options)
    plane.ctl("stop", "kwok")
    return plane


def drawn(simulator, seeds, requests):
    command = [simulator, "answers", "--seeds", f"{seeds.start}..{seeds.stop}", "--requests", str(requests)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return [json.loads(line) for line in done.stdout.splitlines()]


def listed(difference):
    return next((entry for entry in LISTED if entry.explains(difference)), None)


def settled(found):
    """Whether differences met one after the other are enough: one that is listed, or the same request twice."""
    return bool(found) and (listed(found[-1]) is not None or len(found) > 1 and found[-1].step == found[-2].step)


def play(cluster, adapters, sequence, tally, tell):
    seed, steps = sequence["seed"], sequence["steps"]
    adapter = adapters.get()
    found = []
    try:
        for attempt in range(TRIES):
            player = Player(cluster, adapter, f"f{seed}-{attempt}")
            try:
                player.play(steps)
                break
            except Difference as difference:
                found.append(difference)
                if settled(found):
                    break
            finally:
                player.clean()
    finally:
        adapters.put(adapter)
    different = len(found) == TRIES or settled(found)
    with tally.lock:
        tally.sequences += 1
        last = found[-1].step if different else len(steps)
        tally.same += last
        tally.requests += last + (1 if different else 0)
        tally.kinds.update(step["request"]["do"] for step in steps[:last])
        if not different:
            tally.chance += bool(found)
            for difference in found:
                tell(f"  once, seed {seed}, request {difference.step}: {json.dumps(difference.request)}: {'; '.join(difference.what)}")
            return
        difference = found[-1]
        entry = listed(difference)
        if entry:
            tally.listed[entry.name] += 1
            return
        tally.differences.append((seed, difference))
        tell(f"DIFFERENT seed {seed}, request {difference.step}: {json.dumps(difference.request)}")
        for line in difference.what:
            tell(f"    {line}")


def compare(programs, plane, seeds, requests, tell=print, side_by_side=SIDE_BY_SIDE):
    """Draws the sequences of the seeds and plays them. The tally."""
    tally = Tally()
    began = time.monotonic()
    sequences = drawn(programs / "simulator", seeds, requests)
    short = [sequence["seed"] for sequence in sequences if len(sequence["steps"]) < requests]
    if short:
        raise Failed(f"the sequences of {short} ended early: nothing could be drawn that is not left to chance")
    cluster = Cluster(plane)
    adapters = queue.Queue()
    made = [Adapter(programs / "examples/answers", plane) for _ in range(side_by_side)]
    for adapter in made:
        adapters.put(adapter)
    # Those that wait for slow controllers first.
    slow = lambda sequence: any(step["request"]["do"] in ("crash", "delete-node") for step in sequence["steps"])
    sequences.sort(key=lambda sequence: not slow(sequence))
    try:
        with concurrent.futures.ThreadPoolExecutor(side_by_side) as pool:
            played = [pool.submit(play, cluster, adapters, sequence, tally, tell) for sequence in sequences]
            for each in concurrent.futures.as_completed(played):
                each.result()
    finally:
        cluster.end()
        for adapter in made:
            adapter.end()
    for trouble in cluster.troubles[:10]:
        tell(f"  trouble: {trouble}")
    tell(f"{tally.text()}; {time.monotonic() - began:.0f} s")
    tell("  " + ", ".join(f"{kind} {count}" for kind, count in sorted(tally.kinds.items())))
    for entry in LISTED:
        count = tally.listed[entry.name]
        tell(f"  listed: {entry.name}: " + (f"met {count} times" if count else "NOT MET: does it still hold?"))
    return tally
