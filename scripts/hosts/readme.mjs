// readme.mjs URL: opens the page in Chromium and prints the text of #out when it has two lines.
//
// BROWSER   the folder in which playwright-core is installed (default: .cache/browser)
// CHROMIUM  the browser
import { createRequire } from "node:module";
import path from "node:path";

const packages = process.env.BROWSER ?? ".cache/browser";
const { chromium } = createRequire(path.resolve(packages) + "/")("playwright-core");
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM });
const page = await browser.newPage();
page.on("pageerror", (e) => console.error(String(e)));
page.on("console", (m) => console.error(m.text()));
await page.goto(process.argv[2]);
await page.waitForFunction(() => document.getElementById("out").textContent.split("\n").length > 2, null, { timeout: 60_000 });
process.stdout.write(await page.textContent("#out"));
await browser.close();
