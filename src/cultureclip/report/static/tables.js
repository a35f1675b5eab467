// Tables marked data-sortable sort by a column when its head is pressed: once up, twice down.
// On a phone a table of scores shows of each benchmark the model that the page is about; the others unfold.
"use strict";

if (matchMedia("(max-width: 720px)").matches)
  for (const body of document.querySelectorAll("table.scores tbody")) {
    const others = body.querySelectorAll("tr:not(.group, .own)");
    if (!body.querySelector(".own") || !others.length) continue;
    const button = document.createElement("button");
    button.type = "button";
    const fold = (folded) => {
      body.classList.toggle("folded", folded);
      button.setAttribute("aria-expanded", String(!folded));
      button.textContent = `${folded ? "Show" : "Hide"} ${others.length} other model${others.length === 1 ? "" : "s"}`;
    };
    button.addEventListener("click", () => fold(!body.classList.contains("folded")));
    body.querySelector(".group th").append(button);
    fold(true);
  }

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
