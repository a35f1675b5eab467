"""Text is UTF-8 whatever the locale: nothing opens a text file without saying so."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src/cultureclip"
C_LOCALE = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
SAVE = """
import locale, sys
from pathlib import Path
import plotly.graph_objects as go
from cultureclip.datasets.json_dataset import JSONDataset
from cultureclip.datasets.plotly_dataset import PlotlyDataset
from cultureclip.datasets.text_dataset import TextDataset
from cultureclip.report.exports.leaderboard import find_results, merge_results, tabulate_rows, to_html, to_latex
from cultureclip.report.markdown import to_markdown

assert locale.getpreferredencoding(False) != "UTF-8"
folder, title = Path(sys.argv[1]), "caf\\u00e9 \\u65e5\\u672c \\U0001f458"
table = tabulate_rows(merge_results(find_results([str(folder)])), [])
made = {"table.html": to_html(table), "table.md": to_markdown(table), "table.tex": to_latex(table)}
for name, text in made.items():
    TextDataset(filepath=str(folder / name)).save(text)
    assert TextDataset(filepath=str(folder / name)).load().rstrip("\\n") == text.rstrip("\\n")
JSONDataset(filepath=str(folder / "figures"), save_args={"ensure_ascii": False}).save({title: title})
assert JSONDataset(filepath=str(folder / "figures")).load() == {title: title}
for engine in ("json", "auto"):
    chart = PlotlyDataset(filepath=str(folder / "chart"), save_args={"engine": engine})
    chart.save(go.Figure(layout={"title": {"text": title}}))
    assert chart.load().layout.title.text == title
"""


def test_texts_of_other_scripts_are_saved_in_the_c_locale(tmp_path: Path) -> None:
    title = "café 日本 👘"
    result = {"dataset": title, "model": "m", "pretrained": "w", "metrics": {"acc": 0.5}}
    (tmp_path / "own.json").write_text(json.dumps(result, ensure_ascii=False), encoding="utf-8")
    environment = os.environ | C_LOCALE
    done = subprocess.run(
        [sys.executable, "-c", SAVE, str(tmp_path)], check=False, capture_output=True, text=True, env=environment
    )
    assert done.returncode == 0, done.stderr
    for name in ("table.html", "table.md", "table.tex", "figures"):
        assert title in (tmp_path / name).read_text(encoding="utf-8")


def opens_text_without_encoding(call: ast.Call) -> bool:
    """Whether a call opens, reads or writes a file as text in the locale's encoding."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    named = {keyword.arg for keyword in call.keywords}
    if name in {"read_text", "write_text"}:
        return "encoding" not in named
    modes = [one.value for one in call.args if isinstance(one, ast.Constant) and isinstance(one.value, str)]
    owner = getattr(getattr(call.func, "value", None), "id", "")
    if name != "open" or owner in {"os", "tarfile", "Image"}:
        return False
    return not any("b" in mode for mode in modes) and "encoding" not in named


@pytest.mark.parametrize(
    ("code", "wrong"),
    [
        ("p.open()", True),
        ("p.open('w')", True),
        ("open(p)", True),
        ("p.read_text()", True),
        ("p.write_text(x)", True),
        ("p.open('rb')", False),
        ("p.open(encoding='utf-8')", False),
        ("p.write_text(x, encoding='utf-8')", False),
        ("tarfile.open(p)", False),
    ],
)
def test_the_check_knows_text_from_bytes(code: str, wrong: bool) -> None:
    (call,) = (node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call))
    assert opens_text_without_encoding(call) == wrong


def test_every_text_file_is_opened_with_an_encoding() -> None:
    found = [
        f"{file.relative_to(PACKAGE)}:{node.lineno}"
        for file in sorted(PACKAGE.rglob("*.py"))
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and opens_text_without_encoding(node)
    ]
    assert found == []


def test_no_text_is_split_at_what_is_not_a_line_feed() -> None:
    methods = {
        (str(file), node.func.attr)
        for file in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    assert len(methods) > 100
    assert not [place for place, name in methods if name == "splitlines"]
