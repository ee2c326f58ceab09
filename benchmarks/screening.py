"""Time of screening: 10,000 rows against 4,000 ordinary prompts, all screens that need no model, one thread.

FORGETWELL_DATA=DIR python -m benchmarks.screening
"""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import cycle, islice

from forgetwell.data.reading import read_rows
from forgetwell.requests.attacks import attack_request
from forgetwell.requests.screening import Evidence, default_screens, run_screens
from forgetwell.runs.screening import screen_request
from forgetwell.types import Request


def main(rows: int = 10_000, ordinary: int = 4_000):
    tofu, rwku = read_rows("tofu:full"), read_rows("rwku:forget_level2")
    background = tuple(islice(cycle((*tofu[:2000], *rwku[:2000])), ordinary))
    asked = islice(cycle((*tofu[2000:], *rwku[2000:])), rows)
    request = Request("bench", tuple(replace(r, id=str(i)) for i, r in enumerate(asked)))
    request = attack_request(request, "stealthy(p=0.33)")
    evidence = Evidence(background)
    start, cpu = time.perf_counter(), time.process_time()
    found = screen_request(request, evidence)
    print(
        f"{rows} rows, {ordinary} ordinary prompts: {time.perf_counter() - start:.1f} s, "
        f"{time.process_time() - cpu:.1f} s of processor time, {len(found.findings)} findings"
    )
    for name in default_screens(lm=False):
        cpu = time.process_time()
        run_screens(request, evidence, [name])
        print(f"  {name:16} {time.process_time() - cpu:5.2f} s of processor time, by itself afterwards")


if __name__ == "__main__":
    main()
