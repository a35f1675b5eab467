// Tables marked data-sortable sort by a column when its head is pressed: once up, twice down.
"use strict";

for (const table of document.querySelectorAll("table[data-sortable]")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    if (head.hasAttribute("data-unsorted")) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => sort(table, heads, column));
  });
}

function sort(table, heads, column) {
  const down = heads[column].getAttribute("aria-sort") === "ascending";
  heads.forEach((head) => head.removeAttribute("aria-sort"));
  heads[column].setAttribute("aria-sort", down ? "descending" : "ascending");
  const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent.trim();
  const number = (text) => (text === "" ? NaN : Number(text));
  const body = table.tBodies[0];
  const rows = [...body.rows].sort((first, second) => {
    const [a, b] = [key(first), key(second)];
    const [x, y] = [number(a), number(b)];
    if (Number.isNaN(x) !== Number.isNaN(y)) return Number.isNaN(x) ? 1 : -1; // what has no figure comes last both ways
    const order = Number.isNaN(x) ? a.localeCompare(b) : x - y;
    return down ? -order : order;
  });
  body.append(...rows);
}
