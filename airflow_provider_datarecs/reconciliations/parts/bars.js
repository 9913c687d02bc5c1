/* The last results of a line, a bar for each, and what their forms mean. */
const BARS = 30, STEP = 8, WIDTH = BARS * STEP - 2, TOP = 8, TALL = 34;

/* Collects drawings by their class, so that each class is one path. */
class Paths {
  constructor() { this.found = {}; }
  add(name, d) { this.found[name] = (this.found[name] || "") + d; }
  made() { return Object.entries(this.found).map(([name, d]) => make("path", { class: name, d })); }
}
function boxOf(x, y, width, height, round = 0) {
  const r = Math.min(round, width / 2, height);
  return `M${x} ${y + height}v${r - height}q0 ${-r} ${r} ${-r}h${width - 2 * r}q${r} 0 ${r} ${r}v${height - r}z`;
}
const flagOf = (middle, y) => `M${middle - 3} ${y}h6l-3 5z`;

/* Its height is all rows; its cap those unmatched, by the square root, so that a few are seen. */
function drawBar(paths, point, x, width, top, tall) {
  const { state } = point, share = shareOf(point), middle = x + width / 2, round = Math.min(2, width / 3);
  if (UNCOUNTED.includes(state)) return drawUncounted(paths, state, x, width, top, tall);
  const cap = share ? Math.max(2, Math.sqrt(share) * tall) : 0;
  if (cap < tall) paths.add(state, boxOf(x, top + cap, width, tall - cap, cap ? 0 : round));
  if (cap) paths.add(`cap ${state}`, boxOf(x, top, width, cap, round));
  if (state === "disagreed") paths.add("flag", flagOf(middle, top - 7));
}
function drawUncounted(paths, state, x, width, top, tall) {
  const middle = x + width / 2, centre = top + tall / 2, reach = Math.min(3, width / 2 - 1);
  paths.add(state, boxOf(x + .5, top + .5, width - 1, tall - 1, 2));
  if (state === "failed") {
    const [from, by] = [`M${middle - reach} ${centre - reach}`, 2 * reach];
    paths.add("sign failed", `${from}l${by} ${by}m0 ${-by}l${-by} ${by}`);
  } else if (state === "cancelled") {
    paths.add("sign cancelled", `M${middle - reach} ${centre}h${2 * reach}`);
  } else {
    paths.add("dot", [-7, 0, 7].map((y) => `M${middle - 1} ${centre + y - 1}h2v2h-2z`).join(""));
  }
}

function barsOf(line) {
  const paths = new Paths(), points = line.points.slice(0, BARS).reverse(), before = BARS - points.length;
  for (let i = 0; i < before; i++) paths.add("none", `M${i * STEP + 2} ${TOP + TALL - 2}h2v2h-2z`);
  points.forEach((point, i) => drawBar(paths, point, (before + i) * STEP, STEP - 2, TOP, TALL));
  const hot = make("rect", { class: "hot", y: 0, width: STEP, height: TOP + TALL + 2, x: -99, rx: 2 });
  const point = (event) => {
    const { left, width } = svg.getBoundingClientRect();
    const i = Math.floor((event.clientX - left) / width * WIDTH / STEP), found = points[i - before];
    hot.setAttribute("x", found ? i * STEP - 1 : -99);
    tip(event, found && summaryOf(found));
  };
  const leave = (event) => { hot.setAttribute("x", -99); tip(event); };
  const svg = make("svg", {
    class: "bars", viewBox: `0 0 ${WIDTH} ${TOP + TALL + 2}`, role: "img", "aria-label": sayBars(points),
    onmousemove: point, onmouseleave: leave,
  }, hot, ...paths.made());
  return svg;
}
function sayBars(points) {
  const counts = {};
  for (const { state } of points) counts[state] = (counts[state] || 0) + 1;
  const words = Object.entries(counts).map(([state, count]) => `${count} ${STATES[state].label.toLowerCase()}`);
  return `Last ${counted(points.length, "result")}: ${words.join(", ")}`;
}

function legend() {
  const one = (point, words) => {
    const paths = new Paths();
    drawBar(paths, { processed: 100, unmatched: 3, ...point }, 0, 8, 0, 24);
    return make("span", {}, make("svg", { viewBox: "0 0 8 24", "aria-hidden": "true" }, ...paths.made()), words);
  };
  return [
    one({ state: "agreed" }, "agrees"), one({ state: "disagreed", unmatched: 20 }, "disagrees"),
    one({ state: "unlimited" }, "no limit"), one({ state: "failed" }, "failed"),
    one({ state: "cancelled" }, "cancelled"), one({ state: "missing" }, "unknown"),
    make("span", {}, "The cap is what is unmatched, drawn as its square root so that a few rows are seen."),
  ];
}
