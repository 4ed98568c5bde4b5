// What a reader would find broken: each rule tells the faults of a dashboard as it was drawn. `seen` is what
// page/report.js saw, `model` the dashboard, `view` what was looked at.

const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-/;
const isGreen = (colour) => ['green', '#73bf69', 'rgb(115, 191, 105)'].includes(String(colour).toLowerCase());

export const allPanels = (model) => model.panels.flatMap((one) => (one.type === 'row' ? (one.panels ?? []) : [one]));
const modelOf = (model, panel) => allPanels(model).find((one) => `panel-${one.id}` === panel.id);

export const rules = {
  answers(seen) {
    const failed = seen.queries.filter((one) => one.error).map((one) => `${one.refId} is refused: ${one.error}: ${one.expr}`);
    return [...failed, ...seen.faults, ...seen.complaints];
  },
  variables(seen, model, view) {
    const isOne = (name) => !model.templating.list.find((one) => one.name === name).includeAll;
    return seen.variables.flatMap(({ name, value, error, options }) => {
      if (error) return [`$${name}: ${error}`];
      if (options === undefined) return [];
      if ([value].flat().some((one) => one === undefined || one === 'undefined')) return [`$${name} is ${value}`];
      if (view.db !== 'empty' && !view.isNone && options.length === 0) return [`$${name} has nothing to choose from`];
      const known = [value].flat().filter((one) => one !== '' && one !== '$__all');
      const unknown = view.isNone ? [] : known.filter((one) => !options.includes(one));
      const isAll = [value].flat().includes('$__all') && isOne(name);
      return [...unknown.map((one) => `$${name} is ${one}, which is none of ${options}`), ...(isAll ? [`$${name} is All, and has to be one`] : [])];
    });
  },
  controls(seen, _, view) {
    const most = view.width >= 1600 ? 1 : 2;
    return !view.search.includes('&') && seen.rowsOfControls > most ? [`controls take ${seen.rowsOfControls} lines, more than ${most} at ${view.width} px`] : [];
  },
  annotations(_, model) {
    return model.annotations.list.filter((one) => !one.builtIn && one.enable).map((one) => `annotation ${one.name} is drawn over every graph`);
  },
  links(seen, model, view) {
    const stats = seen.panels.filter((one) => one.kind === 'stat' && !one.isEmpty && !one.fields.some((field) => field.hrefs.length));
    return view.db === 'empty' ? [] : stats.map((one) => `${one.title} links nowhere`);
  },
  panels(seen, model, view) {
    return seen.panels.flatMap((panel) => [...panelFaults(panel, modelOf(model, panel), view), ...strangeFaults(model, panel)].map((fault) => `${panel.title}: ${fault}`));
  },
};

// What is about others than the dashboard is about.
function strangeFaults(dashboard, panel) {
  const isBudget = modelOf(dashboard, panel).targets.some((one) => one.expr.includes('flowgent_budget'));
  return dashboard.uid === 'flowgent-agent' && isBudget ? ['a budget, which is that of several agents'] : [];
}

function panelFaults(panel, model, view) {
  const faults = [];
  const find = (is, fault) => { if (is) faults.push(fault); };
  find(panel.kind === 'unknown', `a ${model.type} cannot be drawn by what is published`);
  find(panel.error, panel.error);
  find(panel.fields.some((field) => field.isBad), 'a value is no number');
  find(/\bNaN\b|undefined|Infinity|An unexpected error|\$\w|No data/.test(panel.text), `shows ${JSON.stringify(panel.text.slice(0, 200))}`);
  find(panel.misplaced.length, `${panel.misplaced.length} days are not where they belong, ${panel.misplaced[0]} the first`);
  find(panel.isTitleCut, 'the title is cut');
  find(!model.description?.includes('?'), 'the description asks no question');
  find(/[1-9][\d,]*\.\d{3,}/.test(panel.text), `shows more than two decimals: ${/[\d,]+\.\d{3,}/.exec(panel.text)}`);
  find(panel.fields.some((field) => UUID.test(field.name)), 'a series is called by an id');
  find(!panel.isEmpty && view.db === 'empty', 'shows something where there is nothing');
  find(panel.isEmpty && !view.mayBeEmpty(panel, model), 'is empty where there are data');
  const { defaults, overrides } = model.fieldConfig;
  find(panel.isEmpty && panel.kind === 'stat' && ['green', 'red'].includes(defaults.thresholds?.steps[0].color), `says "${defaults.noValue}" in ${defaults.thresholds?.steps[0].color}`);
  const isChange = model.targets.some((one) => /- 1\)?( and |$)/.test(one.expr));
  find(isChange && panel.fields.some((field) => field.isNumber && field.colours.some(isGreen) && panel.text.includes('%')), 'a rise is green');
  if (panel.kind === 'timeseries') faults.push(...lineFaults(panel, model));
  if (panel.kind === 'table') faults.push(...tableFaults(panel, model));
  const settings = [defaults.color, ...overrides.flatMap((one) => one.properties.filter(({ id }) => id === 'color').map(({ value }) => value))];
  find(settings.some((one) => one?.mode?.startsWith('continuous')), 'small values fade into the background');
  return faults;
}

function lineFaults(panel, model) {
  const { custom = {}, max } = model.fieldConfig.defaults;
  const series = panel.fields.filter((field) => field.isNumber);
  const faults = [];
  if (series.length > 12) faults.push(`${series.length} series`);
  if (series.length && series.every((one) => one.isZero) && max === undefined && custom.axisSoftMax === undefined) {
    faults.push('the axis of nothing but zeros reaches to any height');
  }
  if (custom.drawStyle === 'line' && series.length && series.every((one) => one.isLonely) && series.some((one) => one.values > 1)) faults.push('nothing but lone dots of a line');
  return faults;
}

function tableFaults(panel, model) {
  const faults = panel.columns.flatMap(({ name, isHidden, isCut }) =>
    isHidden ? [`column ${name} is hidden`] : isCut ? [`the title of column ${name} is cut`] : []);
  const wanted = [
    ...model.transformations.flatMap((one) => Object.values(one.options.renameByName ?? {})),
    ...model.transformations.flatMap((one) => Object.keys(one.options.indexByName ?? {}).filter((name) => !(name in (one.options.renameByName ?? {})))),
    // Only budgets with a limit for each have subjects.
  ].filter((name) => !/^Value #|^\w+\\/.test(name) && name !== 'Subject');
  const there = panel.columns.map((one) => one.name);
  // A short time need not have every weekday.
  const isWhole = !panel.isEmpty && (panel.title !== 'Calendar' || panel.cells.length > 2);
  if (isWhole) faults.push(...wanted.filter((name) => !there.includes(name)).map((name) => `column ${name} is not there`));
  const cells = panel.cells.flat();
  const { noValue } = model.fieldConfig.defaults;
  if (cells.some((cell) => cell.text === noValue)) faults.push(`"${noValue}" stands in a cell`);
  faults.push(...cells.filter((cell) => cell.isCut).slice(0, 1).map((cell) => `the cell ${JSON.stringify(cell.text)} is cut`));
  const numbers = panel.fields.filter((field) => field.isNumber).length;
  if (model.options.footer?.show && !panel.isEmpty && panel.footer.filter((text) => /\d/.test(text)).length < numbers) {
    faults.push(`totals are missing: ${JSON.stringify(panel.footer)}`);
  }
  if (panel.title === 'Calendar' && panel.cells.length > 8) {
    const weeks = panel.cells.map(([week]) => new Date(`${week.text}T00:00Z`));
    if (weeks.some((week) => week.getUTCDay() !== 1)) faults.push(`a week does not begin on Monday: ${panel.cells[0][0].text}`);
    const colours = new Set(panel.fields.filter((field) => field.isNumber).flatMap((field) => field.colours));
    const days = new Set(panel.cells.flat().map((cell) => cell.text));
    if (colours.size < 4 && days.size > 20) faults.push(`days have no more than ${colours.size} colours`);
  }
  return faults;
}
