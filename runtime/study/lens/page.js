"use strict";

// The pages of lens: numbers of cells, heads that a cell leads to, prompts of a head of a survey, and patterns token by token.
(() => {
  const { el, tips, hideTip, arrows, sortable, unpack } = page;
  const data = page.data();
  const nats = (v) => (v < 0 ? "\u2212" : "+") + Math.abs(v).toFixed(2);

  // The cells of maps and of the stream show their titles; a cell of a head leads to it.
  const survey = data.survey ? surveyPanel(data.survey) : null;
  for (const table of document.querySelectorAll("table.map, table.stream")) {
    const cells = [...table.querySelectorAll("td[title]")];
    for (const td of cells) {
      const text = td.title;
      td.removeAttribute("title");
      tips(td, () => text);
      const head = td.dataset.head;
      const target = head && document.getElementById(`head-${head}`);
      if (!head || !(target || survey)) continue;
      td.classList.add("leads");
      td.addEventListener("click", () => {
        hideTip();
        for (const other of document.querySelectorAll("td.chosen, .head.chosen")) other.classList.remove("chosen");
        for (const same of document.querySelectorAll(`td[data-head="${CSS.escape(head)}"]`)) same.classList.add("chosen");
        if (survey) return survey(head);
        target.closest("details").open = true;
        target.classList.add("chosen");
        target.focus({ preventScroll: true });
        target.scrollIntoView({ block: "center" });
      });
    }
    if (cells.length > 0) arrows(cells, (td) => [td.parentElement.rowIndex, td.cellIndex]);
  }

  // surveyPanel returns what shows the pairs of a head.
  function surveyPanel(s) {
    const one = unpack(s.one);
    const two = unpack(s.two);
    const heads = s.heads.length;
    const panel = el("section", { class: "pairs", "aria-live": "polite" });
    document.querySelector(".maps").after(panel);
    return (head) => {
      const k = s.heads.indexOf(head);
      const rows = s.pairs.map((p, i) => {
        const at = i * heads + k;
        return { ...p, one: one[at], two: two[at], ranks: s.ranks.slice(2 * at, 2 * at + 2) };
      }).sort((a, b) => b.one - b.two - (a.one - a.two));
      const some = s.pairs.length < s.all ? ` ${s.pairs.length} of ${s.all} pairs are in this file, spread evenly over the data.` : "";
      const names = ["pair", "entity", "two-hop prompt", "log p, one hop", "log p, two hops", "difference", "rank, one hop", "rank, two hops"];
      const number = (text) => el("td", { class: "n" }, text);
      const table = el("table", { class: "counts sortable" },
        el("thead", {}, el("tr", {}, names.map((n, i) => el("th", { class: i === 0 || i > 2 ? "n" : null, "aria-sort": n === "difference" ? "descending" : null }, n)))),
        el("tbody", {}, rows.map((r) => el("tr", {}, number(r.i), el("td", { class: "token" }, r.entity), el("td", { class: "text" }, r.prompt),
          number(nats(r.one)), number(nats(r.two)), number(nats(r.one - r.two)), ...r.ranks.map(number)))));
      sortable(table);
      panel.replaceChildren(el("h2", {}, `Pairs at head ${head}`),
        el("p", { class: "soft" }, `The entity under the head: its log-probability in nats and its rank, for the one-hop and for the two-hop prompt.${some}`),
        el("div", { class: "wide tall", tabindex: 0, role: "region", "aria-label": `pairs at head ${head}` }, table));
      panel.scrollIntoView({ block: "nearest" });
    };
  }

  // A pattern is read token by token: what has the pointer or the focus reads, the colours are its weights.
  for (const [number, figure] of [...document.querySelectorAll("figure.pattern")].entries()) {
    const p = data.patterns[number];
    const pieces = data.pieces[p.pieces];
    const n = pieces.length;
    const weights = p.rows.map((row) => {
      const out = new Float64Array(n);
      for (let i = 0; i < row.length; i += 2) out[row[i]] = row[i + 1];
      return out;
    });
    const says = el("p", { class: "soft", "aria-live": "polite" });
    const numbers = pieces.map(() => el("span", { class: "n" }));
    const tokens = pieces.map((piece, i) => el("button", { type: "button", class: "tok hi", onpointerenter: () => read(i), onfocus: () => read(i), onclick: () => read(i) }, el("span", { class: "token" }, piece), numbers[i]));
    function read(q) {
      for (const [k, t] of tokens.entries()) {
        const w = weights[q][k];
        t.style.setProperty("--s", Math.round(100 * Math.min(1, w)));
        t.classList.toggle("reads", k === q);
        t.setAttribute("aria-pressed", k === q);
        numbers[k].textContent = w > 0 ? w.toFixed(3) : "\u00a0";
      }
      const most = [...weights[q].keys()].filter((k) => weights[q][k] > 0).sort((a, b) => weights[q][b] - weights[q][a]).slice(0, 5);
      says.textContent = `position ${q}, ${pieces[q]}, reads ${most.map((k) => `${weights[q][k].toFixed(4)} of ${pieces[k]} at ${k}`).join(", ")}`;
      frame.setAttribute("y", p.top + q * p.size);
    }
    const svg = figure.querySelector("svg");
    const frame = document.createElementNS(svg.namespaceURI, "rect");
    for (const [key, value] of Object.entries({ class: "frame", x: p.left, width: n * p.size, height: p.size })) frame.setAttribute(key, value);
    svg.append(frame);
    // Places in the picture are computed: a long prompt has too many cells for a listener each.
    const at = (event) => {
      const box = svg.getBoundingClientRect();
      return [(event.clientY - box.top - p.top) / p.size, (event.clientX - box.left - p.left) / p.size].map(Math.floor);
    };
    tips(svg, () => tipText);
    svg.removeAttribute("aria-describedby");
    let tipText = "";
    svg.addEventListener("pointermove", (event) => {
      const [q, k] = at(event);
      if (q < 0 || q >= n || k < 0 || k > q) {
        event.stopImmediatePropagation();
        hideTip();
        return;
      }
      read(q);
      tipText = `${pieces[q]}, position ${q}, reads ${weights[q][k] > 0 ? weights[q][k].toFixed(4) : `less than ${data.least}`} of ${pieces[k]}, position ${k}`;
    }, { capture: true });
    if (!figure.previousElementSibling) figure.parentElement.before(el("p", { class: "soft hint" }, "Point at a token of the text below a picture, or move there with the arrow keys: it reads the tokens that are coloured."));
    figure.append(el("div", { class: "toks", role: "group", "aria-label": "the token that reads" }, tokens), says);
    arrows(tokens, (t) => [0, tokens.indexOf(t)], tokens[n - 1]);
    read(n - 1);
  }
})();
