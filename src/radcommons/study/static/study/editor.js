// The boxes on a pair of images, by mouse, finger or keys. All that is kept, and saved, are the numbers in the form.
"use strict";
const find = (id) => document.getElementById(id);
const form = find("editor"), rows = find("rows"), films = [...form.querySelectorAll(".film")];
const side = Number(form.dataset.side), most = Number(form.dataset.most);
const step = Math.max(1, Math.round(side / 256)), smallest = Math.max(2, Math.round(side / 128));
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const shapes = new Map(); // of each row: its box on each image
const pattern = rows.lastElementChild.cloneNode(true);
let changed = false;

// ---- the numbers ----

const inputs = (row) => [...row.querySelectorAll("input")];
const read = (row) => inputs(row).map((input) => Math.min(side, Math.max(0, Math.round(Number(input.value)))));
const within = (value, low, high) => Math.min(high, Math.max(low, Math.round(value)));
const place = (row) => [...rows.children].indexOf(row) + 1;

function write(row, box) {
  inputs(row).forEach((input, n) => { input.value = box[n]; });
  draw(row);
  say(`Box ${place(row)}: ${box[0]}, ${box[1]} to ${box[2]}, ${box[3]}. Not saved yet.`);
}

function move(row, [left, top, right, bottom], x, y) {
  const [dx, dy] = [within(x, -left, side - right), within(y, -top, side - bottom)];
  write(row, [left + dx, top + dy, right + dx, bottom + dy]);
}

function stretch(row, [x, y], [toX, toY]) {
  const [left, top] = [within(Math.min(x, toX), 0, side - 1), within(Math.min(y, toY), 0, side - 1)];
  write(row, [left, top, within(Math.max(x, toX), left + 1, side), within(Math.max(y, toY), top + 1, side)]);
}

function add(box) {
  if (shapes.size >= most) return null;
  const row = pattern.cloneNode(true);
  rows.append(row);
  begin(row);
  write(row, box);
  name();
  return row;
}

function remove(row) {
  const next = row.nextElementSibling || row.previousElementSibling;
  for (const shape of shapes.get(row)) shape.remove();
  shapes.delete(row);
  row.remove();
  name();
  say("A box was removed. Not saved yet.");
  (next ? shapes.get(next)[0] : find("add")).focus({ preventScroll: true });
}

// ---- what is seen ----

function begin(row) {
  shapes.set(row, films.map((film, n) => {
    const shape = Object.assign(document.createElement("div"), { className: "box" });
    shape.append(Object.assign(document.createElement("span"), { className: "corner" }));
    if (n === 0) {
      shape.tabIndex = 0;
      shape.setAttribute("role", "application");
      shape.setAttribute("aria-describedby", "keys");
      shape.addEventListener("keydown", (event) => key(event, row));
      shape.addEventListener("focus", () => choose(row, true));
      shape.addEventListener("blur", () => choose(row, false));
    }
    shape.addEventListener("pointerdown", (event) => take(event, row, film));
    film.append(shape);
    return shape;
  }));
  const button = document.createElement("button");
  Object.assign(button, { type: "button", className: "quiet", textContent: "Remove" });
  button.addEventListener("click", () => remove(row));
  row.append(button);
  row.addEventListener("input", () => { draw(row); say("Not saved yet."); });
}

function draw(row) {
  const [left, top, right, bottom] = read(row);
  const share = (value) => `${(100 * value) / side}%`;
  const [width, height] = [Math.max(0, right - left), Math.max(0, bottom - top)].map(share);
  for (const shape of shapes.get(row)) Object.assign(shape.style, { left: share(left), top: share(top), width, height });
}

function name() {
  for (const row of rows.children) {
    const called = `Box ${place(row)}`;
    row.querySelector("legend").textContent = called;
    row.querySelector("button").setAttribute("aria-label", `Remove ${called}`);
    shapes.get(row)[0].setAttribute("aria-label", called);
  }
  find("add").disabled = shapes.size >= most;
}

function say(text) {
  changed = true;
  find("state").textContent = text;
}

function choose(row, chosen) {
  for (const shape of shapes.get(row) || []) shape.classList.toggle("chosen", chosen);
}

// ---- mouse, finger, keys ----

const pixel = (event, film) => {
  const area = film.getBoundingClientRect(), scale = side / area.width;
  return [(event.clientX - area.left) * scale, (event.clientY - area.top) * scale];
};

function take(event, row, film) {
  if (event.button !== 0) return;
  const box = read(row), corner = event.target.className === "corner", [x, y] = pixel(event, film);
  const [overX, overY] = [box[2] - x, box[3] - y]; // the finger lies somewhere on the corner
  shapes.get(row)[0].focus({ preventScroll: true });
  follow(event, film, ([toX, toY]) => {
    if (corner) stretch(row, box, [Math.max(box[0] + 1, toX + overX), Math.max(box[1] + 1, toY + overY)]);
    else move(row, box, toX - x, toY - y);
  });
}

function start(event, film) {
  if (event.button !== 0 || event.pointerType === "touch") return; // a finger scrolls the page
  const from = pixel(event, film);
  let row = null;
  follow(event, film, (to) => {
    if (!row && Math.min(...to.map((value, n) => Math.abs(value - from[n]))) >= smallest) {
      row = add([...from, ...from].map((value) => within(value, 0, side)));
      if (row) shapes.get(row)[0].focus({ preventScroll: true });
    }
    if (row) stretch(row, from, to);
  });
}

function follow(event, film, act) {
  event.preventDefault();
  event.stopPropagation();
  film.setPointerCapture(event.pointerId);
  const moved = (next) => act(pixel(next, film));
  film.addEventListener("pointermove", moved);
  film.addEventListener("lostpointercapture", () => film.removeEventListener("pointermove", moved), { once: true });
}

function key(event, row) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  const box = read(row), arrow = ARROWS[event.key];
  if (arrow) {
    const [x, y] = arrow.map((way) => way * step);
    if (event.shiftKey) stretch(row, box, [Math.max(box[0] + 1, box[2] + x), Math.max(box[1] + 1, box[3] + y)]);
    else move(row, box, x, y);
  } else if (event.key === "Delete" || event.key === "Backspace") remove(row);
  else return;
  event.preventDefault();
}

// ---- the page ----

for (const row of [...rows.children]) if (inputs(row).every((input) => input.value === "")) row.remove();
for (const one of form.querySelectorAll("svg, .without-script")) one.remove();
for (const row of rows.children) {
  begin(row);
  draw(row);
}
name();
for (const film of films) film.addEventListener("pointerdown", (event) => start(event, film));
find("add").addEventListener("click", () => {
  const row = add([0.42, 0.42, 0.58, 0.58].map((share) => Math.round(share * side)));
  if (row) shapes.get(row)[0].focus();
});
for (const id of ["add", "keys"]) find(id).hidden = false;
find("numbers").open = document.querySelector("[role=alert]") !== null;
form.noValidate = true; // the server says what is wrong, also where the numbers are folded away
form.addEventListener("submit", () => { changed = false; });
addEventListener("beforeunload", (event) => { if (changed) event.preventDefault(); });
