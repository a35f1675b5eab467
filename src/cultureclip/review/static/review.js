// Shows pairs one by one and sends decisions. Texts come from data and are only ever set as text.
"use strict";

const KEYS = { a: "accepted", r: "rejected", c: "comment", u: "withdraw", ArrowLeft: "back", ArrowRight: "on" };
const MEASURES = {
  visual_similarity: "Likeness of looks",
  above_random_pairs: "Share of random pairs less alike",
  cultural_overlap: "Closeness of contexts",
  score: "Score",
};
const place = (id) => document.getElementById(id);
const comment = place("comment");
let decided = [], pair = null, busy = false;

function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const list = (texts) => make("ul", {}, ...texts.map((text) => make("li", {}, text)));

function say(text, isFault = false) {
  place("status").textContent = text;
  place("status").className = isFault ? "fault" : "quiet";
}

async function ask(address, body) {
  const options = body ? { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) } : {};
  const answer = await fetch(address, options);
  const isJson = answer.headers.get("Content-Type") === "application/json";
  const value = isJson ? await answer.json() : null;
  if (!answer.ok) throw new Error(value?.error ?? `the server answers ${answer.status}`);
  return value;
}

// One thing at a time; what goes wrong is said, and nothing is taken for done.
async function act(work) {
  if (busy) return;
  busy = true;
  try {
    await work();
  } catch (error) {
    say(`${error.message}. Is the command that serves this page still running?`, true);
  } finally {
    busy = false;
  }
}

function drawSide(side) {
  const pictures = side.pictures.map((picture) =>
    make("figure", {}, make("img", { src: picture.data, alt: `${side.name}, ${picture.kind} picture` }), make("figcaption", {}, picture.kind)));
  return make("article", { class: "side" },
    make("h2", {}, side.name),
    make("p", { class: "quiet" }, `${side.universal} · ${side.cultures.join(", ")}`),
    make("div", { class: "pictures" }, ...pictures),
    ...side.missing.map((text) => make("p", { class: "fault" }, text)),
    make("p", {}, side.context),
    make("h3", {}, "Has, and the other has not"), list(side.features),
    ...(side.captions.length ? [make("h3", {}, "Captions"), list(side.captions)] : []));
}

function drawRevealed() {
  const { revealed } = pair;
  place("revealed").hidden = !revealed;
  if (!revealed) return;
  place("mining").textContent = `Mining: ${revealed.mining}.`;
  place("measures").replaceChildren(...Object.entries(MEASURES).flatMap(([name, title]) =>
    [make("dt", {}, title), make("dd", {}, revealed.measures[name] === null ? "not known" : revealed.measures[name].toFixed(4))]));
  place("rejected").replaceChildren(...revealed.rejected.map((others, side) => make("div", {},
    make("h3", {}, `Also like ${pair.sides[side].name}, and not taken`),
    list(others.map(([name, similarity, reason]) => `${name} (${similarity.toFixed(3)}): ${reason}`)))));
}

function draw() {
  place("pair").hidden = false;
  place("place").textContent = `${pair.number + 1} of ${decided.length}`;
  place("decided").textContent = `${decided.filter(Boolean).length} of ${decided.length}`;
  place("what").textContent = pair.category + (pair.shared.length ? ` · both: ${pair.shared.join(", ")}` : "");
  place("sides").replaceChildren(...pair.sides.map(drawSide));
  comment.value = pair.comment;
  for (const button of document.querySelectorAll("[data-do]"))
    button.setAttribute("aria-pressed", String(button.dataset.do === pair.decision));
  drawRevealed();
}

async function show(number) {
  pair = await ask(`pairs/${number}`);
  draw();
}

async function decide(decision) {
  pair = await ask("decisions", { pair: pair.number, decision, comment: comment.value });
  decided[pair.number] = pair.decision;
  draw();
  say(`Pair ${pair.number + 1} is kept: ${pair.decision ?? "not decided"}.`);
}

const actions = {
  accepted: () => decide("accepted"),
  rejected: () => decide("rejected"),
  withdraw: () => decide(null),
  comment: async () => comment.focus(),
  back: () => show((pair.number + decided.length - 1) % decided.length),
  on: () => show((pair.number + 1) % decided.length),
};

document.addEventListener("keydown", (event) => {
  if (!pair || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target === comment) {
    if (event.key !== "Escape") return;
    comment.blur();
    if (comment.value.trim() !== pair.comment) act(() => decide(pair.decision));
  } else if (KEYS[event.key]) {
    event.preventDefault();
    act(actions[KEYS[event.key]]);
  }
});

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-do]");
  if (button && pair) act(actions[button.dataset.do]);
});

act(async () => {
  const all = await ask("pairs");
  decided = all.decided;
  comment.maxLength = all.commentLimit;
  place("reviewer").textContent = all.reviewer;
  const first = decided.indexOf(null);
  await show(first < 0 ? 0 : first);
  say(first < 0 ? "You have decided all pairs." : "");
});
