// The status page. Whatever comes from the service is put into the page as text, never as markup.
"use strict";

const find = (selector) => document.querySelector(selector);
const OPEN = ["queued", "running", "proving"];
const rows = new Map(); // job id: its row and the parts of it that change
let snapshots = [];
let chosen = null; // the job in the proof explorer
let listening = null; // AbortController of its events

function make(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children.filter((child) => child !== null));
  return element;
}

// Ids and scores may be larger than what a number of JavaScript holds exactly: such ones stay text.
const parse = (text) => JSON.parse(text.replace(/"(id|score|threshold)":\s*(-?\d{16,})/g, '"$1":"$2"'));
const count = (value) => (typeof value === "number" ? value.toLocaleString("en") : String(value));
const size = (bytes) => (bytes < 10000 ? `${count(bytes)} B` : `${count(Math.round(bytes / 100) / 10)} kB`);
const milliseconds = (ms) => (ms === null ? "–" : `${ms < 10 ? ms.toFixed(2) : count(Math.round(ms))} ms`);

// ---- Talking to the service.

class Refused extends Error {}

async function ask(path, options = {}) {
  const token = sessionStorage.getItem("token");
  const headers = { ...options.headers, ...(token ? { Authorization: `Bearer ${token}` } : {}) };
  const answer = await fetch(path, { ...options, headers });
  if (answer.status === 401 && !find("#token").open) find("#token").showModal();
  if (!answer.ok) {
    const told = await answer.json().catch(() => ({ error: `the service answers ${answer.status}` }));
    throw new Refused(told.error);
  }
  return answer;
}

const get = async (path) => parse(await (await ask(path)).text());

find("#token form").addEventListener("submit", (event) => {
  sessionStorage.setItem("token", event.target.elements.token.value.trim());
  event.target.reset();
  start();
});

// ---- Jobs.

async function refresh() {
  const state = find("#filter").value;
  try {
    const found = await get(`v1/jobs?limit=50${state ? `&state=${state}` : ""}`);
    showCounts(found);
    showJobs(found.jobs);
    return found.jobs.some((job) => OPEN.includes(job.state));
  } catch (error) {
    health("bad", error instanceof Refused ? error.message : "The service does not answer");
    return false;
  }
}

function health(kind, text) {
  if (find("#health").textContent !== text) find("#health").textContent = text;
  find("#health").className = kind;
}

function showCounts({ counts, runners }) {
  if (runners) health("good", runners === 1 ? "A runner is at work" : `${runners} runners are at work`);
  else health("", "No runner: jobs wait until one is there");
  const items = Object.entries(counts).filter(([, n]) => n);
  find("#counts").replaceChildren(...items.map(([state, n]) => make("li", {}, make("b", {}, count(n)), ` ${state}`)));
}

function showJobs(jobs) {
  const body = find("#table tbody");
  const wanted = new Set(jobs.map((job) => job.id));
  for (const [id, row] of rows) {
    if (!wanted.has(id)) { row.element.remove(); rows.delete(id); }
  }
  jobs.forEach((job, place) => {
    if (!rows.has(job.id)) rows.set(job.id, newRow(job.id));
    const row = rows.get(job.id);
    // Rows are moved only where they have to be: a moved one would lose the focus.
    if (body.children[place] !== row.element) body.insertBefore(row.element, body.children[place] ?? null);
    fill(row, job);
  });
  find("#none").hidden = jobs.length > 0 || find("#filter").value !== "";
}

function newRow(id) {
  const cell = (name, className = "") => {
    const element = make("td", { className });
    element.dataset.name = name;
    return element;
  };
  const open = make("button", { type: "button", className: "id", title: "Show the proof" }, id.slice(0, 8));
  const cancel = make("button", { type: "button" }, "Cancel");
  const save = make("button", { type: "button" }, "Receipt");
  open.setAttribute("aria-label", `Show job ${id}`);
  cancel.setAttribute("aria-label", `Cancel job ${id}`);
  save.setAttribute("aria-label", `Save the receipt of job ${id}`);
  open.addEventListener("click", () => { location.hash = `job=${id}`; });
  cancel.addEventListener("click", () => tell(ask(`v1/jobs/${id}`, { method: "DELETE" }).then(refresh)));
  save.addEventListener("click", () => tell(saveReceipt(id)));
  const row = {
    state: cell("State"), question: cell("Question"), snapshot: cell("Snapshot"), when: cell("Submitted"), cancel, save,
  };
  const first = cell("Job"), actions = cell("", "actions");
  first.append(open);
  actions.append(save, cancel);
  row.element = make("tr", {}, first, row.state, row.question, row.snapshot, row.when, actions);
  return row;
}

function fill(row, job) {
  const told = JSON.stringify(job);
  row.when.textContent = ago(job.created);
  row.element.classList.toggle("chosen", job.id === chosen);
  if (row.told === told) return;
  row.told = told;
  row.state.replaceChildren(stateOf(job));
  row.question.textContent = questionOf(job);
  row.snapshot.textContent = `${job.snapshot ?? "not served here"} (${job.version})`;
  row.cancel.hidden = !OPEN.includes(job.state);
  row.save.hidden = job.receipt === null;
}

function stateOf(job) {
  const whole = make("span", {}, make("span", { className: `state ${job.state}` }, stateText(job)));
  if (job.state === "proving") {
    whole.append(make("progress", { max: job.parts, value: job.part, ariaLabel: "Proven parts" }));
  }
  if (job.reason) whole.append(make("span", { className: "reason" }, job.reason));
  return whole;
}

const stateText = (job) => (job.state === "proving" ? `proving ${job.part} of ${job.parts}` : job.state);

function questionOf(job) {
  const where = Object.entries(job.where).map(([name, value]) => `${name}=${value}`).join(", ");
  return `${job.k} nearest by ${job.metric}, ${job.mode}${where ? `, where ${where}` : ""}`;
}

function ago(then) {
  const seconds = Math.max(0, Date.now() / 1000 - then);
  for (const [length, unit] of [[86400, "d"], [3600, "h"], [60, "min"]]) {
    if (seconds >= length) return `${Math.floor(seconds / length)} ${unit} ago`;
  }
  return `${Math.floor(seconds)} s ago`;
}

async function saveReceipt(id) {
  const url = URL.createObjectURL(await (await ask(`v1/jobs/${id}/receipt`)).blob());
  make("a", { href: url, download: `${id}.receipt` }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
}

function say(text, good = false) {
  find("#said").textContent = text;
  find("#said").className = good ? "good" : "";
}

const tell = (promise) => promise.catch((error) => say(error.message));

// ---- Asking.

const form = find("#form");

async function showSnapshots() {
  snapshots = await get("v1/snapshots");
  const select = form.elements.snapshot, before = select.value;
  select.replaceChildren(...snapshots.map(({ name }) => make("option", { value: name }, name)));
  if (snapshots.some(({ name }) => name === before)) select.value = before;
  showAbout();
}

function showAbout() {
  const found = snapshots.find(({ name }) => name === form.elements.snapshot.value);
  find("#about").textContent = found
    ? `${count(found.live)} vectors of ${found.dimension} numbers in ${found.segments} segments, version ` +
      `${found.version}, root ${found.root.slice(0, 16)}…` + (found.fields.length ? `, fields ${found.fields.join(", ")}` : "")
    : "No snapshot is served: start the service with --snapshot NAME=FOLDER.";
  if (!found) return;
  const preset = form.elements.preset, before = preset.value;
  preset.replaceChildren(...found.presets.map((name) => make("option", { value: name }, name)));
  preset.value = [before, "standard", found.presets[0]].find((name) => found.presets.includes(name)) ?? "";
  allow("mode", "ivf", found.cells > 0);
  allow("metric", "cosine", found.normalised);
}

function allow(name, value, allowed) {
  const select = form.elements[name];
  select.querySelector(`[value="${value}"]`).disabled = !allowed;
  if (select.value === value && !allowed) select.selectedIndex = 0;
}

form.elements.snapshot.addEventListener("change", showAbout);
form.elements.by.addEventListener("change", (event) => {
  find("#value-name").textContent = { label: "Label", id: "Id", query: "Numbers" }[event.target.value];
  form.elements.value.inputMode = event.target.value === "label" ? "text" : "decimal";
});

form.addEventListener("submit", (event) => {
  event.preventDefault();
  tell(submit());
});

async function submit() {
  say("");
  const { snapshot, by, value, k, mode, metric, preset, priority, where } = form.elements;
  const asked = { snapshot: snapshot.value, k: Number(k.value), mode: mode.value, metric: metric.value };
  Object.assign(asked, { preset: preset.value, priority: priority.value });
  if (where.value.trim()) {
    const [name, ...rest] = where.value.split("=");
    if (!rest.length) throw new Refused("where: give field=value");
    asked.where = { [name.trim()]: rest.join("=").trim() };
  }
  let body = JSON.stringify(asked);
  if (by.value === "id") {
    if (!/^\s*\d{1,19}\s*$/.test(value.value)) throw new Refused("id: give a whole number");
    body = `${body.slice(0, -1)},"id":${BigInt(value.value.trim())}}`; // in all its digits
  } else {
    const numbers = () => value.value.split(/[\s,]+/).filter(Boolean).map(Number);
    body = JSON.stringify({ ...asked, [by.value]: by.value === "label" ? value.value : numbers() });
  }
  const answer = await ask("v1/jobs", { method: "POST", headers: { "Content-Type": "application/json" }, body });
  const job = parse(await answer.text());
  say(`Job ${job.id.slice(0, 8)} is ${stateText(job)}.`, true);
  await refresh();
}

// ---- The proof explorer.

function choose() {
  chosen = new URLSearchParams(location.hash.slice(1)).get("job");
  listening?.abort();
  for (const [id, row] of rows) row.element.classList.toggle("chosen", id === chosen);
  find("#proof").hidden = chosen === null;
  if (chosen === null) return;
  find("#proof-title").replaceChildren("Job ", make("span", { className: "mono" }, chosen));
  find("#proof-body").replaceChildren();
  find("#proof-state").textContent = "Loading …";
  find("#proof").focus();
  listening = new AbortController();
  follow(chosen, listening.signal).catch((error) => {
    if (error.name !== "AbortError") find("#proof-state").textContent = error.message;
  });
}

find("#close").addEventListener("click", () => {
  const row = rows.get(chosen);
  history.pushState(null, "", location.pathname);
  choose();
  (row?.element.querySelector(".id") ?? find("#jobs")).focus();
});

// Server-sent events, read by hand: an EventSource cannot send the token.
async function follow(id, signal) {
  const answer = await ask(`v1/jobs/${encodeURIComponent(id)}/events`, { signal });
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += value;
    const events = text.split("\n\n");
    text = events.pop();
    for (const event of events) {
      const [, name, data] = /^event: (\w+)\ndata: (.*)$/.exec(event) ?? [];
      if (name === "job") await showChosen(parse(data), signal);
    }
  }
}

async function showChosen(job, signal) {
  find("#proof-state").replaceChildren(stateOf(job), ` — ${questionOf(job)}`);
  if (job.state !== "verified") return;
  const found = parse(await (await ask(`v1/jobs/${job.id}/explain`, { signal })).text());
  drawProof(found);
}

function drawProof({ verdict, layout }) {
  const { claim, security, checks } = verdict;
  const holds = verdict.valid ? "The receipt is valid" : `The receipt is not valid: ${verdict.reason}`;
  const body = find("#proof-body");
  body.replaceChildren(
    make("p", { className: `verdict ${verdict.valid ? "good" : "bad"}` }, verdict.valid ? "✓ " : "✗ ", holds,
      `, verified in ${milliseconds(verdict.ms)}; ${size(verdict.bytes)}`),
  );
  if (claim) {
    body.append(make("p", { className: "proves" }, "Claimed: ", claim.proves ?? claim.type, "."), facts(claim, security));
  }
  const pair = make("div", { className: "two" });
  if (claim) pair.append(results(claim));
  pair.append(checkBars(checks));
  body.append(pair, byteMap(layout));
}

function facts(claim, security) {
  const where = Object.entries(claim.where).map(([name, value]) => `${name}=${value}`).join(", ");
  const lines = [
    ["Snapshot root", make("span", { className: "mono" }, claim.snapshot_root)],
    ["Question", `${claim.k} nearest by ${claim.metric}, ${claim.mode}${where ? `, where ${where}` : ""}`],
    ["Parts", `${claim.parts}` + (claim.preset ? ` proofs, preset ${claim.preset}` : " opening")],
    ["Security", `${security.conjectured} bits conjectured, ${security.proven} proven (${security.regime}, ${security.binds})`],
  ];
  return make("dl", {}, ...lines.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)]));
}

function table(className, headings, lines) {
  const head = headings.map((text, k) => make("th", { scope: "col", className: numeric(lines, k) }, text));
  const body = lines.map((line) => make("tr", {}, ...line.map((value, k) =>
    make("td", { className: numeric(lines, k) }, value instanceof Node ? value : String(value)))));
  return make("table", { className }, make("thead", {}, make("tr", {}, ...head)), make("tbody", {}, ...body));
}

// Columns of numbers are set flush right: those that begin with a digit, or have none to show, in every line.
const numeric = (lines, k) =>
  lines.length && lines.every((line) => /^(-?\d|–$)/.test(line[k])) ? "number" : "";

function results({ results: found }) {
  const lines = found.map(({ id, score, label }, place) => [place + 1, label ?? "–", id, count(score)]);
  const list = table("", ["#", "Label", "Id", "Score"], lines);
  return make("div", {}, make("h3", {}, "Results"), make("div", { className: "scroll", tabIndex: 0 }, list),
    make("p", { className: "hint" }, "Ids and scores are proven; labels are from the snapshot's folder."));
}

function checkBars(checks) {
  const names = [...new Set(checks.map((check) => check.name))];
  const groups = names.map((name) => checks.filter((check) => check.name === name));
  const spent = groups.map((group) => group.reduce((sum, check) => sum + (check.ms ?? 0), 0));
  const most = Math.max(...spent, 1e-9);
  const lines = groups.map((group, k) => {
    const bar = make("div", { className: "bar" });
    for (const check of group.filter(({ ms }) => ms !== null)) {
      const piece = make("i", { title: `part ${check.part ?? "–"}: ${milliseconds(check.ms)}` });
      piece.style.width = `${(100 * check.ms) / most}%`;
      bar.append(piece);
    }
    const untimed = group.every((check) => check.ms === null);
    return [`${group.every((check) => check.ok) ? "✓" : "✗"} ${names[k]}`, bar, milliseconds(untimed ? null : spent[k])];
  });
  const each = checks.map((check) => [check.part ?? "–", `${check.ok ? "✓" : "✗"} ${check.name}`, milliseconds(check.ms)]);
  return make("div", {}, make("h3", {}, "Checks of the verifier"),
    table("bars", ["Check", "Time, a piece for every part", "Sum"], lines),
    make("details", {}, make("summary", {}, "Each part by itself"),
      make("div", { className: "scroll", tabIndex: 0 }, table("", ["Part", "Check", "Time"], each))));
}

// ---- Where the bytes are.

// Parts of a receipt are alike: their pieces of the same name are added up.
function groups(layout) {
  const found = new Map();
  const add = (group, name, bytes) => {
    if (!found.has(group)) found.set(group, new Map());
    found.get(group).set(name, (found.get(group).get(name) ?? 0) + bytes);
  };
  for (const part of layout.parts) {
    if (!part.parts.length) add("statement", part.name, part.size);
    for (const piece of part.parts) {
      if (!piece.parts.length) add("statement", piece.name, piece.size);
      for (const item of piece.parts) {
        if (!item.parts.length) add(piece.name, item.name, item.size);
        for (const leaf of item.parts) add(piece.name, leaf.name, leaf.size);
      }
    }
  }
  return [...found].map(([name, items], place) => {
    const sorted = [...items].map(([item, bytes]) => ({ name: item, size: bytes })).sort((a, b) => b.size - a.size);
    return { name, place, items: sorted, size: sorted.reduce((sum, item) => sum + item.size, 0) };
  });
}

function byteMap(layout) {
  const found = groups(layout).sort((a, b) => b.size - a.size);
  const map = make("div", { className: "map", role: "img", ariaLabel: "Areas in proportion to bytes; the table has the figures" });
  const draw = () => {
    map.replaceChildren();
    const whole = { x: 0, y: 0, w: map.clientWidth, h: map.clientHeight };
    for (const { item: group, box } of squarified(found, whole)) {
      for (const { item, box: inner } of squarified(group.items, box)) {
        map.append(tile(group, item, inner, layout.size));
      }
    }
  };
  new ResizeObserver(draw).observe(map);
  const lines = found.flatMap((group) => group.items.map((item) => [
    make("span", {}, make("span", { className: `swatch g${group.place % 6}` }), `${group.name}`),
    item.name, count(item.size), `${((100 * item.size) / layout.size).toFixed(1)} %`,
  ]));
  return make("div", {}, make("h3", {}, `Where the ${size(layout.size)} are`), map,
    make("details", {}, make("summary", {}, "As a table"), table("bytes", ["Of", "What", "Bytes", "Share"], lines)));
}

function tile(group, item, box, all) {
  const share = `${((100 * item.size) / all).toFixed(1)} %`;
  const element = make("div", { className: `g${group.place % 6}`, title: `${group.name}, ${item.name}: ${size(item.size)}, ${share}` });
  Object.assign(element.style, { left: `${box.x}px`, top: `${box.y}px`, width: `${box.w}px`, height: `${box.h}px` });
  if (box.w > 64 && box.h > 32) element.append(make("b", {}, group.name), `${item.name} ${share}`);
  else if (box.w <= 12 || box.h <= 12) element.style.padding = "0";
  return element;
}

// Rectangles of areas in proportion to sizes, as square as can be (Bruls, Huizing, van Wijk 2000). Largest first.
function squarified(items, box) {
  const out = [];
  let { x, y, w, h } = box, left = items.filter((item) => item.size > 0);
  let total = left.reduce((sum, item) => sum + item.size, 0);
  while (left.length && w > 0 && h > 0) {
    const side = Math.min(w, h), area = (w * h) / total;
    const worst = (row, sum) => Math.max(...[row[0], row[row.length - 1]].map(({ size: one }) => {
      const ratio = (side * side * one) / (sum * sum * area);
      return Math.max(ratio, 1 / ratio);
    }));
    let row = [left[0]], sum = left[0].size;
    while (row.length < left.length) {
      const next = left[row.length];
      if (worst([...row, next], sum + next.size) > worst(row, sum)) break;
      row.push(next);
      sum += next.size;
    }
    const depth = (sum * area) / side;
    let along = 0;
    for (const item of row) {
      const length = (item.size / sum) * side;
      out.push({ item, box: w >= h ? { x, y: y + along, w: depth, h: length } : { x: x + along, y, w: length, h: depth } });
      along += length;
    }
    if (w >= h) { x += depth; w -= depth; } else { y += depth; h -= depth; }
    left = left.slice(row.length);
    total -= sum;
  }
  return out;
}

// ---- Beginning.

let timer = null;

async function watch() {
  clearTimeout(timer);
  const busy = document.hidden ? false : await refresh();
  clearTimeout(timer);
  timer = setTimeout(watch, busy ? 1000 : 3000);
}

async function start() {
  await Promise.all([watch(), tell(showSnapshots())]);
  choose();
}

find("#filter").addEventListener("change", watch);
document.addEventListener("visibilitychange", watch);
window.addEventListener("hashchange", choose);
start();
