// A client on the official TypeScript SDK: the same job and output as client_sdk2.py, in the legacy era.
// `node client_typescript.mjs NODE_MODULES http URL` or `... NODE_MODULES stdio COMMAND ARGUMENT...`.
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const [modules, transport, ...rest] = process.argv.slice(2);
const part = (name) => import(pathToFileURL(`${modules}/@modelcontextprotocol/sdk/dist/esm/client/${name}.js`).href);
const { Client } = await part('index');
const { StreamableHTTPClientTransport } = await part('streamableHttp');
const { StdioClientTransport } = await part('stdio');

const client = new Client({ name: 'typescript', version: '1' });
await client.connect(
  transport === 'http'
    ? new StreamableHTTPClientTransport(new URL(rest[0]))
    : new StdioClientTransport({ command: rest[0], args: rest.slice(1), env: process.env, stderr: 'inherit' })
);

const tools = [];
let cursor;
do {
  const page = await client.listTools({ cursor });
  tools.push(...page.tools.map((tool) => tool.name));
  cursor = page.nextCursor;
} while (cursor !== undefined);

const progress = [];
const results = [];
for (const call of JSON.parse(readFileSync(0, 'utf8'))) {
  const onprogress = (step) => progress.push([step.progress, step.total, step.message]);
  results.push(await client.callTool(call, undefined, { onprogress }));
}
const version = client.transport?.protocolVersion ?? '';
console.log(JSON.stringify({ version, tools, results, progress }));
await client.close();
