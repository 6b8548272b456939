"""The same rows in streamz: python streamz_rows.py ROW EVENTS; prints the nanoseconds per event and the checksum as JSON."""

import asyncio
import json
import sys
import time

from streamz import Stream

row, events = sys.argv[1], int(sys.argv[2])
numbers = list(range(events))
checksum = 0


def keep(x):
    global checksum
    checksum += x


async def keep_later(x):
    keep(x)


def pushed(declare):
    source = Stream()
    declare(source)
    for x in numbers:
        source.emit(x)


async def pushed_in_loop(declare):
    source = Stream(asynchronous=True)
    declare(source)
    for x in numbers:
        await source.emit(x)


def summed(source):
    return source.map(lambda x: x + 1).filter(lambda x: x % 2 == 0).accumulate(lambda a, b: a + b, start=0)


def forked(source):
    a = source.map(lambda x: x + 1)
    a.union(source.map(lambda x: x + 2), source.map(lambda x: x + 3)).sink(keep)


async def iterated():
    source = Stream.from_iterable(numbers, asynchronous=True)
    source.map(lambda x: x + 1).filter(lambda x: x % 2 == 0).sink(keep)
    source.stopped = False
    await source.run()


rows = {
    "sync": lambda: pushed(lambda s: summed(s).sink(keep)),
    "awaited": lambda: asyncio.run(pushed_in_loop(lambda s: summed(s).sink(keep_later))),
    "sliding": lambda: pushed(lambda s: s.sliding_window(10, return_partial=False).map(sum).sink(keep)),
    "partition": lambda: asyncio.run(pushed_in_loop(lambda s: s.partition(100).map(sum).sink(keep))),
    "fork": lambda: pushed(forked),
    "iterate": lambda: asyncio.run(iterated()),
}

started = time.perf_counter_ns()
rows[row]()
print(json.dumps({"nanoseconds": (time.perf_counter_ns() - started) / events, "checksum": checksum}))
