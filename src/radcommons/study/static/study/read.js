// The page of images. It shows what the server says and reports what the reader did; order and time are the server's.
"use strict";
const find = (id) => document.getElementById(id);
const page = find("reading"), area = find("film");
const token = page.querySelector("[name=csrfmiddlewaretoken]").value;
const BUTTONS = ["back", "real", "synthetic", "zoom", "go"];

let step = {}; // what the server said last
let film = null; // the image on the page
let ahead = {}; // images fetched ahead, by address
let until = Infinity; // when the time is over, by performance.now()
let painted = Promise.resolve(); // the server knows that the image is on the page
let open = false; // whether an answer may be given
let large = false;
let mark = null; // x and y in the image's pixels

// ---- the server ----

async function ask(what, values = {}) {
  for (;;) {
    try {
      const body = new URLSearchParams({ seat: page.dataset.seat, ...values });
      const signal = AbortSignal.timeout(15000);
      const answer = await fetch(`/read/${what}`, { method: "POST", headers: { "X-CSRFToken": token }, body, signal });
      if (answer.status === 403) return { do: "taken", why: "This invitation is no longer valid." };
      const said = await answer.json();
      if (said.do || "left" in said) return said;
    } catch {} // no connection, or no answer that can be read
    note("No connection. Trying again; your answers are kept.");
    await pause(2000);
  }
}

async function follow(said) {
  step = said;
  open = false;
  until = Infinity;
  if (said.do === "refused") {
    await pause(500);
    return follow(await ask("state"));
  }
  if (said.do === "end") return location.reload();
  for (const id of ["words", "questions"]) find(id).hidden = true;
  buttons();
  area.hidden = false;
  find("clock").textContent = "";
  return { show, stop, ask: questions, taken: () => words(said.why), paused }[said.do](said);
}

// ---- images ----

async function show(said) {
  find("number").textContent = `${said.practice ? "Practice " : ""}${said.number} of ${said.of}`;
  note(said.late ? "The time for the image before was over." : "");
  film = mark = null;
  area.replaceChildren();
  if (!(await put(said))) return;
  buttons("real", "synthetic", "zoom", ...(said.back === null ? [] : ["back"]));
  for (const name of ["real", "synthetic"]) find(name).setAttribute("aria-pressed", said.answer === name);
  place();
  area.focus();
  count(said.left);
  const { position } = said, { scale } = film.dataset;
  painted = frames().then(() => ask("shown", { position, scale })); // an answer waits for this
  open = true;
  const told = await painted;
  if (step !== said) return;
  if (told.do) return follow(told);
  count(told.left);
  ahead = told.next ? { [told.next]: load(told.next) } : {};
}

async function put(said) {
  const image = ahead[said.image] || load(said.image);
  try {
    await image.decode();
  } catch {
    note("The image did not come. Trying again.");
    await pause(1000);
    if (step === said) follow(await ask("state"));
    return false;
  }
  if (step !== said) return false;
  film = image; // its corners come to lie on whole pixels of the display
  area.replaceChildren(film);
  return true;
}

const load = (address) => Object.assign(new Image(), { alt: "", draggable: false, src: address });

function place() {
  if (!film) return;
  const ratio = devicePixelRatio, box = area.getBoundingClientRect(), side = film.naturalWidth;
  const room = Math.floor(Math.min(box.width, box.height) * ratio);
  const fits = Math.floor(room / side) || room / side;
  const scale = large ? Math.max(1, Math.ceil(fits)) * 2 : fits;
  const width = (scale * side) / ratio;
  const aligned = (start, space) => Math.max(0, Math.round((start + (space - width) / 2) * ratio) / ratio - start);
  const zoomed = window.visualViewport ? visualViewport.scale : 1;
  const [left, top] = [aligned(box.left, box.width), aligned(box.top, box.height)];
  Object.assign(film.style, { width: `${width}px`, height: `${width}px`, left: `${left}px`, top: `${top}px` });
  film.dataset.scale = scale * zoomed;
  area.classList.toggle("large", large);
  const whole = scale > 0 && Number.isInteger(scale * zoomed);
  find("pixels").textContent = whole ? "" : `Not at whole pixels: ${(scale * zoomed).toFixed(2)} of the display each.`;
  pin();
}

function count(left) {
  until = left === null ? Infinity : performance.now() + 1000 * left;
  tick();
}

async function tick() {
  const left = (until - performance.now()) / 1000;
  if (until === Infinity) return;
  find("clock").textContent = `${Math.max(0, Math.ceil(left))} s`;
  find("clock").classList.toggle("soon", left < 5);
  if (left > 0) return;
  until = Infinity;
  open = false;
  area.replaceChildren();
  await painted;
  follow(await ask("state"));
}

async function choose(answer) {
  if (!open) return;
  open = false;
  until = Infinity;
  const { position } = step;
  const told = await painted;
  follow(told.do ? told : await ask("answer", { position, answer }));
}

// ---- stops ----

async function paused() {
  words("The study is paused by who runs it. This page goes on by itself.");
  await pause(5000);
  follow(await ask("state"));
}

function stop(said) {
  let text = "";
  if (said.truth) {
    text = `It was ${said.truth}. ${said.answer === "timed out" ? "Your time was over." : `You said ${said.answer}.`}`;
    if (!said.practice) text += " Practice is over: from now on you are not told.";
  } else if (said.blocks === 0) text = "You have answered all images. Continue to finish.";
  else if (!said.first) text = `Time for a break. Blocks of images still to come: ${said.blocks}. No time runs now.`;
  else text = said.practice ? "First some images for practice. You are told what they were." : "The images begin.";
  buttons("go", ...(said.back === null ? [] : ["back"]));
  if (said.truth && film) {
    area.replaceChildren(film); // once more, with the truth
    place();
    note(text);
  } else words(text);
  find("go").focus();
}

async function questions(said) {
  const asked = said.questions, form = find("questions");
  form.reset();
  mark = null;
  for (const name of ["confidence", "spot", "comment"]) find(name).hidden = !asked.includes(name);
  form.hidden = false;
  note(`You said ${said.answer}.`);
  if (!asked.includes("spot")) area.replaceChildren();
  else if (!film || !film.isConnected) await put(said);
  place();
  (asked.includes("spot") ? area : form.querySelector("label:not([hidden]) :is(input, textarea)")).focus();
}

function tell(event) {
  event.preventDefault();
  if (step.do !== "ask") return;
  const values = Object.fromEntries(new FormData(find("questions")));
  if (step.questions.includes("confidence") && !values.confidence) return note("Say how sure you are, from 1 to 5.");
  leave("details", { position: step.position, ...values, ...(mark ? { x: mark[0], y: mark[1] } : {}) });
}

function pin() {
  find("mark")?.remove();
  if (!mark || !film) return;
  const dot = Object.assign(document.createElement("span"), { id: "mark" });
  const [x, y] = mark.map((value) => ((value + 0.5) * film.clientWidth) / film.naturalWidth);
  Object.assign(dot.style, { left: `${film.offsetLeft + x}px`, top: `${film.offsetTop + y}px` });
  area.append(dot);
}

function move(...to) {
  mark = to.map((value) => Math.min(film.naturalWidth - 1, Math.max(0, Math.floor(value))));
  pin();
}

// ---- the page ----

const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));
const frames = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
const note = (text) => { find("note").textContent = text; };
const buttons = (...shown) => { for (const id of BUTTONS) if (find(id)) find(id).hidden = !shown.includes(id); };

function words(text) {
  film = null;
  area.replaceChildren();
  area.hidden = true;
  for (const id of ["note", "number", "pixels"]) find(id).textContent = "";
  find("words").textContent = text;
  find("words").hidden = false;
}

async function leave(what, values) {
  step = {}; // nothing else is asked for until the server has answered
  follow(await ask(what, values));
}

const go = () => { if (step.do === "stop") leave("go"); };
const back = () => { if (Number.isInteger(step.back)) leave("state", { position: step.back }); };

const enlarge = () => { if (find("zoom")) { large = !large; place(); } };

document.addEventListener("keydown", (event) => {
  if (event.repeat || event.ctrlKey || event.metaKey || event.altKey || event.target.matches("textarea")) return;
  const key = event.key.toLowerCase();
  const arrow = { arrowleft: [-1, 0], arrowright: [1, 0], arrowup: [0, -1], arrowdown: [0, 1] }[key];
  if (step.do === "show") ({ r: () => choose("real"), s: () => choose("synthetic"), z: enlarge })[key]?.();
  if (key === "b") back();
  if (step.do !== "ask") return;
  if ("12345".includes(key) && step.questions.includes("confidence")) {
    find("questions").elements.confidence.value = key;
    if (step.questions.length === 1) find("questions").requestSubmit();
  } else if (arrow && step.questions.includes("spot") && document.activeElement === area) {
    event.preventDefault();
    const side = film.naturalWidth, [x, y] = mark || [side / 2, side / 2], by = Math.max(1, side / 32);
    move(x + by * arrow[0], y + by * arrow[1]);
  } else if (key === "enter" && document.activeElement === area) find("questions").requestSubmit();
});
area.addEventListener("click", (event) => {
  if (step.do !== "ask" || !step.questions.includes("spot") || !film) return;
  const box = film.getBoundingClientRect();
  const pixel = film.naturalWidth / box.width;
  move((event.clientX - box.left) * pixel, (event.clientY - box.top) * pixel);
});
const clicked = { real: () => choose("real"), synthetic: () => choose("synthetic"), back, go, zoom: enlarge };
for (const [id, act] of Object.entries(clicked)) find(id)?.addEventListener("click", act);
find("questions").addEventListener("submit", tell);
new ResizeObserver(place).observe(area);
setInterval(tick, 200);
ask("state").then(follow);
