"use strict";

// The charts of the report: estimates with their intervals, and for each series a map with the prompts of a cell.
(() => {
  const { el, tips, hideTip, arrows, sortable, unpack } = page;
  const data = page.data();

  // The numbers of a cell, in the order of effectNumbers in data.go.
  const [N, IMPROVED, NONFINITE, ODDS, LOW, HIGH, BEFORE, AFTER, MEDIAN, PAPER] = Array(10).keys();
  const ofMeasure = [ODDS, MEDIAN, PAPER];

  const none = "–";
  const grouped = (s) => (s.length < 5 || s.includes(".") ? s : s.replace(/\B(?=(\d{3})+$)/g, "\u00a0"));
  function signed(v, decimals) {
    if (v === null || !Number.isFinite(v)) return none;
    const s = grouped(Math.abs(v).toFixed(decimals));
    return /[1-9]/.test(s) ? (v < 0 ? "\u2212" : "+") + s : s;
  }
  const nats = (v) => signed(v, 2);
  const percent = (v) => (v === null ? none : `${signed(100 * v, Math.abs(v) >= 10 ? 0 : 1)}\u00a0%`);
  const format = [nats, percent, percent];
  const probability = (p) => (p === null || Number.isNaN(p) ? none : p >= 0.001 || p === 0 ? p.toFixed(4) : p.toExponential(2).replace(/e-(\d)$/, "e-0$1"));
  const ofOdds = (x) => 1 / (1 + Math.exp(-x));

  // shortened takes the middle of a text away: names differ at both ends.
  function shortened(text, most) {
    const n = Math.floor(most);
    return text.length <= n ? text : `${text.slice(0, Math.ceil(n / 2) - 1)}…${text.slice(-Math.floor(n / 2))}`;
  }

  const axisStyle = { fontSize: "12px", background: "none", color: "var(--ink)", overflow: "visible" };
  const width = (most, parent) => Math.max(300, Math.min(most, parent.clientWidth || most));

  // place puts a chart into a box that scrolls, and takes what was in it away.
  function place(box, chart) {
    hideTip();
    box.replaceChildren(chart);
  }

  // marks returns the drawn elements of a layer of a chart, in the order of its data.
  const marks = (chart, layer) => [...chart.querySelectorAll(`[aria-label="${layer}"] > *`)].sort((a, b) => a.__data__ - b.__data__);

  // estimates draws lines of estimates with intervals, in place of the picture.
  function estimates(figure) {
    const c = data.charts[figure.dataset.chart];
    const title = figure.dataset.title;
    const colours = ["var(--first)", "var(--second)"];
    const list = c.lines.flatMap((l, line) => l.marks.map((m) => ({ ...m, line, shift: l.marks.length > 1 ? 6 * (2 * m.kind - 1) : 0 })));
    const longest = Math.max(...c.lines.map((l) => l.label.length), 1);
    const draw = () => {
      const w = width(760, figure);
      const narrow = w < 560;
      const left = narrow ? 12 : Math.min(420, 20 + 7.2 * longest);
      const layers = [0, 1].flatMap((kind) => {
        const own = list.filter((m) => m.kind === kind);
        const dy = own[0]?.shift ?? 0;
        return [
          Plot.ruleY(own.filter((m) => m.low !== null), { y: "line", x1: "low", x2: "high", stroke: colours[kind], strokeWidth: 2, dy }),
          Plot.dot(own, { y: "line", x: "value", fill: colours[kind], r: 5, symbol: kind ? "square" : "circle", dy, ariaLabel: "text", className: `kind${kind}` }),
        ];
      });
      const chart = Plot.plot({
        width: w, height: 64 + c.lines.length * (narrow ? 44 : 26), marginLeft: left, marginRight: 24, marginTop: 8, marginBottom: 48, style: axisStyle,
        x: { label: c.unit, nice: true, zero: true, inset: 8 },
        y: { type: "band", domain: c.lines.map((_, i) => i), label: null, padding: 0.2 },
        marks: [
          Plot.axisY({ tickFormat: (i) => shortened(c.lines[i].label, (narrow ? w - 24 : left - 16) / 7), tickSize: 0, ...(narrow ? { textAnchor: "start", dx: 4, dy: -16 } : {}) }),
          Plot.axisX({ labelAnchor: "center", labelArrow: "none", labelOffset: 36, ticks: narrow ? 4 : 8 }),
          Plot.ruleX([0], { stroke: "var(--ink)", strokeDasharray: "3 2" }), ...layers,
        ],
      });
      chart.setAttribute("role", "group");
      chart.setAttribute("aria-label", title);
      for (const [kind] of colours.entries()) {
        const own = list.filter((m) => m.kind === kind);
        [...chart.querySelectorAll('[aria-label="dot"]')][kind]?.querySelectorAll("*").forEach((e) => mark(e, own[e.__data__].text));
      }
      const dots = [...chart.querySelectorAll(".mark")];
      arrows(dots, (e) => [dots.indexOf(e), 0]);
      place(box, chart);
    };
    const box = el("div", { class: "scroll chart" });
    const legend = (c.legend ?? []).map((text, i) => el("span", {}, el("span", { class: `key kind${i}`, "aria-hidden": "true" }), text));
    figure.style.width = "100%";
    figure.prepend(el("p", { class: "title" }, title), el("p", { class: "legend" }, legend), box);
    figure.querySelector(".picture").hidden = true;
    whenShown(figure, draw);
  }

  // mark makes an element of a chart show a text.
  function mark(e, text) {
    e.classList.add("mark");
    e.setAttribute("role", "img");
    e.setAttribute("aria-label", text);
    tips(e, () => text);
  }

  // whenShown draws when an element has a place on the page, and again when its width changes.
  function whenShown(e, draw) {
    let last = 0;
    new ResizeObserver(() => {
      if (e.clientWidth === last || e.clientWidth === 0) return;
      last = e.clientWidth;
      draw();
    }).observe(e);
  }

  // Explorer is the map of a series, its line over layers at one tau, and the prompts of one cell.
  function explore(root) {
    const number = Number(root.dataset.series);
    const s = data.series[number];
    const run = data.runs[s.run];
    const taus = s.taus.length;
    const heads = s.heads?.length ?? 0;
    const columns = taus * Math.max(1, heads);
    const byHead = heads > 0;
    const change = unpack(s.change);
    const after = s.after ? unpack(s.after) : null;
    const at = (i) => ({ layer: Math.floor(i / columns), head: Math.floor((i % columns) / taus), tau: i % taus });
    const index = (layer, head, tau) => layer * columns + head * taus + tau;
    let measure = 0;
    let cell = Math.max(0, s.best[0]);
    let tau = at(cell).tau;

    const text = (i) => {
      const c = s.cells[i];
      const lines = [
        s.names[i],
        `log-odds ${nats(c[ODDS])} nats, 95 % ${c[LOW] === null ? none : `${nats(c[LOW])} to ${nats(c[HIGH])}`}`,
        `${c[IMPROVED]} of ${c[N]} prompts gain`,
        `p ${probability(c[BEFORE])} before, ${probability(c[AFTER])} after`,
      ];
      if (measure > 0) lines.push(`median change ${percent(c[MEDIAN])}, paper's mean ${percent(c[PAPER])}`);
      if (c[NONFINITE] > 0) lines.push(`${c[NONFINITE]} without a number`);
      return lines.join("\n");
    };

    // Controls.
    const choose = el("select", { onchange: () => { measure = Number(choose.value); draw(); } }, data.measures.map((m, i) => el("option", { value: i }, m.title)));
    const value = el("output", {});
    const slider = el("input", {
      type: "range", min: 0, max: taus - 1, step: 1, value: tau, "aria-label": s.axis,
      oninput: () => { const a = at(cell); tau = Number(slider.value); cell = index(a.layer, a.head, tau); draw(); },
    });
    const controls = el("div", { class: "controls" }, el("label", {}, "map of ", choose), taus > 1 ? el("label", {}, `${s.axis} `, slider, " ", value) : null);
    const map = el("div", { class: "scroll chart map" });
    const scale = el("div", { class: "colours", "aria-hidden": "true" });
    const curve = el("div", { class: "scroll chart curve" });
    const panel = el("section", { class: "cell", "aria-live": "polite" });
    const left = el("div", { class: "half" }, map, scale);
    const right = el("div", { class: "half" }, curve);
    root.append(controls, el("div", { class: "halves" }, left, right), panel);
    root.hidden = false;
    const still = root.parentElement.querySelector("details.static");
    still.open = false;

    function select(i, focus) {
      cell = i;
      tau = at(i).tau;
      draw();
      if (focus) map.querySelector('[tabindex="0"]')?.focus();
    }

    // drawMap draws layer by tau, or layer by head at one tau.
    function drawMap() {
      const names = byHead ? s.heads : s.taus;
      const list = s.layers.flatMap((_, layer) => names.map((_, k) => (byHead ? index(layer, k, tau) : index(layer, 0, k))));
      const column = (i) => (byHead ? at(i).head : at(i).tau);
      const steps = s.steps[measure];
      const w = width(Math.max(560, names.length * 18 + 70), left);
      const unit = (w - 70) / names.length;
      const every = Math.ceil((Math.max(...names.map((n) => n.length)) * 8 + 6) / unit);
      const tall = Math.max(13, Math.min(30, 420 / s.layers.length));
      const best = s.best[measure];
      const frames = [[best, "var(--ink)", "2 2"], [cell, "var(--ink)", null]].filter(([i]) => list.includes(i));
      const chart = Plot.plot({
        width: w, height: 68 + tall * s.layers.length, marginLeft: 52, marginRight: 16, marginTop: 12, marginBottom: 50, style: axisStyle, padding: 0,
        x: { type: "band", domain: names.map((_, k) => k), label: byHead ? "head" : s.axis },
        y: { type: "band", domain: s.layers.map((_, l) => l), label: "layer", reverse: true },
        marks: [
          Plot.axisX({ labelAnchor: "center", labelArrow: "none", labelOffset: 36, tickSize: 0, tickFormat: (k) => (k % every === 0 ? names[k] : "") }),
          Plot.axisY({ labelAnchor: "center", labelArrow: "none", tickSize: 0, tickFormat: (l) => (l % Math.ceil(14 / tall) === 0 ? `${s.layers[l]}` : "") }),
          Plot.cell(list, {
            x: column, y: (i) => at(i).layer, fill: (i) => (steps[i] === "-" ? "var(--missing)" : `var(--step${parseInt(steps[i], 16)})`), inset: 0.5, ariaLabel: text,
          }),
          ...frames.map(([i, stroke, strokeDasharray]) => Plot.cell([i], {
            x: column, y: (k) => at(k).layer, fill: "none", stroke, strokeWidth: 2.5, inset: 1.5, pointerEvents: "none", ...(strokeDasharray && { strokeDasharray }),
          })),
        ],
      });
      chart.setAttribute("role", "group");
      chart.setAttribute("aria-label", `${data.measures[measure].title} by layer and ${byHead ? "head" : s.axis}`);
      const held = map.contains(document.activeElement);
      const cells = [...chart.querySelector('[aria-label="cell"]').children];
      const of = (e) => list[e.__data__];
      for (const e of cells) {
        e.classList.add("mark", "spot");
        e.setAttribute("role", "button");
        e.setAttribute("aria-pressed", of(e) === cell);
        tips(e, () => text(of(e)));
        e.addEventListener("click", () => select(of(e), true));
      }
      arrows(cells, (e) => [-at(of(e)).layer, column(of(e))], cells.find((e) => of(e) === cell));
      place(map, chart);
      if (held) map.querySelector('[tabindex="0"]')?.focus();
      const labels = data.measures[measure].colours;
      scale.replaceChildren(el("div", {}, labels.map((_, i) => el("i", { style: `background:var(--step${i})` }))), el("div", {}, [0, 5, 10].map((i) => el("span", {}, labels[i] || none))));
    }

    // drawCurve draws the measure over layers at one tau, and at the best tau of each layer.
    function drawCurve() {
      if (byHead || s.layers.length < 2) return;
      const value = (i) => s.cells[i][ofMeasure[measure]];
      const now = s.layers.map((_, l) => index(l, 0, tau)).filter((i) => value(i) !== null);
      const peaks = taus > 1 ? s.peaks[measure].filter((i) => i >= 0 && value(i) !== null) : [];
      const scaled = measure === 0 ? 1 : 100;
      const y = (i) => scaled * value(i);
      const x = (i) => at(i).layer;
      const w = width(560, right);
      const every = Math.ceil((s.layers.length * 24) / (w - 90));
      const chart = Plot.plot({
        width: w, height: Math.max(240, map.clientHeight), marginLeft: 66, marginRight: 16, marginTop: 28, marginBottom: 50, style: axisStyle,
        x: { type: "point", domain: s.layers.map((_, l) => l), label: "layer", padding: 0.5 },
        y: { label: measure === 0 ? "log-odds, nats" : "percent", grid: true, nice: true, zero: true },
        marks: [
          Plot.axisX({ labelAnchor: "center", labelArrow: "none", labelOffset: 36, tickSize: 3, tickFormat: (l) => (l % every === 0 ? `${s.layers[l]}` : "") }),
          Plot.axisY({ labelArrow: "none", ticks: 6, tickFormat: (v) => (v === 0 ? "0" : signed(v, Math.abs(v) < 1 ? 2 : Math.abs(v) < 10 ? 1 : 0)) }),
          Plot.ruleY([0], { stroke: "var(--ink)", strokeDasharray: "3 2" }),
          Plot.lineY(peaks, { x, y, stroke: "var(--second)", strokeOpacity: 0.7, strokeDasharray: "2 3" }),
          Plot.lineY(now, { x, y, stroke: "var(--first)" }),
          ...(measure === 0 ? [Plot.ruleX(now.filter((i) => s.cells[i][LOW] !== null), { x, y1: (i) => s.cells[i][LOW], y2: (i) => s.cells[i][HIGH], stroke: "var(--first)", strokeWidth: 2 })] : []),
          Plot.dot(peaks, { x, y, fill: "var(--second)", symbol: "square", r: 3.5 }),
          Plot.dot(now, { x, y, fill: "var(--first)", r: 5, stroke: (i) => (i === cell ? "var(--ink)" : "none"), strokeWidth: 2, ariaLabel: text }),
        ],
      });
      chart.setAttribute("role", "group");
      chart.setAttribute("aria-label", `${data.measures[measure].title} by layer`);
      const groups = [...chart.querySelectorAll('[aria-label="dot"]')];
      for (const [k, list] of [peaks, now].entries()) {
        for (const e of groups[groups.length - 2 + k]?.children ?? []) {
          const i = list[e.__data__];
          mark(e, text(i));
          e.addEventListener("click", () => select(i));
        }
      }
      const dots = groups.flatMap((g) => [...g.children]);
      arrows(dots, (e) => [0, dots.indexOf(e)]);
      const key = el("p", { class: "legend" }, el("span", {}, el("span", { class: "key kind0", "aria-hidden": "true" }), taus > 1 ? `${s.axis} ${s.taus[tau]}` : "each layer"),
        peaks.length > 0 ? el("span", {}, el("span", { class: "key kind1", "aria-hidden": "true" }), `best ${s.axis} of the layer`) : null);
      place(curve, chart);
      curve.prepend(key);
    }

    // drawCell shows the numbers of the selected cell, and its prompts.
    function drawCell() {
      const c = s.cells[cell];
      const n = run.prompts.length;
      const list = run.prompts.map((p, k) => {
        const d = change[cell * n + k];
        const b = p.before;
        return { ...p, memory: s.memories[k], d, before: b === null ? NaN : ofOdds(b), after: b === null ? NaN : ofOdds(after ? after[cell * n + k] : b + d) };
      }).filter((p) => !Number.isNaN(p.d)).sort((a, b) => b.d - a.d);
      const facts = [
        ["log-odds, nats", nats(c[ODDS])], ["95 %", c[LOW] === null ? none : `${nats(c[LOW])} to ${nats(c[HIGH])}`], ["gain", `${c[IMPROVED]} of ${c[N]}`],
        ["p before", probability(c[BEFORE])], ["p after", probability(c[AFTER])],
      ];
      const left = list.length < c[N] ? ` ${list.length} of the ${c[N]} prompts of the cell are in this file, spread evenly over the data; cells.csv has all.` : "";
      const code = (text) => (text ? el("code", {}, text) : "");
      const columns = [
        ["prompt", "n", (p) => p.i], ["log-odds", "n", (p) => nats(p.d)], ["p before", "n", (p) => probability(p.before)], ["p after", "n", (p) => probability(p.after)],
        ["text", "prompt", (p) => p.text], ["memory", "text", (p) => code(p.memory)], ["answer", "text", (p) => code(p.answer)],
      ].filter(([name]) => name !== "memory" || list.some((p) => p.memory));
      const table = el("table", { class: "sortable prompts" },
        el("thead", {}, el("tr", {}, columns.map(([name, kind]) => el("th", { class: kind === "n" && kind, "aria-sort": name === "log-odds" && "descending" }, name)))),
        el("tbody", {}, list.map((p) => el("tr", {}, columns.map(([, kind, of]) => el("td", { class: kind }, of(p)))))));
      sortable(table);
      const spread = el("div", { class: "scroll chart" });
      panel.replaceChildren(
        el("h3", {}, `Prompts at ${s.names[cell]}`),
        el("dl", { class: "facts" }, facts.map(([name, v]) => el("div", {}, el("dt", {}, name), el("dd", {}, v)))),
        el("details", {}, el("summary", {}, "In percent"), el("dl", { class: "facts" }, [["paper's mean", percent(c[PAPER])], ["median", percent(c[MEDIAN])]].map(([name, v]) => el("div", {}, el("dt", {}, name), el("dd", {}, v))))),
        ...(list.length === 0 ? [el("p", {}, run.prompts.length === 0 ? "The prompts are not in this file: the evaluation has too many cells. cells.csv has them." : "No prompt has a number here.")] : [
          spread, el("p", { class: "muted" }, `Each bar is a number of prompts.${left} Select a heading to sort.`),
          el("div", { class: "scroll tall", tabindex: 0, role: "region", "aria-label": `prompts at ${s.names[cell]}` }, table),
        ]),
      );
      if (list.length > 0) drawSpread(spread, list);
    }

    // drawSpread draws how many prompts gain and lose how much. Zero is an edge of a bar, so that no bar has both.
    function drawSpread(box, list) {
      const [low, high] = [Math.min(0, list.at(-1).d), Math.max(0, list[0].d)];
      const rough = Math.max((high - low) / Math.max(6, Math.min(30, 2 * Math.sqrt(list.length))), 1e-3);
      const power = 10 ** Math.floor(Math.log10(rough));
      const size = [1, 2, 5, 10].map((k) => k * power).find((v) => v >= rough * (1 - 1e-9));
      const bars = new Map();
      for (const p of list) bars.set(Math.floor(p.d / size), (bars.get(Math.floor(p.d / size)) ?? 0) + 1);
      const bins = [...bars].map(([k, n]) => ({ from: k * size, to: (k + 1) * size, n }));
      const chart = Plot.plot({
        width: width(1100, box), height: 200, marginLeft: 52, marginRight: 30, marginTop: 28, marginBottom: 48, style: axisStyle,
        x: { label: "change of log-odds, nats", inset: 4 }, y: { label: "prompts", grid: true, nice: true },
        marks: [
          Plot.axisX({ labelAnchor: "center", labelArrow: "none", labelOffset: 36 }), Plot.axisY({ labelArrow: "none", ticks: 4 }),
          Plot.rectY(bins, { x1: "from", x2: "to", y: "n", fill: (b) => (b.from < 0 ? "var(--second)" : "var(--first)"), insetLeft: 0.5, insetRight: 0.5 }),
          Plot.ruleX([0], { stroke: "var(--ink)", strokeDasharray: "3 2" }),
        ],
      });
      chart.setAttribute("role", "img");
      chart.setAttribute("aria-label", "prompts by change of log-odds");
      for (const e of chart.querySelectorAll('[aria-label="rect"] > *')) {
        const b = bins[e.__data__];
        tips(e, () => `${b.n} ${b.n === 1 ? "prompt" : "prompts"} from ${nats(b.from)} to ${nats(b.to)}`);
      }
      place(box, chart);
    }

    function draw() {
      value.textContent = s.taus[tau];
      slider.value = tau;
      slider.setAttribute("aria-valuetext", `${s.axis} ${s.taus[tau]}`);
      drawMap();
      drawCurve();
      drawCell();
    }
    whenShown(root, draw);
  }

  document.documentElement.classList.add("scripts");
  for (const figure of document.querySelectorAll("figure[data-chart]")) estimates(figure);
  for (const root of document.querySelectorAll(".explore")) explore(root);
})();
