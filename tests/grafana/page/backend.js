// A stand-in for Grafana's server, which is written in Go and is in no registry: it hands on what the
// Prometheus plug-in asks of a data source, works out steps and intervals as the plug-in's own backend does
// (pkg/promlib/models/query.go), and makes data frames of the answers. Rounding and names of series are
// Grafana's own.

import { rangeUtil, renderLegendFormat } from '@grafana/data';
import { from, lastValueFrom } from 'rxjs';

// Grafana's most points of a query, and the interval of a data source that says none.
const MOST_POINTS = 11000;
const SCRAPE_INTERVAL = '15s';

// What has been asked, with what went wrong, and how many answers are still awaited.
export const asked = { queries: [], faults: [], open: 0 };

function formatted(interval) {
  const units = { d: 864e5, h: 36e5, m: 6e4, s: 1e3 };
  const unit = Object.keys(units).find((one) => interval % units[one] === 0);
  return unit ? `${interval / units[unit]}${unit}` : `${interval}ms`;
}

// The expression and the times that the plug-in's backend sends for a target.
function prepared(target, start, end) {
  const range = end - start;
  const written = target.interval || '';
  const scrape = rangeUtil.intervalToMs(written || SCRAPE_INTERVAL);
  const least = written ? scrape : target.intervalMs || scrape;
  const calculated = Math.max(rangeUtil.roundInterval(range / (target.maxDataPoints || 100)), least);
  const step = Math.max(calculated, rangeUtil.roundInterval(range / MOST_POINTS));
  const rate = Math.max((target.intervalMs || 0) + scrape, 4 * scrape);
  const values = {
    __interval: formatted(step), __interval_ms: step, __range: `${Math.round(range / 1000)}s`, __range_ms: range,
    __range_s: Math.round(range / 1000), __rate_interval: formatted(rate), __rate_interval_ms: rate,
  };
  const replace = (whole, plain, braced) => values[plain ?? braced] ?? whole;
  const expr = target.expr.replace(/\$(?:(__\w+)|\{(__\w+)\})/g, replace);
  const aligned = (time) => Math.floor(time / step) * step;
  return { expr, step, rate, start: aligned(start), end: aligned(end) };
}

async function answer(target, begin, until) {
  const { expr, step, rate, start, end } = prepared(target, begin, until);
  const form = target.range
    ? { query: expr, start: start / 1000, end: end / 1000, step: step / 1000 }
    : { query: expr, time: until / 1000 };
  const path = `/api/datasources/uid/${target.datasource.uid}/resources/api/v1/query${target.range ? '_range' : ''}`;
  const response = await window.fetch(path, { method: 'POST', body: new URLSearchParams(form) });
  const found = await response.json();
  asked.queries.push({ expr, step: formatted(step), rate: formatted(rate), error: found.error, refId: target.refId });
  if (found.status !== 'success') return { status: 400, error: found.error, frames: [] };
  return { status: 200, frames: frames(target, found.data, step) };
}

function frames(target, { resultType, result }, step) {
  const series = resultType === 'scalar' ? [{ metric: {}, value: result }] : result;
  return series.map(({ metric, values, value }) => {
    const points = values ?? [value];
    const { legendFormat } = target;
    const isNamed = legendFormat && legendFormat !== '__auto';
    const displayNameFromDS = isNamed ? renderLegendFormat(legendFormat, metric) : automatic(metric);
    const fields = [
      { name: 'Time', type: 'time', config: { interval: step } },
      { name: 'Value', type: 'number', labels: metric, config: { displayNameFromDS } },
    ];
    const meta = { type: 'timeseries-multi', custom: { resultType } };
    return {
      schema: { name: displayNameFromDS, refId: target.refId, meta, fields },
      data: { values: [points.map(([time]) => time * 1000), points.map(([, text]) => Number(text.replace('Inf', 'Infinity')))] },
    };
  });
}

function automatic({ __name__: name = '', ...labels }) {
  const inner = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
  return inner.length ? `${name}{${inner.join(', ')}}` : name || 'Value';
}

async function respond({ url, method = 'GET', data }) {
  if (url.startsWith('/api/ds/query')) {
    const { queries, from: begin, to: until } = data;
    const answers = queries.map(async (target) => [target.refId, await answer(target, Number(begin), Number(until))]);
    return { data: { results: Object.fromEntries(await Promise.all(answers)) }, status: 200, ok: true };
  }
  const body = method === 'POST' ? { body: new URLSearchParams(data) } : {};
  const response = await window.fetch(url, { method, ...body });
  const found = await response.json();
  if (response.ok) return { data: found, status: 200, ok: true };
  asked.faults.push(`${decodeURIComponent(url)}: ${found.error}`);
  throw { data: found, status: response.status, statusText: response.statusText };
}

function counted(promise) {
  asked.open += 1;
  return promise.finally(() => { asked.open -= 1; });
}

export const backendSrv = {
  fetch: (options) => from(counted(respond(options))),
  get: async (url, params) => (await lastValueFrom(from(counted(respond({ url: params ? `${url}?${new URLSearchParams(params)}` : url }))))).data,
  datasourceRequest: (options) => counted(respond(options)),
};
