// Makes a page that looks as on GitHub of a file of Markdown: node page.mjs FILE true|false (whether its lines break).
import {readFile} from "node:fs/promises";
import {marked} from "marked";

const [file, breaks] = process.argv.slice(2);
const here = (path) => new URL(`node_modules/${path}`, import.meta.url);
const style = await readFile(here("github-markdown-css/github-markdown-light.css"), "utf8");
const body = marked.parse(await readFile(file, "utf8"), {gfm: true, breaks: breaks === "true"});
// GitHub shows the details closed; a picture cannot be clicked.
const open = body.replaceAll("<details>", "<details open>");

console.log(`<!doctype html>
<meta charset="utf-8">
<style>${style}
body { margin: 0; padding: 24px; background: #fff; }
</style>
<body><main class="markdown-body">${open}</main>
<script src="${here("mermaid/dist/mermaid.min.js")}"></script>
<script>
const drawings = document.querySelectorAll("code.language-mermaid");
for (const code of drawings) {
  const drawing = document.createElement("div");
  drawing.className = "mermaid";
  drawing.textContent = code.textContent;
  code.parentElement.replaceWith(drawing);
}
mermaid.initialize({startOnLoad: false});
mermaid.run().then(() => {
  document.body.dataset.height = Math.ceil(document.body.getBoundingClientRect().height);
});
</script>`);
