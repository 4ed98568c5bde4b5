// What a reader sees of a drawn dashboard, as plain data.

import { FieldType, getFieldDisplayName } from '@grafana/data';
import { VizPanel, sceneGraph } from '@grafana/scenes';

import { linksOf } from './scene.jsx';

const isCut = (element) => element.scrollWidth > element.clientWidth + 1;

function columns(element) {
  const frame = element.getBoundingClientRect();
  return [...element.querySelectorAll('[role="columnheader"]')].map((header) => {
    const { left, right, width } = header.getBoundingClientRect();
    const text = header.querySelector('div') ?? header;
    return {
      name: header.innerText.trim(), width, isHidden: right > frame.right + 1 || left < frame.left - 1,
      isCut: isCut(text) || [...header.querySelectorAll('*')].some(isCut),
    };
  });
}

function cells(element) {
  const rows = [...element.querySelectorAll('[role="row"]')].filter((row) => row.querySelector('[role="cell"]'));
  return rows.map((row) =>
    [...row.querySelectorAll('[role="cell"]')].map((cell) => ({
      text: cell.innerText.trim(), isCut: isCut(cell), href: cell.querySelector('a')?.getAttribute('href') ?? undefined,
    })));
}

// Whether no two points are neighbours, so that a line shows nothing but dots.
function isLonely({ values, config }) {
  return config.interval > 0 && values.every((time, place) => place === 0 || time - values[place - 1] > 1.5 * config.interval);
}

function fieldsOf(data) {
  return (data?.series ?? []).flatMap((frame) => frame.fields.map((field) => ({
    name: getFieldDisplayName(field, frame, data.series),
    isNumber: field.type === FieldType.number,
    values: field.values.length,
    colours: [...new Set(field.values.slice(0, 200).filter((value) => value > 0).map((value) => field.display?.(value).color))],
    isZero: field.values.every((value) => value === 0),
    isLonely: field.values.length > 0 && frame.fields[0].type === FieldType.time && isLonely(frame.fields[0]),
    isBad: field.type === FieldType.number && field.values.some((value) => value != null && !Number.isFinite(value)),
    hrefs: [...(field.getLinks?.({ valueRowIndex: 0 }) ?? [])].map((link) => link.href),
  })));
}

const WEEKDAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];
const DAY = 864e5;

// The days of the first query of a calendar that stand in it elsewhere, or as something else.
function misplacedDays(panel, data) {
  const asked = sceneGraph.getData(panel).state.$data.state.data?.series.find((frame) => frame.refId === 'A');
  const [shown] = data?.series ?? [];
  if (!asked || !shown) return [];
  const column = (name) => shown.fields.find((field) => getFieldDisplayName(field, shown) === name)?.values ?? [];
  const weeks = column('Week from');
  const [times, credits] = asked.fields.map((field) => field.values);
  return times.filter((time, place) => {
    const weekday = new Date(time).getUTCDay();
    const week = weeks.indexOf(time - ((weekday + 6) % 7) * DAY);
    return column(WEEKDAYS[weekday])[week] !== credits[place];
  }).map((time) => new Date(time).toISOString().slice(0, 10));
}

function panelReport(panel) {
  const element = document.querySelector(`[data-viz-panel-key="${panel.state.key}"]`);
  const { data } = sceneGraph.getData(panel).state;
  const shown = panel.applyFieldConfig(data);
  const title = element?.querySelector('h2, h6, [title] > h2') ?? element?.querySelector('[data-testid*="header"] *');
  const box = element?.getBoundingClientRect();
  const legend = [...(element?.querySelectorAll('[data-testid*="VizLegend series"], [aria-label*="VizLegend series"]') ?? [])];
  return {
    id: panel.state.key, title: panel.interpolate(panel.state.title), kind: panel.state.pluginId,
    error: data?.error?.message ?? data?.errors?.[0]?.message, text: element?.innerText ?? '',
    footer: [...(element?.querySelectorAll('[data-testid*="footer"] [role="columnheader"], tfoot td') ?? [])].map((one) => one.innerText.trim()),
    isTitleCut: title ? isCut(title) || [...title.children].some(isCut) : true, box: box && { x: box.x, y: box.y, width: box.width, height: box.height },
    columns: element ? columns(element) : [], cells: element ? cells(element) : [], legend: legend.map((one) => one.innerText.trim()),
    misplaced: panel.state.title === 'Calendar' ? misplacedDays(panel, data) : [],
    fields: fieldsOf(shown), isEmpty: !fieldsOf(data).some((field) => field.values > 0),
  };
}

export function report(scene, model) {
  const panels = sceneGraph.findAllObjects(scene, (one) => one instanceof VizPanel && one.isActive);
  const line = 40;
  const controls = document.getElementById('controls').getBoundingClientRect();
  return {
    variables: sceneGraph.getVariables(scene).state.variables.map(({ state }) => ({
      name: state.name, value: state.value, text: state.text, error: state.error && String(state.error.message ?? state.error),
      options: state.options?.map((one) => one.value),
    })),
    rowsOfControls: Math.round(controls.height / line),
    links: (model.links ?? []).flatMap((link) => linksOf(scene, link, model.uid)),
    panels: panels.map(panelReport),
    height: Math.ceil(Math.max(...[...document.querySelectorAll('[data-viz-panel-key]')].map((one) => one.getBoundingClientRect().bottom))) + 16,
  };
}
