/* The lines, which of them are shown, and reading them again and again. */
const EVERY = 30000, SHOWN = 100; // milliseconds; lines at first
const TILES = [
  ["agreed", "agree", ["agreed"]], ["disagreed", "disagree", ["disagreed"]],
  ["failed", "failed or unknown", UNCOUNTED], ["unlimited", "without a limit", ["unlimited"]],
];
const DISAGREEING = TILES[1][2];
const rows = new Map();
let data = null, shown = SHOWN, states = null, updated = 0, timer = 0;

/* One line, which stays the same element while its content changes, so that the focus stays in it. */
class Row {
  constructor() {
    this.toggle = make("button", { class: "toggle", type: "button", "aria-expanded": "false", onclick: () => this.flip() });
    this.links = make("div", { class: "links small" });
    this.item = make("li", {}, make("div", { class: "head" }, this.toggle, this.links));
  }
  update(line) {
    const text = JSON.stringify(line);
    if (text !== this.text) {
      this.text = text;
      this.line = line;
      this.fill();
      if (this.history) this.history.read(line);
    }
    this.since.firstChild.textContent = `for ${line.is_since_ever ? "at least " : ""}${ago(line.since)}`;
  }
  fill() {
    const { line } = this, [point] = line.points, name = nameOf(line);
    const where = [line.dag_id, line.group, line.workspace].filter(Boolean).join(" · ");
    this.since = make("span", { class: "since", title: `${STATES[line.state].says}; the newest result is of ${time(point.at)}` },
      make("div", { class: "cut" }), make("div", { class: "soft small cut" }, `since ${moment(line.since)}`));
    this.item.className = `alarm-${line.state}`;
    this.item.classList.toggle("open", Boolean(this.history));
    this.toggle.replaceChildren(
      make("span", { class: "state" }, pillOf(line.state)),
      make("span", { class: "title" },
        make("div", { class: "name cut", title: name }, name), make("div", { class: "soft small cut", title: where }, where)),
      barsOf(line), make("span", { class: "latest" }, ...latestOf(point)), this.since,
    );
    this.links.replaceChildren(link(taskUrl(line, point), "Task ›", `Task ${point.task_id} of the newest result`));
    if (point.url) this.links.append(link(point.url, "DataRecs ↗", `Run ${point.run_id} at DataRecs`, true));
  }
  flip() {
    if (this.history) {
      this.history.element.remove();
      this.history = null;
    } else {
      const detail = make("div", { class: "detail", role: "region", "aria-label": `History of ${nameOf(this.line)}` });
      this.item.append(detail);
      this.history = new LineHistory(detail);
      this.history.read(this.line);
    }
    this.item.classList.toggle("open", Boolean(this.history));
    this.toggle.setAttribute("aria-expanded", String(Boolean(this.history)));
  }
}
function latestOf(point) {
  const told = (first, second) => [
    make("div", { class: "num cut" }, ...first), make("div", { class: "soft small num cut" }, second),
  ];
  if (point.unmatched === null || point.error) {
    return told([point.error || "no counts"], point.status || "the wait ended first");
  }
  const limit = limitOf(point), share = shareOf(point);
  return told(
    [make("b", {}, number(point.unmatched)), ` unmatched${share === null ? "" : ` · ${percent(share)}`}`],
    `of ${number(point.processed)}${limit ? ` · limit ${limit}` : ""}`,
  );
}

/* What is shown of it all. */
function named() {
  const dag = $("dag").value, words = $("job").value.trim().toLowerCase();
  return data.lines.filter((line) => (!dag || line.dag_id === dag)
    && [nameOf(line), line.id, line.group, line.workspace, line.points[0].task_id]
      .some((one) => one.toLowerCase().includes(words)));
}
function show() {
  const all = named(), found = states ? all.filter((line) => states.includes(line.state)) : all;
  showTiles(all);
  $("only").checked = states === DISAGREEING;
  showLines(found.slice(0, shown));
  $("more").hidden = found.length <= shown;
  $("more").textContent = `Show ${Math.min(SHOWN, found.length - shown)} more of ${number(found.length)}`;
  const bounds = `of the last ${data.days} days${data.most ? ` and ${number(data.most)} results` : ""}`;
  $("count").textContent = `${number(found.length)} of ${number(data.lines.length)}, ${bounds}`;
  $("content").hidden = !data.lines.length;
  $("empty").hidden = found.length > 0;
  if (!data.lines.length) $("empty").replaceChildren(...welcome());
  else if (!found.length) $("empty").replaceChildren(...nothingFits());
}
function tiles() {
  return TILES.map(([name, label, those]) => make("button",
    { class: `tile to-${name}`, type: "button", onclick: () => choose(states === those ? null : those) },
    make("span", { class: `badge is-${name}` }, signOf(name)), make("span", {}, make("b", { class: "num" }), label)));
}
function showTiles(all) {
  TILES.forEach(([, , those], i) => {
    const tile = $("tiles").children[i];
    tile.setAttribute("aria-pressed", String(states === those));
    tile.querySelector("b").textContent = number(all.filter((line) => those.includes(line.state)).length);
  });
}
function showLines(those) {
  const keys = new Set(those.map((line) => line.key)), list = $("lines"), active = document.activeElement;
  for (const key of rows.keys()) if (!keys.has(key)) rows.delete(key);
  const items = those.map((line) => {
    if (!rows.has(line.key)) rows.set(line.key, new Row());
    rows.get(line.key).update(line);
    return rows.get(line.key).item;
  });
  list.hidden = !items.length;
  if (items.length === list.children.length && items.every((item, i) => item === list.children[i])) return;
  list.replaceChildren(...items);
  if (list.contains(active)) active.focus({ preventScroll: true });
}
function choose(those) { states = those; shown = SHOWN; show(); }
function showDags() {
  const select = $("dag"), { value } = select, ids = ["", ...[...new Set(data.lines.map((line) => line.dag_id))].sort()];
  const shownIds = [...select.options].map((option) => option.value);
  if (ids.length === shownIds.length && ids.every((id, i) => id === shownIds[i])) return; // it may be open
  select.replaceChildren(...ids.map((id) => make("option", { value: id }, id || "All DAGs")));
  select.value = ids.includes(value) ? value : "";
}
function nothingFits() {
  const all = () => { $("dag").value = ""; $("job").value = ""; choose(null); };
  const hidden = data.lines.length === 1 ? "One reconciliation is" : `${number(data.lines.length)} reconciliations are`;
  return [
    make("h2", {}, "Nothing fits this filter"), make("p", { class: "soft" }, `${hidden} hidden by it.`),
    make("button", { class: "quiet more", type: "button", onclick: all }, "Show all"),
  ];
}
function welcome() {
  const code = `from airflow.providers.datarecs.task_groups.reconcile import reconcile

reconcile(
    group_id="balances",
    workspace_name="Production",
    job_name="daily-balance-check",
    max_unmatched_rows=0,
)`;
  return [
    make("span", { class: "badge is-agreed" }, signOf("agreed")), make("h2", {}, "No reconciliations yet"),
    make("p", { class: "soft" }, "Put this into a DAG and run it: its result is shown here, with all that come after it."),
    make("pre", {}, code),
    make("p", { class: "soft small" }, "So are those of JobRunSensor, JobGroupRunSensor and GetJobRunResultOperator: "
      + `of the last ${data.days} days, of the DAGs whose XComs you may read.`),
  ];
}

/* Reading it. */
async function ask(path) {
  const answer = await fetch(path, { credentials: "same-origin", headers: { Accept: "application/json" } });
  if (answer.ok) return answer.json();
  const { detail } = await answer.json().catch(() => ({}));
  const words = typeof detail === "string" ? detail : `Airflow answers ${answer.status}`;
  throw Object.assign(new Error(words), { status: answer.status });
}
const REFUSED = {
  401: "You are no longer logged in. Log in to Airflow, then open this page again.",
  403: "You may not read the XComs of any DAG, so there is nothing to show. An administrator of Airflow can change that.",
};
async function refresh() {
  clearTimeout(timer);
  try {
    data = await ask("results");
    updated = Date.now();
    $("notice").hidden = true;
    showDags();
    show();
  } catch (error) {
    const refused = REFUSED[error.status];
    if (refused) forget();
    $("notice").textContent = refused || `The results cannot be read now (${error.message}). This page tries again.`;
    $("notice").hidden = false;
  }
  tellUpdated();
  if (!document.hidden) timer = setTimeout(refresh, EVERY);
}
function forget() {
  data = null;
  updated = 0;
  rows.clear();
  $("lines").replaceChildren();
  $("content").hidden = $("empty").hidden = true;
}
function tellUpdated() {
  const isNew = Date.now() - updated < 60000;
  $("updated").textContent = updated ? `Updated ${isNew ? "just now" : `${ago(updated)} ago`}` : "";
}

/* As Airflow is, light or dark. */
const prefersDark = matchMedia("(prefers-color-scheme: dark)");
function theme() {
  let isDark = prefersDark.matches;
  if (OUTER) isDark = OUTER.documentElement.classList.contains("dark");
  document.documentElement.dataset.theme = isDark ? "dark" : "light";
}
theme();
prefersDark.addEventListener("change", theme);
if (OUTER) new MutationObserver(theme).observe(OUTER.documentElement, { attributeFilter: ["class"] });

function press(event) {
  const toggles = [...document.querySelectorAll(".toggle")], i = toggles.indexOf(document.activeElement);
  const open = document.activeElement.closest("li.open"), step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (event.key === "/" && !/^(INPUT|SELECT)$/.test(event.target.tagName)) {
    event.preventDefault();
    $("job").focus();
  } else if (i >= 0 && step) {
    event.preventDefault();
    if (toggles[i + step]) toggles[i + step].focus();
  } else if (event.key === "Escape" && open) {
    open.querySelector(".toggle").focus();
    open.querySelector(".toggle").click();
  }
}
document.addEventListener("keydown", press);
document.addEventListener("visibilitychange", () => { if (document.hidden) clearTimeout(timer); else refresh(); });
addEventListener("resize", () => rows.forEach(({ history }) => history && history.draw()));
$("legend").replaceChildren(...legend());
$("tiles").replaceChildren(...tiles());
$("refresh").addEventListener("click", refresh);
$("dag").addEventListener("change", () => choose(states));
$("job").addEventListener("input", () => choose(states));
$("only").addEventListener("change", (event) => choose(event.target.checked ? DISAGREEING : null));
$("more").addEventListener("click", () => { shown += SHOWN; show(); });
setInterval(tellUpdated, 10000);
refresh();
