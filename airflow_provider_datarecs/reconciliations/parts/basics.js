/* What all of the page shares: the states, elements, numbers, times, links. */
"use strict";

const STATES = {
  agreed: { label: "Agrees", says: "Within the limit of the task", sign: "M3 8.5 6.5 12 13 4.5" },
  disagreed: {
    label: "Disagrees", says: "More is unmatched than the task allows", sign: "M3 6H13M3 10H13M10.5 3 5.5 13",
  },
  failed: { label: "Failed", says: "The run failed at DataRecs", sign: "M4 4 12 12M12 4 4 12" },
  cancelled: { label: "Cancelled", says: "The run was cancelled", sign: "M3.5 8H12.5" },
  missing: {
    label: "Unknown", says: "No counts, or the wait ended before the run did",
    sign: "M5.5 6a2.5 2.5 0 1 1 3.4 2.3C8.2 8.7 8 9 8 10M8 12.8V13",
  },
  unlimited: {
    label: "No limit", says: "The task sets no limit, so nobody says whether the data agree",
    sign: "M3.5 10C5 6.5 6.5 6.5 8 8S11 9.5 12.5 6",
  },
};
const UNCOUNTED = ["failed", "cancelled", "missing"];
const DRAWN = ["svg", "path", "rect", "line", "text"];
const BASE = new URL("../../", location.href); // of Airflow's pages
const OUTER = outer();
/* Gives Airflow's document, where this is shown in a frame of it. */
function outer() {
  try {
    return window.parent === window ? null : window.parent.document;
  } catch {
    return null;
  }
}
const $ = (id) => document.getElementById(id);

function make(tag, attributes = {}, ...children) {
  const isDrawn = DRAWN.includes(tag);
  const made = isDrawn ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== null) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}
function signOf(state) {
  const line = { fill: "none", stroke: "currentColor", "stroke-width": 2, "stroke-linecap": "round", "stroke-linejoin": "round" };
  return make("svg", { viewBox: "0 0 16 16", "aria-hidden": "true" }, make("path", { d: STATES[state].sign, ...line }));
}
function pillOf(state) {
  return make("span", { class: `pill is-${state}`, title: STATES[state].says }, signOf(state), STATES[state].label);
}

const numbers = new Intl.NumberFormat("en-US");
const shares = new Intl.NumberFormat("en-US", { style: "percent", maximumSignificantDigits: 3 });
const number = (value) => (value === null ? "–" : numbers.format(value));
const percent = (share) => (share === null ? "–" : shares.format(share));
const counted = (count, noun) => `${number(count)} ${noun}${count === 1 ? "" : "s"}`;
function shareOf(point) {
  if (point.unmatched === null || point.processed === null) return null;
  return point.processed ? Math.min(1, point.unmatched / point.processed) : Number(point.unmatched > 0);
}
function limitOf(point) {
  if (!point.limits) return "";
  const { rows, ratio } = point.limits;
  return [rows === null ? "" : counted(rows, "row"), ratio === null ? "" : percent(ratio)].filter(Boolean).join(" and ");
}
const nameOf = (line) => line.name || line.id;

const formats = new Map();
function zone() {
  // Airflow's pages let their user choose one.
  try {
    const name = (localStorage.getItem("timezone") || "").replace(/^"|"$/g, "");
    if (!name || name === "local") return undefined;
    new Intl.DateTimeFormat("en", { timeZone: name });
    return name;
  } catch {
    return undefined;
  }
}
function time(iso, style = { dateStyle: "medium", timeStyle: "short" }) {
  const options = { ...style, timeZone: zone() }, key = JSON.stringify(options);
  if (!formats.has(key)) formats.set(key, new Intl.DateTimeFormat("en-GB", options));
  return formats.get(key).format(new Date(iso));
}
/* The same, without the year where it is this one. */
function moment(iso) {
  const isOld = new Date(iso).getFullYear() !== new Date().getFullYear();
  return isOld ? time(iso) : time(iso, { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
}
function ago(iso) {
  const minutes = Math.max(0, (Date.now() - new Date(iso)) / 60000);
  for (const [unit, length] of [["day", 1440], ["hour", 60], ["minute", 1]]) {
    if (minutes >= length) return counted(Math.floor(minutes / length), unit);
  }
  return "under a minute";
}

function taskUrl(line, point) {
  const part = encodeURIComponent, mapped = point.map_index < 0 ? "" : `/mapped/${point.map_index}`;
  const path = `dags/${part(line.dag_id)}/runs/${part(point.dag_run_id)}/tasks/${part(point.task_id)}${mapped}`;
  return new URL(path, BASE).href;
}
function link(href, label, title, isOutside = false) {
  const follow = (event) => {
    if (!OUTER) return;
    // The frame that Airflow shows this in may neither leave itself nor open a window: Airflow's own page does.
    event.preventDefault();
    const own = OUTER.createElement("a");
    own.href = href;
    if (isOutside || event.ctrlKey || event.metaKey || event.shiftKey) {
      own.target = "_blank";
      own.rel = "noopener";
    }
    OUTER.body.append(own);
    own.click();
    own.remove();
  };
  return make("a", { href, title, rel: "noopener", target: isOutside ? "_blank" : null, onclick: follow }, label);
}

function summaryOf(point) {
  const share = shareOf(point), limit = limitOf(point);
  return [
    `${STATES[point.state].label} · ${time(point.at)}`,
    point.unmatched === null
      ? point.status || "no result"
      : `${number(point.unmatched)} of ${number(point.processed)} rows unmatched${share === null ? "" : ` (${percent(share)})`}`,
    limit && `limit ${limit}`, point.error && `error: ${point.error}`, point.dag_run_id,
  ].filter(Boolean).join("\n");
}
function tip(event, words) {
  const box = $("tip");
  box.hidden = !words;
  if (!words) return;
  box.textContent = words;
  const { width, height } = box.getBoundingClientRect(), isLow = event.clientY + height + 24 > innerHeight;
  box.style.left = `${Math.max(6, Math.min(event.clientX + 14, innerWidth - width - 6))}px`;
  box.style.top = `${isLow ? event.clientY - height - 12 : event.clientY + 18}px`;
}
