// Draws the dashboards with Grafana's own packages on the databases of the job, which is the argument, and
// prints what a reader would find broken. Then makes the mistakes of planted.mjs one by one, and prints those
// that are not found. Exit codes: 0 the dashboards are good and the mistakes are found, 1 they are not.

import fs from 'node:fs';
import path from 'node:path';

import { browser } from './browser.mjs';
import { bundle, target } from './bundle.mjs';
import { planted } from './planted.mjs';
import { allPanels, rules } from './rules.mjs';
import { serve } from './server.mjs';
import { views } from './views.mjs';

const job = JSON.parse(process.argv[2]);
const pictures = path.join(target, 'pictures');

// Has the page believe that it is that time whenever it looks anew. Time goes on meanwhile.
const clock = (now) => `{
  const RealDate = Date;
  let shift;
  window.setClock = () => { shift = ${Date.parse(now)} - RealDate.now(); };
  window.setClock();
  window.Date = class extends RealDate {
    constructor(...given) { if (given.length) super(...given); else super(RealDate.now() + shift); }
    static now() { return RealDate.now() + shift; }
  };
}`;

function dashboards(folder) {
  const files = fs.readdirSync(folder).filter((file) => file.endsWith('.json'));
  return Object.fromEntries(files.map((file) => {
    const model = JSON.parse(fs.readFileSync(path.join(folder, file), 'utf8'));
    return [model.uid, model];
  }));
}

async function begin(models) {
  const server = await serve(await bundle(), job.databases);
  const page = await browser();
  await page.before(clock(job.now));
  await page.open(`${server.url}/index.html`);
  while (!(await page.run('typeof window.look === "function"').catch(() => false))) await new Promise((resolve) => setTimeout(resolve, 100));
  const list = Object.values(models).map(({ uid, title, tags }) => ({ uid, title, tags }));
  await page.run(`begin(${JSON.stringify(Object.keys(job.databases))}, ${JSON.stringify(list)})`);
  return { page, end: () => { page.close(); server.close(); } };
}

async function look(page, model, view) {
  await page.resize(view.width, 2800);
  const seen = await page.run(`look(${JSON.stringify(model)}, ${JSON.stringify(view.search)}, ${view.isOpen})`);
  seen.complaints = page.complaints();
  return seen;
}

const faultsOf = (seen, model, view) => Object.values(rules).flatMap((rule) => rule(seen, model, view));

// The addresses that a dashboard's links and figures lead to.
function addresses(seen) {
  const found = [...seen.links.map((one) => one.href), ...seen.panels.flatMap((one) => [
    ...one.fields.flatMap((field) => field.hrefs), ...one.cells.flat().flatMap((cell) => cell.href ?? []),
  ])];
  // One of each kind is as good as all.
  return [...new Map(found.map((href) => [`${href.split('?')[0]} ${[...new URLSearchParams(href.split('?')[1]).keys()]}`, href])).values()];
}

async function follow(page, models, from, href, view, told) {
  const [place, search = ''] = href.split('?');
  const model = models[place.replace('/d/', '')];
  if (!model) return told(from, view, [`${href} leads nowhere`]);
  const next = { ...view, search: `?${search}` };
  return told(model, next, faultsOf(await look(page, model, next), model, next).map((fault) => `from ${from.title} by ${href}: ${fault}`));
}

async function good(page, models) {
  let count = 0;
  const told = (model, view, faults) => {
    count += faults.length;
    for (const fault of faults) console.log(`${model.title}, ${view.name}: ${fault}`);
  };
  const [seenLinks, ways] = [new Set(), new Set()];
  for (const view of views) {
    const model = models[view.uid];
    const seen = await look(page, model, view);
    told(model, view, faultsOf(seen, model, view));
    if (view.picture) {
      await page.resize(view.width, Math.max(700, seen.height));
      await new Promise((resolve) => setTimeout(resolve, 400));
      await page.picture(path.join(pictures, `${view.picture}.png`));
    }
    if (!view.picture || view.db !== 'several') continue;
    for (const href of addresses(seen)) {
      const to = models[href.split('?')[0].replace('/d/', '')];
      if (to !== model) ways.add(`${model.title} to ${to?.title}`);
      if (seenLinks.has(href)) continue;
      seenLinks.add(href);
      await follow(page, models, model, href, view.followed, told);
    }
  }
  if (ways.size < 6) told(models[views[0].uid], views[0], [`links lead only from ${[...ways].join(', ')}`]);
  console.log(`${views.length} views, ${seenLinks.size} links, ${count} faults; pictures are in ${pictures}`);
  return count;
}

async function mistakes(page, models) {
  let missed = 0;
  for (const { name, uid, view, make, found, choice = '', isLink } of planted) {
    const model = structuredClone(models[uid]);
    make(model, (title) => allPanels(model).find((one) => one.title === title));
    const usual = views.find((one) => one.name === view);
    const whole = { ...usual, search: usual.search + choice };
    const seen = await look(page, model, whole);
    const faults = faultsOf(seen, model, whole);
    if (isLink) await follow(page, models, model, seen.links[0].href, usual.followed, (_, __, more) => faults.push(...more));
    if (faults.some((fault) => found.test(fault))) continue;
    missed += 1;
    console.log(`not found: ${name}: only ${JSON.stringify(faults)}`);
  }
  console.log(`${planted.length} mistakes planted, ${missed} not found`);
  return missed;
}

fs.mkdirSync(pictures, { recursive: true });
const models = dashboards(job.dashboards);
const { page, end } = await begin(models);
let faults = 1;
try {
  faults = (await good(page, models)) + (await mistakes(page, models));
} finally {
  end();
}
process.exitCode = faults ? 1 : 0;
