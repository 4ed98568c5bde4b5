// Mistakes that the step has to find, most of them once made here: how each is made in a good dashboard, where
// it is looked at, and the fault that has to be told.

const override = (panel, name, id, value) =>
  panel.fieldConfig.overrides.push({ matcher: { id: 'byName', options: name }, properties: [{ id, value }] });
const variable = (model, name) => model.templating.list.find((one) => one.name === name);
const expressions = (panel, change) => panel.targets.forEach((one) => { one.expr = change(one.expr); });

const overview = { uid: 'flowgent-overview', view: 'overview of several at 1600' };
const agent = { uid: 'flowgent-agent', view: 'agent of several at 1600' };
const health = { uid: 'flowgent-exporter', view: 'health of several over 1h at 1600' };

export const planted = [
  { name: 'a regex with a group', ...overview, found: /\$label is undefined/,
    make: (model) => { variable(model, 'label').regex = '/^(?!(__name__|agent_id|instance|job)$).+$/'; } },
  { name: 'a label as a part of a selector', ...overview, view: 'overview of empty at 1600', found: /is refused: .*parse error/,
    make: (_, find) => expressions(find('Data'), () => 'count(flowgent_agent_info{$label=~"${value:regex}"})') },
  { name: 'a price as a part of a product', ...overview, found: /is refused: .*parse error/,
    make: (_, find) => expressions(find('Cost'), () => 'vector(1) * $price') },
  { name: 'a link that passes all variables', ...overview, found: /\$account is All, and has to be one|none of/, isLink: true,
    make: (model) => { model.links[0] = { ...model.links[0], url: '/d/flowgent-agent', includeVars: true }; } },
  { name: 'annotations over every graph', ...overview, found: /annotation firing is drawn over every graph/,
    make: (model) => model.annotations.list.push({ name: 'firing', enable: true, expr: 'flowgent_alert_firing > 0' }) },
  { name: 'a state timeline', ...overview, found: /a state-timeline cannot be drawn/, make: (_, find) => { find('Firing now').type = 'state-timeline'; } },
  { name: 'rates over less than scrapes are apart', ...health, found: /CPU: (is empty|nothing but lone dots)/,
    make: (_, find) => { delete find('CPU').interval; find('CPU').targets.forEach((one) => delete one.interval); } },
  { name: 'bars that fade', ...overview, found: /Share|Top agents: small values fade/, make: (_, find) => override(find('Top agents'), 'Share', 'color', { mode: 'continuous-blues' }) },
  { name: 'columns beyond the panel', ...overview, found: /Budgets: column Period ends is hidden/,
    make: (_, find) => { find('Budgets').fieldConfig.overrides.forEach((one) => { one.properties = one.properties.filter(({ id }) => id !== 'custom.width'); }); find('Budgets').fieldConfig.defaults.custom.minWidth = 150; } },
  { name: 'a text for nothing in cells', ...overview, found: /"no budgets" stands in a cell/,
    make: (_, find) => { find('Budgets').fieldConfig.overrides.shift(); } },
  { name: 'all decimals', ...overview, found: /shows more than two decimals/, make: (_, find) => { delete find('Budgets').fieldConfig.defaults.decimals; } },
  { name: 'a rise in green', ...agent, found: /Change: a rise is green/,
    make: (_, find) => { find('Change').fieldConfig.defaults.thresholds.steps = [{ color: 'green', value: null }]; } },
  { name: 'series called by ids', ...overview, found: /a series is called by an id/, view: 'overview of several at 1600',
    make: (_, find) => { const panel = find('Credits by day'); panel.targets[0].legendFormat = '0f4d180d-245f-4ab6-a180-{{agent}}'; } },
  { name: 'every agent a series', ...overview, view: 'overview of many at 1600', found: /Credits by day: 24\d series/,
    make: (_, find) => { find('Credits by day').targets[0].expr = 'max by (account, agent) (last_over_time(flowgent_agent_previous_day_credits[1d] offset -2d))'; } },
  { name: 'a good colour for nothing', ...agent, view: 'agent of empty at 1600', found: /says "not known" in green/,
    make: (_, find) => { find('Data').fieldConfig.defaults.thresholds.steps[0].color = 'green'; } },
  { name: 'an axis of zeros', ...health, found: /the axis of nothing but zeros/, make: (_, find) => { delete find('Requests left').fieldConfig.defaults.custom.axisSoftMax; } },
  { name: 'a calendar flattened by a spike', ...agent, found: /days have no more than \d colours/,
    make: (_, find) => { find('Calendar').fieldConfig.defaults.thresholds.steps.splice(2, 6); } },
  { name: 'a join that repeats days', ...agent, found: /days are not where they belong/,
    make: (_, find) => { find('Calendar').transformations[0].options.mode = 'inner'; } },
  { name: 'a calendar in local time', ...overview, found: /a week does not begin on Monday/, make: (model) => { model.timezone = 'America/Lima'; } },
  { name: 'a budget of all agents on the page of one', ...agent, found: /Labels: a budget/, make: (_, find) => expressions(find('Labels'), () => 'flowgent_budget_limit_credits') },
  { name: 'a title that does not fit', ...overview, found: /Month.*the title is cut/, make: (_, find) => { find('Month').title = 'Month of all chosen agents together so far and forecast'; } },
  { name: 'a stat that links nowhere', ...overview, found: /Month links nowhere/, make: (_, find) => { delete find('Month').fieldConfig.defaults.links; } },
  { name: 'too many controls', ...overview, found: /controls take 2 lines/, make: (model) => { variable(model, 'price').label = 'Price of one credit in your currency, or nothing'; variable(model, 'label').label = 'Label to group by and to filter by'; } },
  { name: 'totals of no column', ...overview, found: /totals are missing/, make: (_, find) => { find('Top agents').options.footer.fields = ['30 days']; } },
  { name: 'a figure that is not there', ...overview, found: /Last 7 days: is empty/, make: (_, find) => expressions(find('Last 7 days'), (expr) => expr.replaceAll('_credits', '_credit')) },
  { name: 'no number', ...overview, found: /a value is no number/, make: (_, find) => expressions(find('Yesterday'), () => 'vector(0) / 0') },
  { name: 'an agent that is not there', ...overview, found: /\$agent is nobody/, make: () => {}, choice: '&var-agent=nobody' },
];
