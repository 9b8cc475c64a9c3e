# Copyright (c) 2026, lab.multidevice contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The results as the tables of docs/performance.md."""

from __future__ import annotations

import typing as t

Results = dict[str, t.Any]


def make(results: Results) -> str:
    parts = [_machine(results["machine"])]
    for name, write in _WRITERS.items():
        if name in results:
            parts.append(write(results[name]))
    return "\n".join(parts)


def _table(head: t.Sequence[str], rows: t.Iterable[t.Sequence[t.Any]]) -> str:
    lines = ["| " + " | ".join(head) + " |", "|" + "---:|" * len(head)]
    lines += ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]
    return "\n".join(lines) + "\n"


def _machine(machine: Results) -> str:
    return (
        f"Measured on {machine['date']}: {machine['cpu']}, {machine['cores']} cores, Linux {machine['kernel']}, "
        f"load {machine['load_at_start']} at the start; Redis {machine['redis']} on a unix socket, "
        f"redis-py {machine['redis-py']}, Python {machine['python']}, {machine['ansible']}.\n"
    )


def _barrier_release(result: Results) -> str:
    head = ("waiters", "release", "bare PUBLISH", "ratio", "of the best rounds")
    of_server = ("server: release", "server: PUBLISH", "polling every 10 s")
    rows = [
        (
            waiters,
            f"{one['release']['median_ms']:.2f} ms",
            f"{one['publish']['median_ms']:.2f} ms",
            f"{one['ratio']:.2f}",
            f"{one['ratio_of_best']:.2f}",
            f"{one['server_cpu_us_of_a_release']} us",
            f"{one['server_cpu_us_of_a_publish']} us",
            f"{result['original'][waiters]['at_the_real_interval_s']:.1f} s",
        )
        for waiters, one in result["bare_clients"].items()
    ]
    of_threads = [
        (
            waiters,
            f"{one['release']['median_ms']:.2f} ms",
            f"{one['publish']['median_ms']:.2f} ms",
            f"{one['ratio']:.2f}",
            f"{one['ratio_of_best']:.2f}",
        )
        for waiters, one in result["threads"].items()
    ]
    return (
        "### Release of a barrier\n\nBare clients:\n\n"
        + _table((*head, *of_server), rows)
        + "\nThe collection's client beside the pubsub of its Redis library, one thread for each waiter:\n\n"
        + _table(head, of_threads)
    )


def _state_updates(result: Results) -> str:
    rows = [
        (
            nodes,
            f"{one['ours']['commands']:g}",
            one["ours"]["bytes"],
            f"{one['original']['commands']:g}",
            one["original"]["bytes"],
        )
        for nodes, one in result["cost_of_a_report"].items()
    ]
    return (
        "### Reports\n\n"
        + _table(("nodes", "commands", "bytes", "commands, one text", "bytes, one text"), rows)
        + f"\nOf {result['reporters']} reports at once, {result['lost']} are lost; "
        + f"with one text {result['lost_by_the_original']}.\n"
    )


def _split_and_register(result: Results) -> str:
    rows = [
        (
            nodes,
            f"{one['split']['median_ms']:.0f} ms",
            f"{one['register']['median_ms']:.0f} ms",
            f"{one['total']['median_ms']:.0f} ms",
            one["nodes_per_second"],
        )
        for nodes, one in result.items()
        if nodes.isdigit()
    ]
    return "### Splitting and registering\n\n" + _table(("nodes", "split", "register", "both", "nodes/s"), rows)


def _controller_cost(result: Results) -> str:
    return (
        "### The controller\n\n"
        f"{result['cpu_ms_per_node_and_step']} ms of CPU for each node and coordination step, of which "
        f"{result['cpu_ms_of_a_task_that_does_nothing']} ms are what Ansible takes for a task that does nothing "
        f"({result['nodes']} nodes, {result['steps']} steps, {result['forks']} forks).\n"
    )


def _node_scripts(result: Results) -> str:
    if "skipped" in result:
        return f"### Scripts on the machines\n\nNot measured: {result['skipped']}.\n"
    head = ("machines", "first tests start within", "all stopped after a failure", "where TERM is not heeded", "load")
    rows = [
        (
            nodes,
            f"{one['start_skew_ms']} ms",
            f"{one['stopped_ms']} ms",
            # Of two machines, none has a script that does not heed TERM.
            f"{one['killed_ms']} ms" if one["killed_ms"] else "–",
            one["load"],
        )
        for nodes, one in result["nodes"].items()
    ]
    return (
        "### Scripts on the machines\n\nAll machines are namespaces that share the cores of one computer:\n\n"
        + _table(head, rows)
        + f"\nWatching a machine takes {result['watching']['cpu_ms_per_minute']} ms of its CPU per minute.\n"
    )


def _queues(result: Results) -> str:
    rows = [
        (waiting, result["submissions"].get(waiting, ""), f"{milliseconds} ms" if milliseconds is not None else "")
        for waiting in sorted({*result["submissions"], *result["next_node_job"]}, key=int)
        for milliseconds in [result["next_node_job"].get(waiting)]
    ]
    idle, start = result["idle_workers"], result["start"]
    begins = start.get("skipped") or (
        f"With real workers on two machines that share the cores of one computer, the first script starts "
        f"{start['median_s']} s after the node jobs have entered their queues"
    )
    return (
        "### Queues\n\n"
        + _table(("runs that wait", "submissions/s", "done until the next node job is there"), rows)
        + f"\n{idle['workers']} idle workers, simulated, take {idle['cpu_percent']} % of a core of Redis; "
        + f"while 200 runs wait for others, {idle['cpu_percent_with_waiting_runs']} %. {begins}.\n"
    )


_WRITERS: dict[str, t.Callable[[Results], str]] = {
    "barrier_release": _barrier_release,
    "state_updates": _state_updates,
    "split_and_register": _split_and_register,
    "controller_cost": _controller_cost,
    "node_scripts": _node_scripts,
    "queues": _queues,
}
