"""Connected components against networkx."""

import networkx as nx
from hypothesis import given
from hypothesis import strategies as st

from cultureclip.graphs import connect


@given(st.lists(st.tuples(st.integers(0, 12), st.integers(0, 12))))
def test_every_node_is_mapped_to_the_smallest_that_it_is_connected_with(pairs: list[tuple[int, int]]) -> None:
    expected = {node: min(group) for group in nx.connected_components(nx.Graph(pairs)) for node in group}
    assert connect(pairs) == expected
    names = connect((f"{a:02}", f"{b:02}") for a, b in pairs)
    assert names == {f"{node:02}": f"{first:02}" for node, first in expected.items()}
