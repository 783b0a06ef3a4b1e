// What a reader does with a page: act points, clicks, moves the slider, sorts and uses the keyboard, and returns complaints; still
// looks at a page without scripts.

const number = (text) => {
  const m = /[-+]?\d+(\.\d+)?(e[-+]?\d+)?/.exec(text.replaceAll("\u2212", "-").replaceAll("\u2011", "-").replaceAll("\u00a0", ""));
  return m ? Number(m[0]) : NaN;
};
const sorted = (list, down) => list.every((v, i) => i === 0 || Number.isNaN(v) || (down ? list[i - 1] >= v : list[i - 1] <= v));

// point moves the pointer onto an element, after what scrolls has come to rest.
async function point(locator) {
  await locator.scrollIntoViewIfNeeded();
  await locator.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
  await locator.hover();
}

// act does everything that a page offers. shot is the beginning of the names of screenshots.
export async function act(page, shot) {
  const out = [];
  page.setDefaultTimeout(5000);
  const check = (ok, what) => { if (!ok) out.push(what); };
  const tip = async () => (await page.locator("#tip").isVisible()) ? page.locator("#tip").textContent() : "";
  for (const [name, acts] of [["explore", explore], ["chart", charts], ["map", maps], ["pattern", pattern], ["sortable", sort], ["survey", survey], ["scatter", scatter]]) {
    try {
      await acts(page, check, tip, `${shot}-${name}.png`);
    } catch (e) {
      out.push(`${name}: ${e.message.split("\n")[0]}`);
    }
  }
  await page.mouse.move(1, 1);
  check(await tip() === "", "the numbers stay when the pointer is gone");
  return out;
}

// explore uses the map of a series of the report.
async function explore(page, check, tip, shot) {
  const root = page.locator("details[open] > .explore").first();
  if (await page.locator(".explore").count() === 0) return;
  await root.scrollIntoViewIfNeeded();
  const cells = root.locator(".map .spot");
  const n = await cells.count();
  check(n > 1, `a map has ${n} cells`);
  await point(cells.nth(1));
  const text = await tip();
  check(/layer \d+.*log-odds .*nats, 95 %.*\d+ of \d+ prompts gain.*p \S+ before, \S+ after/s.test(text), `a cell under the pointer shows "${text}"`);
  const inside = await page.locator("#tip").evaluate((e) => { const b = e.getBoundingClientRect(); return b.left >= 0 && b.top >= 0 && b.right <= innerWidth && b.bottom <= innerHeight; });
  check(inside, "the numbers of a cell are outside the window");
  await page.screenshot({ path: shot.replace(".png", "-hover.png") });

  await cells.nth(1).click();
  check(await cells.nth(1).getAttribute("aria-pressed") === "true", "a click does not choose a cell");
  const heading = await root.locator(".cell h3").textContent();
  check(heading === `Prompts at ${text.split("\n")[0]}`, `a click on ${text.split("\n")[0]} shows "${heading}"`);
  const rows = root.locator(".cell tbody tr");
  const [, gain, of] = /(\d+) of (\d+) prompts gain/.exec(text);
  const odds = (await rows.locator("td:nth-child(2)").allTextContents()).map(number);
  check(odds.length > 0 && odds.length <= Number(of), `${odds.length} prompts of ${of}`);
  check(sorted(odds, true), "the prompts of a cell are not sorted by log-odds");
  if (odds.length === Number(of)) {
    // Before and after have few digits, so a gain may be seen as none.
    const seen = odds.filter((v) => v > 0).length;
    check(seen <= Number(gain) && seen >= Number(gain) - odds.filter((v) => v === 0).length, `${seen} prompts have a gain, the cell says ${gain}`);
    const mean = odds.reduce((a, b) => a + b, 0) / odds.length;
    const said = number(await root.locator(".cell .facts dd").first().textContent());
    check(Math.abs(mean - said) < 0.02, `the mean of the prompts is ${mean.toFixed(3)}, the cell says ${said}`);
  }
  await root.locator(".cell").scrollIntoViewIfNeeded();
  await page.screenshot({ path: shot.replace(".png", "-click.png") });

  // The keyboard: the arrow moves the focus and shows numbers, Enter chooses.
  await root.locator('.map [aria-pressed="true"]').focus();
  const active = () => page.evaluate(() => document.activeElement.getAttribute("aria-label") ?? "");
  const start = await active();
  let moved = start;
  for (const key of ["ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight"]) {
    if (moved !== start) break;
    await page.keyboard.press(key);
    moved = await active();
  }
  check(moved !== start && /^layer/.test(moved) && (await tip()).replaceAll("\u2011", "-") === moved, `after an arrow key the focus is at "${moved.split("\n")[0]}", the numbers are "${(await tip()).split("\n")[0]}"`);
  await page.keyboard.press("Enter");
  check(await root.locator(".cell h3").textContent() === `Prompts at ${moved.split("\n")[0]}`, "Enter does not choose a cell");
  check(await page.evaluate(() => document.activeElement.matches('.map [aria-pressed="true"]')), "the focus is lost when a cell is chosen");
  await page.keyboard.press("Escape");
  check(await tip() === "", "Escape does not hide the numbers");

  // The slider.
  const slider = root.locator('input[type="range"]');
  if (await slider.count() > 0) {
    const most = Number(await slider.getAttribute("max"));
    const seen = new Set();
    await slider.focus();
    await page.keyboard.press("Home");
    for (let i = 0; i <= most; i++) {
      seen.add(await root.locator("output").textContent());
      const name = await root.locator(".cell h3").textContent();
      check(name.includes(await slider.getAttribute("aria-valuetext")) || name.includes("times "), `the slider is at ${await slider.getAttribute("aria-valuetext")}, the cell is ${name}`);
      await page.keyboard.press("ArrowRight");
    }
    check(seen.size === most + 1, `the slider shows ${[...seen]}`);
    const box = await slider.boundingBox();
    await page.mouse.click(box.x + 4, box.y + box.height / 2);
    check(await root.locator("output").textContent() === [...seen][0], "a click at the left end of the slider does not choose the first value");
    if (await root.locator(".curve svg").count() > 0) check((await root.locator(".curve .legend").textContent()).includes([...seen][0]), "the curve is for another value than the slider");
  }

  // The measure.
  const select = root.locator("select");
  const label = () => root.locator(".map svg").getAttribute("aria-label");
  const before = await label();
  await select.selectOption("2");
  check(await label() !== before, "another measure gives the same map");
  await select.selectOption("0");

  // A point of the curve.
  const dot = root.locator(".curve .mark").last();
  if (await dot.count() > 0) {
    await point(dot);
    const text = await tip();
    check(/^layer \d+.*\nlog-odds/.test(text), `a point of the curve shows "${text}"`);
    await dot.click();
    check(await root.locator(".cell h3").textContent() === `Prompts at ${text.split("\n")[0]}`, "a click on a point does not choose its cell");
  }
}

// charts points at the estimates of the report.
async function charts(page, check, tip) {
  const figures = page.locator("figure[data-chart]:visible");
  for (let i = 0; i < await figures.count(); i++) {
    const mark = figures.nth(i).locator(".mark").first();
    await point(mark);
    check(/95 % interval/.test(await tip()), `a mark of a chart shows "${await tip()}"`);
    check(!await figures.nth(i).locator(".picture").isVisible(), "a chart does not replace its picture");
  }
}

// maps uses the tables of lens.
async function maps(page, check, tip, shot) {
  for (const kind of [".stream", ".map"]) {
    const table = page.locator(`table${kind}`).first();
    if (await table.count() === 0) continue;
    const cell = table.locator("td[data-tip]").first();
    await point(cell);
    check((await tip()).length > 5, `a cell of ${kind} shows "${await tip()}"`);
    if (kind === ".map") await page.screenshot({ path: shot.replace(".png", "-hover.png") });
    await cell.focus();
    await page.keyboard.press("ArrowDown");
    const at = await page.evaluate(() => document.activeElement.parentElement.rowIndex);
    check(at === await cell.evaluate((e) => e.parentElement.rowIndex) + 1, `an arrow key moves the focus to line ${at}`);
    check((await tip()).length > 5, `a cell with the focus shows "${await tip()}"`);
  }
  const leads = page.locator("td.leads").first();
  if (await leads.count() === 0) return;
  const head = await leads.getAttribute("data-head");
  await leads.click();
  const target = page.locator(`[id="head-${head}"]`);
  if (await target.count() > 0) {
    check(await target.evaluate((e) => e === document.activeElement && e.matches(".chosen")), `a click on a cell does not lead to head ${head}`);
    check(await target.evaluate((e) => { const b = e.getBoundingClientRect(); return b.bottom > 0 && b.top < innerHeight; }), `head ${head} is not in the window after a click`);
    await page.screenshot({ path: shot.replace(".png", "-click.png") });
  }
}

// pattern reads an attention pattern token by token.
async function pattern(page, check, tip, shot) {
  const figure = page.locator("figure.pattern").first();
  if (await figure.count() === 0) return;
  const tokens = figure.locator(".tok");
  const n = await tokens.count();
  const weights = async () => (await tokens.locator(".n").allTextContents()).map((t) => Number(t.trim() || 0));
  const q = Math.min(n - 1, 3);
  await point(tokens.nth(q));
  const row = await weights();
  const sum = row.reduce((a, b) => a + b, 0);
  check(sum > 0.9 && sum < 1.01, `the weights of a token add up to ${sum}`);
  check(row.slice(q + 1).every((w) => w === 0), "a token reads what follows it");
  check(await tokens.nth(q).getAttribute("aria-pressed") === "true", "the token under the pointer is not the one that reads");
  await page.screenshot({ path: shot });
  await tokens.nth(q).focus();
  await page.keyboard.press("ArrowLeft");
  check(await tokens.nth(q - 1).getAttribute("aria-pressed") === "true", "an arrow key does not move to the token before");
  const svg = figure.locator("svg");
  await svg.scrollIntoViewIfNeeded();
  const cell = svg.locator(".spot").first(); // position 0 reads itself
  await point(cell);
  check(/position 0, reads 1\.0000 of .*position 0$/s.test(await tip()), `a cell of the pattern shows "${await tip()}"`);
}

// sort sorts every column of the first tables, with the pointer and with the keyboard.
async function sort(page, check) {
  const tables = page.locator("table.sortable:visible");
  for (let i = 0; i < Math.min(3, await tables.count()); i++) {
    const table = tables.nth(i);
    const buttons = table.locator("th > button.sort");
    check(await buttons.count() > 1, `table ${i} has ${await buttons.count()} columns that sort`);
    for (let k = 0; k < await buttons.count(); k++) {
      const button = buttons.nth(k);
      const th = button.locator("xpath=..");
      const column = await th.evaluate((e) => {
        const left = e.getBoundingClientRect().left;
        const cells = [...e.closest("table").tBodies[0].rows[0].cells];
        return cells.findIndex((c) => Math.abs(c.getBoundingClientRect().left - left) < 1.5);
      });
      const texts = () => table.locator("tbody").first().evaluate((b, c) => [...b.rows].map((r) => r.cells[c].innerText), column);
      const before = await texts();
      if (k === 0) {
        await button.focus();
        await page.keyboard.press("Enter");
      } else {
        await button.click();
      }
      for (let twice = 0; twice < 2; twice++) {
        const way = await th.getAttribute("aria-sort");
        check(way === "descending" || way === "ascending", `a heading has aria-sort ${way}`);
        const after = await texts();
        check(after.length === before.length && [...after].sort().join() === [...before].sort().join(), "sorting loses lines");
        const numeric = await table.locator("tbody").first().evaluate((b, c) => b.rows[0].cells[c].matches(".n"), column) && after.some((t) => !Number.isNaN(number(t)));
        const ok = numeric ? sorted(after.map(number), way === "descending") : after.every((t, j) => j === 0 || after[j - 1].trim().localeCompare(t.trim()) * (way === "descending" ? -1 : 1) <= 0);
        check(ok, `table ${i}: column ${column} is not ${way}: ${after.slice(0, 6).join(" | ")}`);
        if (twice === 0) await button.click();
      }
      check(await table.locator("[aria-sort]").count() === 1, "two columns say that they are sorted");
    }
  }
}

// survey opens the pairs of a head.
async function survey(page, check, tip, shot) {
  const cell = page.locator("td.leads[data-head]").first();
  if (await cell.count() === 0 || await page.locator(".head").count() > 0) return;
  const counts = /named for (\d+) one-hop and (\d+) two-hop/;
  await point(cell);
  const [, one] = counts.exec(await tip());
  await cell.click();
  const rows = page.locator(".pairs tbody tr");
  const among = Number(/among the (\d+)/.exec(await page.locator(".facts").textContent())[1]);
  const ranks = (await rows.locator("td:nth-child(7)").allTextContents()).map(Number);
  check(ranks.filter((r) => r < among).length === Number(one), `${ranks.filter((r) => r < among).length} pairs of a head have a rank below ${among}, the cell says ${one}`);
  check(sorted((await rows.locator("td:nth-child(6)").allTextContents()).map(number), true), "the pairs are not sorted by their difference");
  await page.screenshot({ path: shot });
}

// scatter points at a mark of probe.
async function scatter(page, check, tip) {
  const marks = page.locator("figure > .wide path[data-tip]");
  if (await marks.count() === 0) return;
  await point(marks.last());
  check(/log p .* after two hops/.test(await tip()), `a mark shows "${await tip()}"`);
}

// still looks at a page without scripts.
export async function still(page, shot) {
  const out = [];
  const check = (ok, what) => { if (!ok) out.push(what); };
  const pictures = page.locator("figure:not(details:not([open]) figure) svg");
  const tables = page.locator("table");
  check(await pictures.count() + await page.locator("table.map").count() > 0, "no picture without scripts");
  check(await tables.first().isVisible(), "no table without scripts");
  for (let i = 0; i < Math.min(5, await pictures.count()); i++) check(await pictures.nth(i).isVisible(), `picture ${i} is not visible without scripts`);
  for (const selector of [".tip", "button", "select", "input"]) check(await page.locator(selector).filter({ visible: true }).count() === 0, `${selector} is there without scripts`);
  await page.screenshot({ path: shot, fullPage: true, clip: { x: 0, y: 0, width: page.viewportSize().width, height: 3000 } });
  return out;
}
