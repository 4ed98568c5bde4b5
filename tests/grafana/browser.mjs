// Debian's Chromium with one tab, driven over the DevTools protocol through a pair of pipes.

import { spawn } from 'node:child_process';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';

const FLAGS = [
  '--headless', '--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-dev-shm-usage', '--no-first-run',
  '--disable-background-networking', '--disable-component-update', '--disable-sync', '--hide-scrollbars',
  '--remote-debugging-pipe',
];

export async function browser() {
  const profile = fs.mkdtempSync(path.join(os.tmpdir(), 'grafana-step-'));
  const child = spawn('chromium', [...FLAGS, `--user-data-dir=${profile}`], { stdio: ['ignore', 'ignore', 'ignore', 'pipe', 'pipe'] });
  const waiting = new Map();
  const complaints = [];
  let [commands, session, rest] = [0, undefined, ''];
  child.on('error', (error) => { throw new Error(`chromium: ${error.message}: tests/run installs it`); });
  child.stdio[4].on('data', (bytes) => {
    const messages = (rest + bytes).split('\0');
    rest = messages.pop();
    for (const { id, result, error, method, params } of messages.map((text) => JSON.parse(text))) {
      if (method === 'Runtime.exceptionThrown') {
        complaints.push(params.exceptionDetails.exception?.description ?? params.exceptionDetails.text);
      } else if (method === 'Runtime.consoleAPICalled' && params.type === 'error') {
        complaints.push(params.args.map((one) => one.value ?? one.description).join(' '));
      }
      const [resolve, reject] = waiting.get(id) ?? [];
      waiting.delete(id);
      if (error) reject?.(new Error(error.message));
      else resolve?.(result);
    }
  });
  const call = (method, params = {}) =>
    new Promise((resolve, reject) => {
      waiting.set(++commands, [resolve, reject]);
      child.stdio[3].write(`${JSON.stringify({ id: commands, method, params, sessionId: session })}\0`);
    });
  const { targetId } = await call('Target.createTarget', { url: 'about:blank' });
  session = (await call('Target.attachToTarget', { targetId, flatten: true })).sessionId;
  await call('Page.enable');
  await call('Runtime.enable');
  return {
    // What the page has complained about since this was last asked.
    complaints: () => complaints.splice(0),
    before: (source) => call('Page.addScriptToEvaluateOnNewDocument', { source }),
    resize: (width, height) => call('Emulation.setDeviceMetricsOverride', { width, height, deviceScaleFactor: 1, mobile: false }),
    open: (url) => call('Page.navigate', { url }),
    run: async (expression) => {
      const { result, exceptionDetails } = await call('Runtime.evaluate', { expression, awaitPromise: true, returnByValue: true });
      if (exceptionDetails) throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
      return result.value;
    },
    picture: async (file) => fs.writeFileSync(file, Buffer.from((await call('Page.captureScreenshot')).data, 'base64')),
    close: () => {
      child.kill('SIGKILL');
      child.once('exit', () => setTimeout(() => fs.rmSync(profile, { recursive: true, force: true, maxRetries: 9 }), 300));
    },
  };
}
