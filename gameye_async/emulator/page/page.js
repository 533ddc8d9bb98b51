"use strict";
// Replaces the live parts of the page by newer ones from the server whenever something has happened.

const PAUSE = 300;
const link = document.getElementById("link");
const said = document.getElementById("said");
const shown = new Map();
let isDirty = false;
let isBusy = false;

function remember(page) {
  for (const part of page.querySelectorAll("[data-live]")) shown.set(part.id, part.innerHTML);
}

function replace(page) {
  for (const fresh of page.querySelectorAll("[data-live]")) {
    const part = document.getElementById(fresh.id);
    if (shown.get(fresh.id) === fresh.innerHTML) continue;
    shown.set(fresh.id, fresh.innerHTML);
    const focused = part.contains(document.activeElement) ? document.activeElement.id : "";
    const open = [...part.querySelectorAll("details[open]")].map((each) => each.id);
    part.replaceChildren(...fresh.childNodes);
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
    if (focused) (document.getElementById(focused) ?? part.querySelector("button"))?.focus();
  }
  tick();
}

async function refresh() {
  isDirty = true;
  if (isBusy) return;
  isBusy = true;
  while (isDirty) {
    isDirty = false;
    try {
      const answer = await fetch("./");
      if (answer.ok) replace(new DOMParser().parseFromString(await answer.text(), "text/html"));
    } catch {
      // The stream of events says that the connection is lost, and asks again when it is back.
    }
    await new Promise((resume) => setTimeout(resume, PAUSE));
  }
  isBusy = false;
}

async function send(method, path, body) {
  said.textContent = "";
  try {
    const answer = await fetch(path, { method, body: body && JSON.stringify(body) });
    if (!answer.ok) said.textContent = (await answer.json()).error;
  } catch {
    said.textContent = "The emulator does not answer.";
  }
  await refresh();
}

function age(seconds) {
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

function tick() {
  for (const time of document.querySelectorAll("time[data-since]")) {
    time.textContent = age(Math.max(0, Date.now() / 1000 - time.dataset.since));
  }
}

document.addEventListener("click", (event) => {
  const button = event.target.closest("button[data-send]");
  if (!button) return;
  const [method, path] = button.dataset.send.split(" ");
  send(method, path, button.dataset.body && JSON.parse(button.dataset.body));
});

document.getElementById("inject").addEventListener("submit", (event) => {
  event.preventDefault();
  const fault = {};
  for (const field of event.target.elements) {
    if (field.name && field.value) fault[field.name] = field.type === "number" ? Number(field.value) : field.value;
  }
  send("POST", "faults", fault);
});

const events = new EventSource("events");
events.onopen = () => {
  link.dataset.state = "live";
  link.textContent = "live";
  refresh();
};
events.onerror = () => {
  link.dataset.state = "lost";
  link.textContent = "connection lost";
};
events.onmessage = refresh;

remember(document);
tick();
setInterval(tick, 1000);
