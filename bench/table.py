"""Run the benchmarks and write the table of docs/speed.md.

    python bench/table.py                 # the quick sizes, at most half an hour together: make bench
    python bench/table.py --full          # every one at its full size: make bench-full, hours
    python bench/table.py --only recall start
    python bench/table.py --write         # the table alone, from the records

Each runs in a process of its own, one after another, and compares with its peer in that process or its children. Its
figures, command, machine, versions and commit are recorded in bench/results.json; a quick size never replaces a record
of the full size, unless ``--replace``. One that fails or has no time left keeps its earlier record and is named at the
end; then the exit status is 1.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rows import ROWS, Row

ROOT = Path(__file__).parents[1]
RECORDS, PAGE = ROOT / "bench/results.json", ROOT / "docs/speed.md"
START, END = "<!-- bench: written by make bench -->", "<!-- /bench -->"
MINUTES = 30

Record = Mapping[str, Any]
Records = dict[str, Record]


def read_records(path: Path = RECORDS) -> Records:
    """Return the records by row's name; none if there is no file."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def describe_commit(root: Path = ROOT) -> str:
    """Return the commit's short name, with a plus if files differ from it; ``unknown`` outside of a repository."""

    def git(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False).stdout.strip()

    commit = git("rev-parse", "--short=10", "HEAD")
    changed = git("status", "--porcelain", "--untracked-files=no", "--", "src", "bench")
    return f"{commit}{'+' if changed else ''}" if commit else "unknown"


def run_row(row: Row, arguments: Sequence[str], seconds: float | None) -> Record | str:
    """Run a row's script; return its record, or why there is none.

    Args:
        row: The row.
        arguments: Of the script.
        seconds: Time left; None: as long as it takes.
    """
    from machine import describe_machine  # imports torch, which writing the table does not need

    command = [sys.executable, str(ROOT / "bench" / row.script), *arguments]
    began = time.monotonic()
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True)
    try:
        output, _ = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        return "no time left"
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)  # with the processes that it started
            process.wait()
    print(output, flush=True)
    if process.returncode:
        return f"exit code {process.returncode}"
    try:
        figures = json.loads(output.strip().splitlines()[-1])
        result = row.result(figures)
    except (ValueError, KeyError, IndexError, TypeError) as error:
        return f"its last line holds no such figures ({error!r})"
    return {
        "what": row.what,
        "command": " ".join(["bench/" + row.script, *arguments]),
        "result": result,
        "seconds": round(time.monotonic() - began),
        "machine": describe_machine(),
        "commit": describe_commit(),
        "full": list(arguments) == list(row.full),
        "figures": figures,
    }


def keep(records: Records, name: str, record: Record, replace: bool) -> bool:
    """Put a record in its place unless it is a quick one and the present one has the full size; tell whether it is."""
    if not replace and not record["full"] and records.get(name, {}).get("full"):
        return False
    records[name] = record
    return True


def render(records: Records, rows: Sequence[Row] = ROWS) -> str:
    """Return the table of all recorded rows, with a list of the machines and commits that it was measured on."""
    measured = [records[row.name] for row in rows if row.name in records]
    places = list(dict.fromkeys((record["machine"], record["commit"]) for record in measured))
    lines = ["| what, and against what | command | result | on |", "|---|---|---|---|"]
    for record in measured:
        number = places.index((record["machine"], record["commit"])) + 1
        cells = (record["what"], f"`{record['command']}`", record["result"], str(number))
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    lines += ["", "Measured on:", ""]
    lines += [f"{number}. {machine}; commit {commit}" for number, (machine, commit) in enumerate(places, 1)]
    return "\n".join(lines)


def insert(page: str, table: str) -> str:
    """Return a page with the text between the two markers replaced.

    Raises:
        SystemExit: if the page does not have each marker once, in their order.
    """
    before, start, rest = page.partition(START)
    _, end, after = rest.partition(END)
    if not start or not end or START in after or END in after:
        raise SystemExit(f"{PAGE}: needs the lines {START} and {END} once each")
    return f"{before}{START}\n{table}\n{END}{after}"


def save(records: Records) -> None:
    """Write the records and the page."""
    RECORDS.write_text(json.dumps(records, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    PAGE.write_text(insert(PAGE.read_text(encoding="utf-8"), render(records)), encoding="utf-8")


def main() -> None:
    """Run the rows that were asked for and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--full", action="store_true", help="every row at its full size")
    parser.add_argument("--only", nargs="+", choices=[row.name for row in ROWS], default=[row.name for row in ROWS])
    parser.add_argument("--write", action="store_true", help="write the table from the records and run nothing")
    parser.add_argument("--replace", action="store_true", help="let a quick size replace a record of the full size")
    options = parser.parse_args()
    records = read_records()
    deadline, missing = None if options.full else time.monotonic() + 60 * MINUTES, []
    for row in () if options.write else ROWS:
        arguments = row.arguments(options.full)
        if row.name not in options.only or arguments is None:
            continue
        print(f"=== {row.name}: {row.what}", flush=True)
        found = run_row(row, arguments, None if deadline is None else max(1.0, deadline - time.monotonic()))
        if isinstance(found, str):
            missing.append(f"{row.name}: {found}")
            continue
        print(f"{row.name}, {found['seconds']} s: {found['result']}", flush=True)
        if not keep(records, row.name, found, options.replace):
            print(f"{row.name}: docs/speed.md keeps its record of the full size", flush=True)
        save(records)  # after each: an interrupted run keeps what it has measured
    save(records)
    if missing:
        raise SystemExit("Not measured:\n" + "\n".join(missing))


if __name__ == "__main__":
    main()
