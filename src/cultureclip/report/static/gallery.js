// The gallery: an index of all twins to search and filter by, and files of twins that are loaded when they are shown.
// Texts come from data and are only ever set as text.
"use strict";

const FILES_KEPT = 64;
const form = document.getElementById("filters");
const results = document.getElementById("results");
const status = document.getElementById("status");
const pageField = document.getElementById("page");
const files = new Map();
const waiting = new Map();
let index, searched, matches = [], page = 0, turn = 0;

function make(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children.filter((child) => child !== null));
  return element;
}

const fold = (text) => text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
const count = (n, noun) => `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;

// Called by gallery/index.js.
function galleryIndex(columns) {
  index = columns;
  searched = index.names.map((name, c) => fold([name, ...index.homes[c].map((home) => index.cultures[home])].join(" ")));
  for (const [field, names] of [["culture", index.cultures], ["category", index.categories], ["state", index.states]])
    names.forEach((name, number) => form.elements[field].append(make("option", { value: number }, name)));
  readAddress();
  filter();
}

// Called by gallery/twins-*.js.
function galleryTwins(number, cards) {
  files.set(number, cards);
  if (files.size > FILES_KEPT) files.delete(files.keys().next().value);
  waiting.get(number)?.resolve(cards);
  waiting.delete(number);
}

function load(number) {
  if (files.has(number)) return Promise.resolve(files.get(number));
  if (!waiting.has(number)) {
    const source = `gallery/twins-${String(number).padStart(5, "0")}.js`;
    const entry = {};
    entry.promise = new Promise((resolve, reject) => Object.assign(entry, { resolve, reject }));
    waiting.set(number, entry);
    const script = make("script", { src: source });
    script.onload = () => script.remove();
    script.onerror = () => {
      script.remove();
      waiting.delete(number);
      entry.reject(new Error(`${source} is missing: the report's folder is not whole`));
    };
    document.head.append(script);
  }
  return waiting.get(number).promise;
}

function filter() {
  const words = fold(form.elements.search.value).split(/\s+/).filter(Boolean);
  const hits = words.map((word) => searched.map((text) => text.includes(word)));
  const wanted = Object.fromEntries(["culture", "category", "state"].map((name) => {
    const value = form.elements[name].value;
    return [name, value === "" ? -1 : Number(value)];
  }));
  const { a, b, category, state, homes } = index;
  const atHome = wanted.culture < 0 ? null : homes.map((cultures) => cultures.includes(wanted.culture));
  matches = [];
  for (let i = 0; i < a.length; i++) {
    if (wanted.category >= 0 && category[i] !== wanted.category) continue;
    if (wanted.state >= 0 && state[i] !== wanted.state) continue;
    if (atHome && !atHome[a[i]] && !atHome[b[i]]) continue;
    if (hits.every((hit) => hit[a[i]] || hit[b[i]])) matches.push(i);
  }
  page = Math.min(page, pages() - 1);
  show();
}

const pages = () => Math.max(1, Math.ceil(matches.length / index.page));

async function show() {
  const mine = ++turn;
  const shown = matches.slice(page * index.page, (page + 1) * index.page);
  for (const [name, off] of [["previous", page === 0], ["next", page >= pages() - 1]])
    document.getElementById(name).disabled = off;
  pageField.value = page + 1;
  pageField.max = pages();
  document.getElementById("pages").textContent = pages().toLocaleString("en");
  writeAddress();
  try {
    const numbers = [...new Set(shown.map((i) => Math.floor(i / index.page)))];
    const cards = new Map(await Promise.all(numbers.map(async (number) => [number, await load(number)])));
    if (mine !== turn) return; // another page was asked for meanwhile
    results.replaceChildren(...shown.map((i) => twin(i, cards.get(Math.floor(i / index.page))[i % index.page])));
    const first = page * index.page + 1;
    status.textContent = matches.length === 0
      ? "No pair matches. Clear a filter or search for less."
      : `${count(matches.length, "pair")}, showing ${first} to ${first + shown.length - 1}`;
  } catch (error) {
    if (mine === turn) status.textContent = error.message;
  }
}

function twin(i, card) {
  const concepts = [index.a[i], index.b[i]];
  const names = concepts.map((concept) => index.names[concept]);
  const state = index.states[index.state[i]];
  const chip = (text, kind = "") => make("span", { class: `chip ${kind}` }, text);
  const similarity = index.similarity[i];
  return make("article", { class: "twin" },
    make("header", {},
      make("h3", {}, make("bdi", {}, names[0]), make("span", { class: "quiet" }, " and "), make("bdi", {}, names[1])),
      make("p", {}, chip(index.categories[index.category[i]]), card.split && chip(card.split),
        similarity === null ? null : chip(`look-alike ${similarity.toFixed(2)}`),
        chip(state, state === "in the training data" ? "yes" : "no"))),
    foldUp(card.sides, make("div", { class: "sides" }, ...card.sides.map((side, place) => render(side, concepts[place])))));
}

// On a phone both sides of a twin take a screen: they are shown on request, below the two pictures.
function foldUp(sides, shown) {
  if (!matchMedia("(max-width: 720px)").matches) return shown;
  const pictures = sides.filter((side) => side.reference).map((side) => make("img", { src: side.reference, alt: "" }));
  return make("details", {}, make("summary", {}, ...pictures, "Captions and pictures"), shown);
}

function render(side, concept) {
  const name = index.names[concept];
  const [accepted, refused] = side.captionCounts;
  const [kept, dropped] = side.imageCounts;
  return make("div", { class: "side" },
    make("div", { class: "who" },
      picture(side.reference, name, "reference", side.reference ? "held out" : "no real picture"),
      make("div", {},
        make("h4", {}, make("bdi", {}, name)),
        make("p", { class: "culture" }, index.homes[concept].map((home) => index.cultures[home]).join(", ")),
        make("p", { class: "quiet small" }, side.features))),
    accepted + refused + kept + dropped === 0 ? null : make("div", {},
      accepted === 0
        ? make("p", { class: "quiet small" }, "No accepted caption.")
        : make("ul", { class: "captions" }, ...side.captions.map((text) => make("li", {}, text))),
      refused === 0 ? null : make("details", { class: "small" },
        make("summary", {}, count(refused, "refused caption")),
        make("ul", { class: "captions refused" }, ...side.refusedCaptions.map(([text, reason]) =>
          make("li", {}, text || "(empty answer)", " ", make("span", { class: "chip" }, reason))))),
      make("div", { class: "pics" },
        ...side.kept.map((source) => picture(source, name, "kept", null)),
        ...side.refused.map(([source, reason]) => picture(source, name, "refused", reason))),
      make("p", { class: "quiet small" },
        `${kept} ${kept === 1 ? "picture" : "pictures"} kept, ${dropped} refused; ${accepted} of ${count(accepted + refused, "caption")} accepted`)));
}

function picture(source, name, kind, label) {
  return make("figure", { class: `pic ${kind}` },
    source
      ? make("img", { src: source, alt: `${name}, ${kind}`, width: 76, height: 76 })
      : make("span", { class: "missing" }, "missing"),
    label === null ? null : make("figcaption", {}, label));
}

// The address keeps what is shown, so that a view can be linked to and the back button finds it.
const NAMES = { culture: "cultures", category: "categories", state: "states" };

function readAddress() {
  const asked = new URLSearchParams(location.hash.slice(1));
  form.elements.search.value = asked.get("search") ?? "";
  for (const [field, names] of Object.entries(NAMES)) {
    const number = index[names].indexOf(asked.get(field));
    form.elements[field].value = number < 0 ? "" : number;
  }
  page = Math.max(0, (Number(asked.get("page")) || 1) - 1);
}

function writeAddress() {
  const address = new URLSearchParams();
  if (form.elements.search.value) address.set("search", form.elements.search.value);
  for (const [field, names] of Object.entries(NAMES))
    if (form.elements[field].value !== "") address.set(field, index[names][form.elements[field].value]);
  if (page) address.set("page", page + 1);
  const hash = String(address);
  if (hash !== location.hash.slice(1)) history.replaceState(null, "", hash ? `#${hash}` : location.pathname);
}

function turnTo(number) {
  page = Math.min(Math.max(number, 0), pages() - 1);
  show();
  form.scrollIntoView();
}

function ask() {
  page = 0;
  filter();
}

let typed;
form.elements.search.addEventListener("input", () => {
  clearTimeout(typed);
  typed = setTimeout(ask, 150);
});
for (const field of Object.keys(NAMES)) form.elements[field].addEventListener("change", ask);
form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("reset", () => setTimeout(ask)); // the fields are still as they were
document.getElementById("previous").addEventListener("click", () => turnTo(page - 1));
document.getElementById("next").addEventListener("click", () => turnTo(page + 1));
pageField.addEventListener("change", () => turnTo((Number(pageField.value) || 1) - 1));
window.addEventListener("hashchange", () => { readAddress(); filter(); });
