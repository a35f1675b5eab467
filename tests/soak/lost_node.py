"""Generate images on a Ray cluster of three nodes on this machine, one of which is lost, and compare the bytes.

Usage: python -m tests.soak.lost_node [--images 480] [--after 0.3]

The generator has random weights. After a share of the images one node is killed with all its processes. Prints one
JSON object; exits with 1 if a byte differs from what one process makes, or if an image is missing.
"""

import argparse
import json
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import ray
from ray.cluster_utils import Cluster

from cultureclip.engine.settings import HERE, EngineSettings
from cultureclip.engine.status import read_jobs
from cultureclip.images.generation import generate_missing
from cultureclip.images.requests import plan_requests, read_recipe
from cultureclip.images.store import ShardStore
from tests.support.captions import caption_table
from tests.support.killing import count_calls, write_hooks
from tests.support.tiny_models import tiny_settings, write_tiny_sd3

_PER_CAPTION = 8


def contents(store: ShardStore) -> dict[str, bytes]:
    """Bytes of the stored parts."""
    return {path.name: path.read_bytes() for path in store.root.glob("*/*") if path.is_file()}


def lose_a_node(cluster: Cluster, node: Any, store: ShardStore, images: int, said: dict[str, Any]) -> None:
    """Kill a node as soon as the store has so many images."""
    while (there := len(ShardStore(store.root).present())) < images:
        time.sleep(0.1)
    said["images when the node was lost"] = there
    cluster.remove_node(node, allow_graceful=False)


def main() -> int:
    """Make the images twice, here and on the cluster."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--images", type=int, default=480)
    parser.add_argument("--after", type=float, default=0.3, help="share of the images after which a node is lost")
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="lost-node-"))
    settings = tiny_settings(write_tiny_sd3(folder / "model"), batch_size=2, part_size=8)
    texts = [f"a red kimono with {count} white cranes" for count in range(given.images // _PER_CAPTION)]
    requests = plan_requests(caption_table(texts), read_recipe(settings), _PER_CAPTION, shard_digits=1)
    alone, shared = ShardStore(folder / "alone"), ShardStore(folder / "shared")
    generate_missing(requests, alone, settings, HERE)
    environment = write_hooks(folder / "watched")
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "env_vars": dict(environment)})
    nodes = [cluster.add_node(num_cpus=1, env_vars=dict(environment)) for _ in range(2)]
    ray.init(address=cluster.address, log_to_driver=False)
    said: dict[str, Any] = {"nodes": sum(node["Alive"] for node in ray.nodes()), "images": len(requests)}
    loss = (cluster, nodes[-1], shared, int(given.after * len(requests)), said)
    thread = threading.Thread(target=lose_a_node, args=loss, daemon=True)
    thread.start()
    engine = EngineSettings(
        kind="ray", workers=3, threads=1, cluster=cluster.address, silent_s=10, journal=folder / "jobs"
    )
    report = generate_missing(requests, shared, settings, engine)
    thread.join(timeout=60)
    said["nodes at the end"] = sum(node["Alive"] for node in ray.nodes())
    counts = count_calls(folder / "watched").values()
    (job,) = read_jobs(folder / "jobs")
    said |= {"stored": len(shared.present()), "made": report.made, "stored twice": sum(count > 1 for count in counts)}
    said |= {"status": job.line(), "equal": contents(alone) == contents(shared)}
    print(json.dumps(said))
    ray.shutdown()
    cluster.shutdown()
    return int(not said["equal"])


if __name__ == "__main__":
    sys.exit(main())
