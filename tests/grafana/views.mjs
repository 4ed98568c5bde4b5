// What is looked at: every dashboard on every database, at several ranges, widths and choices.

const UIDS = { overview: 'flowgent-overview', agent: 'flowgent-agent', health: 'flowgent-exporter' };
// Panels that have nothing to show unless something goes wrong, or somebody sets a price.
const QUIET = ['Cost', 'Problems of the last sync', 'Failed ledger transactions', 'Deliveries', 'Agents with missing days'];
// What needs a history, and what needs changes within the time that is shown.
const OF_HISTORY = ['Fastest growers', 'Change', 'Revisions', 'Month day by day', 'Freshness'];
// What a dashboard's time may be too short for.
const isOfDays = (panel) => panel.title.startsWith('Credits by day') || panel.title === 'Calendar';
const OF_CHANGES = ['FlowGent latency', 'Requests to FlowGent', 'Ledger transaction duration', 'Rendering and evaluation', 'Requests served'];

function view(dashboard, db, more = {}) {
  const { search = '', range, width = 1600, ...rest } = more;
  const time = range ? `&from=now-${range}&to=now` : '';
  const quiet = [...QUIET, ...(db === 'one' || search ? ['Fastest growers'] : []), ...(db === 'first' || range ? OF_HISTORY : []), ...(db === 'several' && !range ? [] : OF_CHANGES)];
  const isShort = ['1h', '6h'].includes(range);
  const mayBeEmpty = (panel) => db === 'empty' || rest.isNone || quiet.includes(panel.title) || (isShort && isOfDays(panel));
  const one = {
    uid: UIDS[dashboard], db, width, search: `?var-datasource=${db}${search}${time}`, isOpen: true,
    mayBeEmpty,
    name: `${dashboard} of ${db}${search}${range ? ` over ${range}` : ''} at ${width}`, ...rest,
  };
  return { ...one, followed: { ...one, name: `a link of ${one.name}`, mayBeEmpty: (panel) => quiet.concat(OF_HISTORY, OF_CHANGES).includes(panel.title), width: 1600 } };
}

const everyDashboard = Object.keys(UIDS);
const everyDatabase = ['several', 'one', 'many', 'first', 'empty'];

export const views = [
  ...everyDatabase.flatMap((db) => everyDashboard.map((dashboard) => view(dashboard, db, { picture: `${dashboard}-${db}` }))),
  ...everyDashboard.map((dashboard) => view(dashboard, 'several', { width: 1366, picture: `${dashboard}-laptop` })),
  ...['1h', '6h', '24h', '90d'].flatMap((range) => everyDashboard.map((dashboard) => view(dashboard, 'several', { range }))),
  // Nothing, one and several chosen.
  view('overview', 'several', { search: '&var-account=&var-agent=&var-label=&var-value=&var-price=', isNone: true }),
  view('health', 'several', { search: '&var-instance=', isNone: true }),
  view('overview', 'several', { search: '&var-account=acme&var-agent=sales&var-agent=support&var-label=team&var-value=cx&var-value=growth&var-price=0.02' }),
  view('overview', 'many', { search: '&var-label=agent&var-price=1.5' }),
  view('agent', 'several', { search: '&var-account=globex&var-agent=storefront' }),
];
