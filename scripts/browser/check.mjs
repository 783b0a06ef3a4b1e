// check.mjs DIR FILE.html…: opens pages in Chromium, wide and narrow, light and dark, and printed, and checks that
//   - the console is empty, only the file itself is requested, and no text of a prompt runs
//   - the page is not wider than the window, and its tables are not wider than the paper when printed
//   - nothing is cut off: only div.scroll and div.wide may be narrower than what they contain, because they scroll
//   - no number is broken over two lines, and the numbers of a column are aligned to the right
//   - texts in pictures are inside their picture, do not overlap, and are large enough to read
//   - texts contrast with their background (4.5 : 1)
//   - cells and points of pictures show their numbers, and without scripts cells have titles
//   - the pages act: see act.mjs, which points, clicks, moves the slider, sorts and uses the keyboard, at both widths
//   - without scripts the pictures and tables are there
// Screenshots go to DIR.
import { createRequire } from "node:module";
import path from "node:path";
import { pathToFileURL } from "node:url";

import { act, still } from "./act.mjs";

const [dir, ...files] = process.argv.slice(2);
const { chromium } = createRequire(path.resolve(dir) + "/")("playwright-core");

const looks = [
  { name: "light", acts: true, colorScheme: "light", viewport: { width: 1280, height: 900 } },
  { name: "dark", colorScheme: "dark", viewport: { width: 1280, height: 900 } },
  { name: "narrow-light", colorScheme: "light", viewport: { width: 390, height: 844 } },
  { name: "narrow-dark", acts: true, colorScheme: "dark", viewport: { width: 390, height: 844 } },
  { name: "print", colorScheme: "dark", media: "print", viewport: { width: 1030, height: 700 } }, // A4 landscape without margins
];

// inPage runs in the browser and returns complaints.
function inPage(look) {
  const out = [];
  for (const d of document.querySelectorAll("details")) d.open = true;
  const wide = document.scrollingElement.scrollWidth;
  if (wide > innerWidth + 1) out.push(`the page is ${wide} pixels wide in a window of ${innerWidth}`);

  for (const e of document.querySelectorAll("body *")) {
    if (e.scrollWidth <= e.clientWidth + 1 || e.clientWidth === 0 || e.matches("div.scroll, div.wide") || e.closest("svg")) continue;
    if (getComputedStyle(e).overflowX !== "visible") out.push(`${e.localName} "${e.textContent.trim().slice(0, 40)}" is cut off: ${e.scrollWidth} pixels in ${e.clientWidth}`);
    else if (e.closest("div.scroll, div.wide") === null && getComputedStyle(e).display !== "inline") out.push(`${e.localName} "${e.textContent.trim().slice(0, 40)}" is ${e.scrollWidth} pixels wide in ${e.clientWidth}`);
  }

  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let t = texts.nextNode(); t; t = texts.nextNode()) {
    for (const m of t.data.matchAll(/(?<![\w/.-])[-+−±]?\d[\d.]*(?:e[-+]?\d+)?(?: %)?(?![\w/-])/g)) {
      const range = document.createRange();
      range.setStart(t, m.index);
      range.setEnd(t, m.index + m[0].length);
      if (new Set([...range.getClientRects()].map((r) => Math.round(r.top))).size > 1) out.push(`the number ${m[0]} in "${t.data.trim().slice(0, 40)}" is broken over two lines`);
    }
  }
  for (const cell of document.querySelectorAll("td")) {
    if (cell.querySelector("code") === null && /^[-+−±]?\d[\d.]*(e[-+]?\d+)?( ?%)?$/.test(cell.textContent.trim()) && !["right", "end"].includes(getComputedStyle(cell).textAlign)) {
      out.push(`the number ${cell.textContent.trim()} of a table is not aligned to the right`);
    }
  }

  for (const d of document.querySelectorAll("div.scroll, div.wide")) {
    if (d.matches(":has(.stream), figure > *")) continue; // a column for each token: the window scrolls, paper does not
    if (look === "print" && d.scrollWidth > d.clientWidth + 1) out.push(`${d.firstElementChild.localName} "${d.textContent.trim().slice(0, 40)}" is wider than the paper`);
  }

  const overlap = (a, b) => Math.min(a.right, b.right) - Math.max(a.left, b.left) > 1 && Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top) > 1;
  const shown = (e) => e.getClientRects().length > 0;
  const pictures = [...document.querySelectorAll("figure svg, .chart svg")].filter(shown);
  const maps = document.querySelectorAll("table.map, table.stream");
  if (pictures.length + maps.length === 0) out.push("there is no picture");
  for (const cell of document.querySelectorAll(".map td, .stream td")) if (cell.textContent && !cell.title && !cell.matches("[data-tip]")) out.push(`the cell ${cell.textContent} does not show its number`);
  for (const svg of pictures) {
    const name = svg.getAttribute("aria-label");
    const frame = svg.getBoundingClientRect();
    // The box of a text has room above and below its letters; only the letters must not overlap.
    const boxes = [...svg.querySelectorAll("text")].map((t) => {
      const r = t.getBoundingClientRect();
      const upright = r.width < r.height && t.textContent.length > 2;
      const [dx, dy] = upright ? [r.width * 0.2, 0] : [0, r.height * 0.2];
      return { text: t.textContent, left: r.left + dx, right: r.right - dx, top: r.top + dy, bottom: r.bottom - dy, size: upright ? r.width : r.height };
    }).filter((b) => b.text.trim() !== "");
    if (boxes.length === 0) out.push(`${name}: no text`);
    boxes.forEach((a, i) => {
      if (a.left < frame.left - 1 || a.right > frame.right + 1 || a.top < frame.top - 1 || a.bottom > frame.bottom + 1) out.push(`${name}: ${a.text} is outside`);
      if (!look.startsWith("narrow") && a.size < 9) out.push(`${name}: ${a.text} is ${a.size} pixels high`);
      for (const b of boxes.slice(i + 1)) if (overlap(a, b)) out.push(`${name}: ${a.text} overlaps ${b.text}`);
    });
    for (const m of svg.querySelectorAll(".mark")) if (!m.getAttribute("aria-label")) out.push(`${name}: a mark without a text`);
  }

  // Colours are drawn on a canvas, because a canvas accepts every notation of a colour.
  const pixel = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  const luminance = (css) => {
    pixel.fillStyle = css;
    pixel.fillRect(0, 0, 1, 1);
    return [...pixel.getImageData(0, 0, 1, 1).data.slice(0, 3)].map((v) => ((v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
      .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  };
  const paper = getComputedStyle(document.body).backgroundColor;
  const ground = luminance(paper);
  if (look.endsWith("dark") !== ground < 0.2) out.push(`the background is ${paper}`);
  const seen = new Set();
  for (const e of document.querySelectorAll("body *")) {
    if (![...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim() !== "") || e.localName === "title") continue;
    const style = getComputedStyle(e);
    const ink = e.localName === "text" ? style.fill : style.color;
    let under = e;
    while (under !== document.body && getComputedStyle(under).backgroundColor === "rgba(0, 0, 0, 0)") under = under.parentElement;
    const back = getComputedStyle(under).backgroundColor;
    if (seen.has(ink + back)) continue;
    seen.add(ink + back);
    const [a, b] = [luminance(ink), luminance(back)].sort((x, y) => y - x);
    const contrast = (a + 0.05) / (b + 0.05);
    if (contrast < 4.5) out.push(`${e.localName} "${e.textContent.slice(0, 30)}": contrast ${contrast.toFixed(2)}`);
  }
  return { out, pictures: pictures.length + maps.length, marks: document.querySelectorAll(".mark, [data-tip]").length };
}

// open opens a page that reports what it should not do.
async function open(url, options, complaints) {
  const page = await browser.newPage(options);
  page.on("console", (m) => complaints.push(`console ${m.type()}: ${m.text()}`));
  page.on("dialog", (d) => { complaints.push(`a text ran as a script: ${d.message()}`); d.dismiss(); });
  page.on("pageerror", (e) => complaints.push(`error: ${e}`));
  page.on("request", (r) => { if (r.url() !== url && !r.url().startsWith("data:")) complaints.push(`request: ${r.url()}`); });
  return page;
}

function report(file, name, complaints, found) {
  console.log(`${complaints.length === 0 ? "ok  " : "FAIL"} ${file} ${name}: ${found}`);
  for (const c of complaints.slice(0, 20)) console.log(`     ${c}`);
  if (complaints.length > 20) console.log(`     and ${complaints.length - 20} more`);
  failed += complaints.length;
}

let failed = 0;
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM });

for (const file of files) {
  const url = pathToFileURL(path.resolve(file)).href;
  for (const look of looks) {
    const complaints = [];
    const page = await open(url, { colorScheme: look.colorScheme, viewport: look.viewport }, complaints);
    if (look.media) await page.emulateMedia({ media: look.media, colorScheme: look.colorScheme });
    await page.goto(url, { waitUntil: "load" });
    const shot = path.join(dir, `${path.basename(file, ".html")}-${look.name}.png`);
    const height = Math.min(await page.evaluate(() => document.scrollingElement.scrollHeight), 12000);
    await page.screenshot({ path: shot, fullPage: true, clip: { x: 0, y: 0, width: look.viewport.width, height } });
    if (look.acts) complaints.push(...await act(page, path.join(dir, `${path.basename(file, ".html")}-${look.name}`)));
    const { out, pictures, marks } = await page.evaluate(inPage, look.name);
    complaints.push(...out);
    report(file, look.name, complaints, `${pictures} pictures, ${marks} marks with numbers, ${shot}`);
    if (look.media === "print") await page.pdf({ path: path.join(dir, `${path.basename(file, ".html")}.pdf`), preferCSSPageSize: true });
    await page.close();
  }
  const complaints = [];
  const page = await open(url, { javaScriptEnabled: false, viewport: looks[0].viewport }, complaints);
  await page.goto(url, { waitUntil: "load" });
  complaints.push(...await still(page, path.join(dir, `${path.basename(file, ".html")}-still.png`)));
  report(file, "without scripts", complaints, "pictures and tables are shown");
  await page.close();
}
await browser.close();
process.exit(failed === 0 ? 0 : 1);
