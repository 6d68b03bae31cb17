"""``make bench-peers``: the runtime and its durable steps beside others, on one broker, in one run.

    python bench/peers_bench.py [--only stream steps workers] [--peers NAME …] [--quick] [--write] [--json]

Peers are installed the first time, each into an environment of its own (1.5 GB). ``--write`` keeps the results in
``bench/beside/results.json`` and writes them into ``docs/benchmarks.md`` and ``docs/img``.
"""

from __future__ import annotations

from beside.command import main

if __name__ == "__main__":
    main()
