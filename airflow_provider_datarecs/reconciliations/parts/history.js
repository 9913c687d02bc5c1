/* What opens below a line: its history as a plot, as a table, and as CSV. */
const HIGH = 230, LEFT = 62, RIGHT = 10, CEILING = 18, FLOOR = HIGH - 26;
const COPY = "Copy as CSV";

class LineHistory {
  constructor(element) {
    this.element = element;
    this.asked = 0;
    element.replaceChildren(make("p", { class: "soft wait" }, "Reading the history…"));
  }
  async read(line) {
    const asked = ++this.asked, query = new URLSearchParams({ dag_id: line.dag_id, key: line.key });
    try {
      const { line: whole } = await ask(`history?${query}`);
      if (asked === this.asked) this.fill(whole);
    } catch (error) {
      this.line = null;
      this.element.replaceChildren(make("p", { class: "soft wait" }, `The history cannot be read: ${error.message}`));
    }
  }
  fill(line) {
    const scrolled = this.line ? this.scroll.scrollTop : 0;
    this.line = line;
    this.points = [...line.points].reverse(); // as they are drawn
    const [newest] = line.points;
    if (this.inRows === undefined) this.inRows = Boolean(newest.limits) && newest.limits.ratio === null;
    this.units = ["Share", "Rows"].map((label, i) => {
      const choose = () => { this.inRows = Boolean(i); this.draw(); };
      return make("button", { class: "quiet small", type: "button", onclick: choose }, label);
    });
    const says = `Unmatched rows of ${nameOf(line)}; the table below has the numbers`;
    this.plot = make("svg", { class: "plot", role: "img", "aria-label": says });
    this.table = tableOf(line);
    this.scroll = make("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Numbers" }, this.table);
    const copy = make("button", { class: "quiet small right", type: "button", onclick: () => copyText(csvOf(line), copy) }, COPY);
    this.element.replaceChildren(
      make("div", { class: "facts small" }, ...factsOf(line)),
      make("div", { class: "tools" }, make("span", { class: "soft small" }, "Unmatched, as"), ...this.units, copy),
      this.plot, this.scroll,
    );
    this.scroll.scrollTop = scrolled;
    this.draw();
  }
  draw() {
    if (!this.line) return;
    this.units.forEach((one, i) => one.setAttribute("aria-pressed", String(Boolean(i) === this.inRows)));
    const width = Math.max(280, this.plot.clientWidth), { slot, drawn } = plotOf(this.points, this.inRows, width);
    const hot = make("rect", { class: "hot", y: CEILING, height: FLOOR - CEILING, width: slot, x: -slot });
    const { rows } = this.table.tBodies[0];
    const light = (i) => { // the same result in the plot and in the table
      this.table.querySelectorAll(".hot").forEach((one) => one.classList.remove("hot"));
      hot.setAttribute("x", this.points[i] ? LEFT + i * slot : -slot);
      if (this.points[i]) rows[rows.length - 1 - i].classList.add("hot");
      return this.points[i];
    };
    this.plot.setAttribute("viewBox", `0 0 ${width} ${HIGH}`);
    this.plot.replaceChildren(hot, ...drawn);
    this.plot.onmousemove = (event) => {
      const point = light(Math.floor((event.clientX - this.plot.getBoundingClientRect().left - LEFT) / slot));
      tip(event, point && summaryOf(point));
    };
    this.table.onmouseover = (event) => {
      const row = event.target.closest("tbody tr");
      light(row ? rows.length - 1 - row.sectionRowIndex : -1);
    };
    this.plot.onmouseleave = this.table.onmouseleave = (event) => { light(-1); tip(event); };
  }
}
function factsOf(line) {
  const fact = (name, value) => (value ? make("span", {}, make("span", { class: "soft" }, `${name} `), value) : null);
  const owner = line.kind === "task" ? "" : line.name && line.name !== line.id ? `${line.name} (${line.id})` : line.id;
  const { total, points } = line;
  return [
    fact("DAG", line.dag_id), fact("Task group", line.group), fact("Task", points[0].task_id),
    fact(line.kind === "group" ? "Job group" : "Job", owner), fact("Workspace", line.workspace),
    fact("Last agreed", line.state === "agreed" ? "" : line.agreed_at ? time(line.agreed_at) : ""),
    fact("Results", total > points.length ? `the newest ${number(points.length)} of ${number(total)}` : number(total)),
  ];
}

/* The plot. */
function limitIn(point, inRows) {
  const { limits, processed } = point;
  if (!limits) return null;
  const { rows, ratio } = limits, isKnown = processed !== null && processed > 0;
  const ofRows = rows === null ? null : inRows ? rows : isKnown ? rows / processed : null;
  const ofRatio = ratio === null ? null : !inRows ? ratio : processed === null ? null : ratio * processed;
  const known = [ofRows, ofRatio].filter((one) => one !== null);
  return known.length ? Math.min(...known) : null;
}
function peakOf(values, limits, inRows) {
  const most = Math.max(0, ...values), limit = Math.max(0, ...limits);
  // A limit far above all that was found would flatten it.
  const peak = niceAbove(Math.max(most, most && limit > most * 20 ? 0 : limit) * 1.05 || (inRows ? 10 : .01));
  return inRows ? peak : Math.min(1, peak);
}
function niceAbove(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 2.5, 5, 10].map((one) => one * power).find((one) => one >= value * .999);
}
function plotOf(points, inRows, width) {
  const slot = (width - LEFT - RIGHT) / points.length;
  const values = points.map((point) => (inRows ? point.unmatched : shareOf(point)));
  const limits = points.map((point) => limitIn(point, inRows)), peak = peakOf(values, limits, inRows);
  const y = (value) => FLOOR - Math.min(1, value / peak) * (FLOOR - CEILING);
  const compact = new Intl.NumberFormat("en-US", { notation: peak >= 1e5 ? "compact" : "standard", maximumFractionDigits: 1 });
  const grid = [0, .25, .5, .75, 1].flatMap((part) => {
    const value = part * peak, label = inRows ? compact.format(value) : percent(value);
    return [
      make("line", { class: "grid", x1: LEFT, x2: width - RIGHT, y1: y(value), y2: y(value) }),
      make("text", { x: LEFT - 8, y: y(value) + 4, "text-anchor": "end" }, label),
    ];
  });
  const columns = columnsOf(points, values, slot, y), line = limitLine(limits, peak, slot, y);
  return { slot, drawn: [...grid, ...columns, ...line, ...datesOf(points, slot, width)] };
}
function columnsOf(points, values, slot, y) {
  const paths = new Paths(), bar = Math.max(1, Math.min(28, slot * .72));
  points.forEach((point, i) => {
    const middle = LEFT + (i + .5) * slot;
    if (UNCOUNTED.includes(point.state) || values[i] === null) {
      const wide = Math.max(4, Math.min(10, bar)), state = UNCOUNTED.includes(point.state) ? point.state : "missing";
      return drawUncounted(paths, state, middle - wide / 2, wide, FLOOR - 34, 34);
    }
    const top = Math.min(y(values[i]), FLOOR - 2);
    const name = values[i] ? `cap ${point.state}` : point.state;
    paths.add(name, boxOf(middle - bar / 2, top, bar, FLOOR - top, Math.min(3, bar / 3)));
    if (point.state === "disagreed") paths.add("flag", flagOf(middle, top - 8));
  });
  return paths.made();
}
function limitLine(limits, peak, slot, y) {
  let d = "", before = null, last = -1;
  limits.forEach((limit, i) => {
    if (limit === null || limit > peak) { before = null; return; }
    d += before === null ? `M${LEFT + i * slot} ${y(limit)}` : before === limit ? "" : `V${y(limit)}`;
    d += `H${LEFT + (i + 1) * slot}`;
    [before, last] = [limit, i];
  });
  if (!d) return [];
  const label = { class: "label", x: LEFT + 4, y: y(limits.find((one) => one !== null && one <= peak)) - 5 };
  return [make("path", { class: "limit", d }), make("text", label, "limit")];
}
function datesOf(points, slot, width) {
  const last = points.length - 1, places = width < 560 ? [0, last] : [0, Math.floor(last / 2), last];
  const style = { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" };
  return [...new Set(places)].map((i) => {
    const anchor = i === 0 ? "start" : i === last ? "end" : "middle";
    const x = i === 0 ? LEFT : i === last ? width - RIGHT : LEFT + (i + .5) * slot;
    return make("text", { x, y: HIGH - 8, "text-anchor": anchor }, time(points[i].at, style));
  });
}

/* The numbers. */
function tableOf(line) {
  const run = (point) => (point.url ? link(point.url, point.run_id || "run", "At DataRecs", true) : point.run_id || "–");
  const task = (point) => {
    const label = point.map_index < 0 ? point.task_id : `${point.task_id} [${point.map_index}]`;
    return link(taskUrl(line, point), label, point.dag_run_id);
  };
  const columns = [
    ["When", "", (point) => time(point.at)], ["Result", "", (point) => pillOf(point.state)],
    ["Processed", "r", (point) => number(point.processed)], ["Matched", "r", (point) => number(point.matched)],
    ["Unmatched", "r", (point) => number(point.unmatched)], ["Share", "r", (point) => percent(shareOf(point))],
    ["Limit", "r", (point) => limitOf(point) || "–"], ["Task", "", task], ["Run at DataRecs", "", run],
  ];
  if (line.points.some((point) => point.error)) columns.push(["Error", "error cut", (point) => point.error]);
  const heads = columns.map(([label, name]) => make("th", { scope: "col", class: name }, label));
  const rows = line.points.map((point) => make("tr", {}, ...columns.map(([label, name, cell]) =>
    make("td", { class: name, title: label === "Error" ? point.error : null }, cell(point)))));
  return make("table", {}, make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...rows));
}
function csvOf(line) {
  const cell = (value) => {
    let words = value === null || value === undefined ? "" : String(value);
    // What a spreadsheet would take for a formula.
    if (typeof value === "string" && /^[=+\-@\t\r]/.test(words)) words = `'${words}`;
    return /[",\n\r]/.test(words) ? `"${words.replaceAll('"', '""')}"` : words;
  };
  const heads = [
    "at", "dag_id", "dag_run_id", "task_id", "map_index", "job", "run_id", "status", "result", "rows_processed",
    "rows_matched", "rows_unmatched", "max_unmatched_rows", "max_unmatched_ratio", "error", "url",
  ];
  const rows = line.points.map((point) => {
    const { rows: most, ratio } = point.limits || { rows: null, ratio: null };
    return [
      point.at, line.dag_id, point.dag_run_id, point.task_id, point.map_index, nameOf(line), point.run_id, point.status,
      point.state, point.processed, point.matched, point.unmatched, most, ratio, point.error, point.url,
    ];
  });
  return [heads, ...rows].map((cells) => `${cells.map(cell).join(",")}\r\n`).join("");
}
async function copyText(words, button) {
  let isDone = true;
  try {
    await navigator.clipboard.writeText(words);
  } catch { // which is there over https alone
    const area = make("textarea", { "aria-hidden": "true" });
    area.value = words;
    document.body.append(area);
    area.select();
    isDone = document.execCommand("copy");
    area.remove();
    button.focus();
  }
  button.textContent = isDone ? "Copied" : "Cannot copy here";
  setTimeout(() => { button.textContent = COPY; }, 2000);
}
