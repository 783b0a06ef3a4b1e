"use strict";

// page holds what the scripts of all pages share.
const page = (() => {
  // data returns the JSON of the page.
  const data = () => JSON.parse(document.getElementById("data").textContent);

  // unpack reads numbers of two bytes; NaN is no number.
  function unpack({ unit, bytes }) {
    const view = new DataView(Uint8Array.from(atob(bytes), (c) => c.charCodeAt(0)).buffer);
    return Float64Array.from({ length: view.byteLength / 2 }, (_, i) => {
      const n = view.getInt16(2 * i, true);
      return n === -32768 ? NaN : n * unit;
    });
  }

  // el makes an element. Properties that begin with "on" are listeners, the others attributes; null and false leave one out. Texts stay
  // texts: nothing here reads markup.
  function el(name, properties, ...children) {
    const e = document.createElement(name);
    for (const [key, value] of Object.entries(properties ?? {})) {
      if (key.startsWith("on")) e.addEventListener(key.slice(2), value);
      else if (value !== null && value !== undefined && value !== false) e.setAttribute(key, value === true ? "" : value);
    }
    e.append(...children.flat().filter((c) => c !== null && c !== undefined));
    return e;
  }

  // The tip is a box with a text next to what the pointer rests on or what has the focus.
  const tip = el("div", { class: "tip", role: "tooltip", id: "tip", hidden: true });
  document.body.append(tip);
  function place(x, y) {
    const { width, height } = tip.getBoundingClientRect();
    const left = Math.max(8, Math.min(x + 14, document.documentElement.clientWidth - width - 8));
    const above = y - height - 12;
    const top = above >= 8 ? above : Math.min(y + 18, innerHeight - height - 8);
    tip.style.transform = `translate(${Math.round(left)}px, ${Math.round(top)}px)`;
  }
  let owner = null; // the element that the tip is about
  let focused = false; // it is there because of the focus
  function hideTip() {
    tip.hidden = true;
    owner = null;
    focused = false;
  }
  function showTip(e, text) {
    owner = e;
    tip.textContent = text.replace(/e-(?=\d)/g, "e\u2011"); // no line ends in a number
    tip.hidden = false;
  }

  function beside(e) {
    const box = e.getBoundingClientRect();
    place(box.right - 8, box.top);
  }

  // tips makes an element show a text: of(e) when the pointer is over it, or it has the focus.
  function tips(e, of) {
    e.setAttribute("data-tip", "");
    e.setAttribute("aria-describedby", "tip");
    const leave = (ofFocus) => () => { if (owner === e && focused === ofFocus) hideTip(); };
    e.addEventListener("pointermove", (event) => {
      if (focused && event.movementX === 0 && event.movementY === 0) return; // the page moved, not the pointer
      focused = false;
      showTip(e, of(e));
      place(event.clientX, event.clientY);
    });
    e.addEventListener("pointerleave", leave(false));
    e.addEventListener("focus", () => {
      if (!e.matches(":focus-visible")) return;
      focused = true;
      showTip(e, of(e));
      beside(e);
    });
    e.addEventListener("blur", leave(true));
  }
  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") hideTip();
  });
  // A focus may scroll the page: then the tip goes with its element.
  addEventListener("scroll", () => (focused ? beside(owner) : hideTip()), { passive: true, capture: true });

  // arrows makes cells of a grid reachable: one of them with the Tab key, the others from there with the arrow keys. Enter and the space
  // bar act like a click. at(e) is [row, column].
  function arrows(cells, at, current) {
    const places = new Map(cells.map((e) => [at(e).join(), e]));
    let tab = cells.includes(current) ? current : cells[0];
    for (const e of cells) {
      e.setAttribute("tabindex", e === tab ? 0 : -1);
      e.addEventListener("keydown", (event) => {
        const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
        if (event.key === "Enter" || event.key === " ") {
          event.preventDefault();
          e.dispatchEvent(new MouseEvent("click", { bubbles: true }));
        }
        if (!step) return;
        event.preventDefault();
        const [row, column] = at(e);
        const next = places.get([row + step[0], column + step[1]].join());
        if (!next) return;
        tab.setAttribute("tabindex", -1);
        tab = next;
        tab.setAttribute("tabindex", 0);
        tab.focus({ focusVisible: true });
      });
    }
  }

  // number reads the first number of a text as the pages write it: a real minus, spaces between thousands; NaN for none.
  function number(text) {
    const m = /[-+]?\d+(\.\d+)?(e[-+]?\d+)?/.exec(text.replaceAll("\u2212", "-").replaceAll("\u00a0", ""));
    return m ? Number(m[0]) : NaN;
  }

  // columns returns [heading, column] of the headings that name one column each, in tables whose headings have several rows.
  function columns(head) {
    const out = [];
    const taken = [];
    [...head.rows].forEach((row, r) => {
      let c = 0;
      for (const th of row.cells) {
        while (taken[r]?.[c]) c++;
        for (let i = 0; i < th.rowSpan; i++) for (let k = 0; k < th.colSpan; k++) (taken[r + i] ??= [])[c + k] = true;
        if (th.colSpan === 1 && th.textContent.trim() !== "") out.push([th, c]);
        c += th.colSpan;
      }
    });
    return out;
  }

  // sortable makes the columns of a table sort. Texts sort from A to Z first, numbers from the largest. What is no number comes last.
  function sortable(table) {
    const body = table.tBodies[0];
    if (!table.tHead || !body) return;
    for (const [th, c] of columns(table.tHead)) {
      const button = el("button", { type: "button", class: "sort" }, ...th.childNodes);
      th.append(button);
      button.addEventListener("click", () => {
        const rows = [...body.rows];
        const numeric = rows.some((r) => r.cells[c]?.matches(".n")) && rows.some((r) => !Number.isNaN(number(r.cells[c].textContent)));
        const way = th.getAttribute("aria-sort");
        const down = way ? way === "ascending" : numeric;
        for (const other of table.tHead.querySelectorAll("[aria-sort]")) other.removeAttribute("aria-sort");
        th.setAttribute("aria-sort", down ? "descending" : "ascending");
        const key = new Map(rows.map((r) => [r, numeric ? number(r.cells[c].textContent) : r.cells[c].textContent.trim()]));
        rows.sort((a, b) => {
          const [x, y] = [key.get(a), key.get(b)];
          if (!numeric) return (down ? -1 : 1) * x.localeCompare(y);
          if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
          return down ? y - x : x - y;
        });
        body.append(...rows);
      });
    }
  }
  for (const table of document.querySelectorAll("table.sortable")) sortable(table);

  return { data, unpack, el, tips, hideTip, arrows, sortable };
})();
