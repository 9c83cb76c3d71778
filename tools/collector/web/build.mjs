// Bundle of the page: `node build.mjs` writes it to ../src/dashboard/bundle, `--check` compares it with what is there.
//
// Scripts and styles are named by the hash of their content and kept compressed. Archives are compared unpacked, because
// versions of zlib compress differently.

import { createHash } from "node:crypto";
import { mkdir, readFile, readdir, rm, writeFile } from "node:fs/promises";
import { gunzipSync, gzipSync } from "node:zlib";
import { build } from "esbuild";

const OUT = new URL("../src/dashboard/bundle/", import.meta.url);
const HTML = ["index.html", "login.html", "start.html"];
const MAX_COMPRESSED = 150 * 1024;
// Text from the network becomes a text node, never markup.
const FORBIDDEN = /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function\(/;

const files = new Map(); // name -> bytes, as they are served
const assets = []; // { name, media }

async function bundled(entry, define = {}) {
  const result = await build({
    entryPoints: [entry], bundle: true, minify: true, write: false, outdir: "out", target: "es2022", format: "iife",
    charset: "utf8", legalComments: "none", jsx: "automatic", jsxImportSource: "preact", define, logLevel: "warning",
    absWorkingDir: new URL(".", import.meta.url).pathname,
  });
  return Buffer.from(result.outputFiles[0].contents);
}

function asset(stem, extension, media, bytes) {
  const hash = createHash("sha256").update(bytes).digest("hex").slice(0, 12);
  const name = `${stem}-${hash}.${extension}`;
  files.set(name, bytes);
  assets.push({ name, media });
  return `/assets/${name}`;
}

async function make() {
  const javascript = "text/javascript; charset=utf-8";
  const style = asset("page", "css", "text/css; charset=utf-8", await bundled("src/page.css"));
  const icon = asset("favicon", "svg", "image/svg+xml", await readFile(new URL("html/favicon.svg", import.meta.url)));
  const feed = asset("feed", "js", javascript, await bundled("src/worker.ts"));
  const account = asset("account", "js", javascript, await bundled("src/account.ts"));
  const page = asset("page", "js", javascript, await bundled("src/main.tsx", { FEED_PATH: JSON.stringify(feed) }));
  for (const name of HTML) {
    let text = await readFile(new URL(`html/${name}`, import.meta.url), "utf8");
    for (const [key, value] of Object.entries({ style, icon, account, page })) text = text.replaceAll(`{${key}}`, value);
    files.set(name, Buffer.from(text));
  }
  files.set("files.rs", Buffer.from(listing()));
}

// Declarations of the files, as rustfmt would write them.
function listing() {
  const lines = assets.map(({ name, media }) => [
    "    Asset {", `        path: "/assets/${name}",`, `        media_type: "${media}",`,
    `        gzip: include_bytes!("${name}.gz"),`, "    },",
  ].join("\n"));
  return `// Made by \`npm run build\` in tools/collector/web.\n&[\n${lines.join("\n")}\n]\n`;
}

async function checkSources() {
  for (const name of await readdir(new URL("src/", import.meta.url), { recursive: true })) {
    if (!/\.tsx?$/.test(name)) continue;
    const text = await readFile(new URL(`src/${name}`, import.meta.url), "utf8");
    if (FORBIDDEN.test(text)) throw new Error(`src/${name} makes markup of text`);
    if (text.split("\n").length > 400) throw new Error(`src/${name} is longer than 400 lines`);
  }
}

function stored(name, bytes) {
  return assets.some((asset) => asset.name === name) ? [`${name}.gz`, gzipSync(bytes, { level: 9 })] : [name, bytes];
}

async function compare() {
  const there = new Set(await readdir(OUT));
  const wrong = [];
  for (const [name, bytes] of files) {
    const [file] = stored(name, bytes);
    if (!there.delete(file)) { wrong.push(`${file} is missing`); continue; }
    const content = await readFile(new URL(file, OUT));
    if (!(file.endsWith(".gz") ? gunzipSync(content) : content).equals(bytes)) wrong.push(`${file} differs`);
  }
  for (const file of there) wrong.push(`${file} is not made by the build`);
  if (wrong.length > 0) {
    throw new Error(`the bundle is not that of the source: ${wrong.join(", ")}. \`npm run build\` makes it.`);
  }
}

async function write() {
  await rm(OUT, { recursive: true, force: true });
  await mkdir(OUT, { recursive: true });
  for (const [name, bytes] of files) {
    const [file, content] = stored(name, bytes);
    await writeFile(new URL(file, OUT), content);
  }
}

await checkSources();
await make();
const size = [...files].reduce((sum, [name, bytes]) => sum + (name === "files.rs" ? 0 : gzipSync(bytes, { level: 9 }).length), 0);
if (size > MAX_COMPRESSED) throw new Error(`${size} bytes compressed, more than ${MAX_COMPRESSED}`);
await (process.argv.includes("--check") ? compare() : write());
console.log(`${files.size - 1} files, ${(size / 1024).toFixed(1)} KiB compressed`);
