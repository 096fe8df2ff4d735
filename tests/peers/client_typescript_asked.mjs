// A client on the official TypeScript SDK that answers what it is asked: the same job and output as client_sdk2_asked.py.
// `node client_typescript_asked.mjs NODE_MODULES http URL` or `... NODE_MODULES stdio COMMAND ARGUMENT...`.
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

const [modules, transport, ...rest] = process.argv.slice(2);
const part = (name) => import(pathToFileURL(`${modules}/@modelcontextprotocol/sdk/dist/esm/${name}.js`).href);
const { Client } = await part('client/index');
const { StreamableHTTPClientTransport } = await part('client/streamableHttp');
const { StdioClientTransport } = await part('client/stdio');
const { ElicitRequestSchema, CreateMessageRequestSchema, ListRootsRequestSchema } = await part('types');

const capabilities = { elicitation: { form: {}, url: {} }, sampling: { tools: {} }, roots: {} };
const client = new Client({ name: 'typescript', version: '1' }, { capabilities });
let asked = [];

// An answer to a field: the default where there is one.
function value(field) {
  if ('default' in field) return field.default;
  if (field.type === 'array') return [field.items.enum?.[0] ?? field.items.anyOf[0].const];
  return field.enum?.[0] ?? field.oneOf?.[0].const ?? { boolean: true, integer: 7, number: 7.5 }[field.type] ?? 'Ada';
}

client.setRequestHandler(ElicitRequestSchema, ({ params }) => {
  asked.push(params);
  if (params.mode === 'url') return { action: 'accept' };
  const fields = Object.entries(params.requestedSchema.properties ?? {});
  return { action: 'accept', content: Object.fromEntries(fields.map(([name, field]) => [name, value(field)])) };
});
client.setRequestHandler(CreateMessageRequestSchema, ({ params }) => {
  asked.push(params);
  if (params.tools) {
    const uses = [{ type: 'tool_use', id: '1', name: params.tools[0].name, input: { city: 'Paris' } }];
    return { role: 'assistant', content: uses, model: 'm', stopReason: 'toolUse' };
  }
  return { role: 'assistant', content: { type: 'text', text: 'Paris' }, model: 'm', stopReason: 'endTurn' };
});
client.setRequestHandler(ListRootsRequestSchema, () => {
  asked.push({});
  return { roots: [{ uri: 'file:///home/ada', name: 'Home' }] };
});
await client.connect(
  transport === 'http'
    ? new StreamableHTTPClientTransport(new URL(rest[0]))
    : new StdioClientTransport({ command: rest[0], args: rest.slice(1), env: process.env, stderr: 'inherit' })
);

const results = [];
const ofEach = [];
for (const call of JSON.parse(readFileSync(0, 'utf8'))) {
  asked = [];
  results.push(await client.callTool(call));
  ofEach.push(asked);
}
const version = client.transport?.protocolVersion ?? '2025-11-25';
await new Promise((done) => process.stdout.write(`${JSON.stringify({ version, results, asked: ofEach })}\n`, done));
await client.close();
