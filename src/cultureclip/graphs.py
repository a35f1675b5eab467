"""Connected components: nodes that pairs connect, directly or indirectly."""

from collections.abc import Iterable
from typing import TypeVar

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

Node = TypeVar("Node", int, str)


def connect(pairs: Iterable[tuple[Node, Node]]) -> dict[Node, Node]:
    """Map every node to the smallest node of its connected component.

    Args:
        pairs: Edges without direction; a node without neighbours is a pair of itself with itself.
    """
    edges = list(pairs)
    nodes = sorted({node for edge in edges for node in edge})
    place = {node: i for i, node in enumerate(nodes)}
    a, b = ([place[edge[end]] for edge in edges] for end in (0, 1))
    graph = coo_array((np.ones(len(edges)), (a, b)), shape=(len(nodes), len(nodes)))
    _, labels = connected_components(graph, directed=False)
    first: dict[int, Node] = {}
    return {node: first.setdefault(label, node) for node, label in zip(nodes, labels.tolist(), strict=True)}
