"""The preStop hook of a worker pod: tells Ray that this node goes, and waits until its replicas have gone.

Serve starts replacements elsewhere, sends new requests there, and lets these replicas finish their streams.
`ray stop`, the usual hook, would cut them.
"""

import argparse
import sys
import time

import ray
from ray._raylet import GcsClient
from ray.core.generated import autoscaler_pb2
from ray.util.state import list_actors

REPLICA = "ServeReplica"
PREEMPTION = autoscaler_pb2.DrainNodeReason.DRAIN_NODE_REASON_PREEMPTION
"""The only reason for which a node that is not idle is drained."""


class NotDrained(RuntimeError):
    """Ray does not let this node go; the message is Ray's."""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m deployments.kubernetes.drain", description=__doc__)
    parser.add_argument(
        "--within", type=int, default=360, metavar="SECONDS", help="then the node goes anyway"
    )
    within = parser.parse_args(arguments).within
    ray.init(address="auto", log_to_driver=False, configure_logging=False)
    context = ray.get_runtime_context()
    end = time.monotonic() + within
    drain(context.gcs_address, node := context.get_node_id(), within)
    while (left := replicas_on(node)) and time.monotonic() < end:
        time.sleep(1)
    print(f"{left} replicas are left" if left else "drained")
    return int(bool(left))


def drain(gcs_address: str, node: str, within_s: int) -> None:
    """Ask for it; Ray places nothing there from now on."""
    deadline_ms = int((time.time() + within_s) * 1000)
    accepted, why = GcsClient(address=gcs_address).drain_node(node, PREEMPTION, "the pod ends", deadline_ms)
    if not accepted:
        raise NotDrained(why)


def replicas_on(node: str) -> int:
    actors = list_actors(filters=[("node_id", "=", node), ("state", "=", "ALIVE")], limit=1000)
    return sum(1 for actor in actors if REPLICA in actor.class_name)


if __name__ == "__main__":
    sys.exit(main())
