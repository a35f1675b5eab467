"""The Kedro face: wiring, nodes, parameters."""
