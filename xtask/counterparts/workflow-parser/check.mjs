// Reads each file as GitHub's own parser does, and prints what it says: node check.mjs FILE...
import {readFile} from "node:fs/promises";
import {register} from "node:module";

register("./json.mjs", import.meta.url);
const {convertWorkflowTemplate, NoOperationTraceWriter, parseWorkflow} = await import("@actions/workflow-parser");
const {parseAction} = await import("@actions/workflow-parser/actions/action-parser");

let wrong = 0;
for (const name of process.argv.slice(2)) {
  const file = {name, content: await readFile(name, "utf8")};
  const isAction = /(^|\/)action\.ya?ml$/.test(name);
  const {context, value} = (isAction ? parseAction : parseWorkflow)(file, new NoOperationTraceWriter());
  const said = context.errors.getErrors().map((error) => error.message);
  if (value && !isAction && said.length === 0) {
    const template = await convertWorkflowTemplate(context, value);
    said.push(...(template.errors ?? []).map((error) => error.Message));
  }
  for (const message of said) console.log(`${name}: ${message}`);
  wrong += said.length;
}
process.exitCode = wrong === 0 ? 0 : 1;
