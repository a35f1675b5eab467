"""Tables with lists in them can be shown by kedro-viz, which writes previews as JSON."""

import json

import pandas as pd

from cultureclip.datasets.table_dataset import TableDataset


def test_a_preview_of_lists_is_json_and_the_table_itself_keeps_them(tmp_path):
    lists = {"cultures": [["JP"], ["IN", "BD"]], "seeds": [[], [1, 2]]}
    table = pd.DataFrame({"name": ["kimono", "sari"], **lists, "file": [b"\xb0", b""]})
    dataset = TableDataset(filepath=str(tmp_path / "table.parquet"))
    dataset.save(table)
    shown = json.loads(json.dumps(dataset.preview(nrows=2)))
    assert shown["columns"] == ["name", "cultures", "seeds", "file"]
    assert shown["data"] == [["kimono", "JP", "", "1 bytes"], ["sari", "IN, BD", "1, 2", "0 bytes"]]
    assert [list(cell) for cell in dataset.load()["cultures"]] == [["JP"], ["IN", "BD"]]
