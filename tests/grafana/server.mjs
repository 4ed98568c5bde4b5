// Serves a folder, and the databases as Grafana's server does: under the address of a data source.

import fs from 'node:fs';
import http from 'node:http';
import path from 'node:path';

const KINDS = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' };

export async function serve(folder, databases) {
  const server = http.createServer(async (request, response) => {
    const reply = (status, kind, body) => response.writeHead(status, { 'Content-Type': kind }).end(body);
    try {
      const { pathname, search } = new URL(request.url, 'http://localhost');
      const resource = /^\/api\/datasources\/uid\/(\w+)\/resources\/(.+)$/.exec(pathname);
      if (resource) {
        let body = '';
        for await (const part of request) body += part;
        const post = request.method === 'POST' ? { method: 'POST', body: new URLSearchParams(body) } : {};
        const found = await fetch(`${databases[resource[1]]}/${resource[2]}${search}`, post);
        return reply(found.status, 'application/json', await found.text());
      }
      const file = path.join(folder, path.normalize(pathname));
      if (!fs.existsSync(file)) return reply(404, 'text/plain', 'nothing is there');
      return reply(200, KINDS[path.extname(file)] ?? 'application/octet-stream', fs.readFileSync(file));
    } catch (error) {
      return reply(500, 'text/plain', String(error));
    }
  });
  await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
  return { url: `http://127.0.0.1:${server.address().port}`, close: () => server.close() };
}
