// A dashboard's JSON as a scene, as Grafana's own transformSaveModelToScene makes it, which is not published.

import { VariableHide } from '@grafana/data';
import {
  CustomVariable, DataSourceVariable, QueryVariable, SceneDataTransformer, SceneGridItem,
  SceneGridLayout, SceneGridRow, SceneObjectBase, SceneQueryRunner, SceneRefreshPicker, SceneTimePicker,
  SceneTimeRange, SceneVariableSet, TextBoxVariable, VariableValueSelectors, VizPanel,
  sceneGraph, sceneUtils,
} from '@grafana/scenes';
import { LinkButton, PanelChrome } from '@grafana/ui';
import React from 'react';

import { KINDS } from './panels.jsx';

// The names of the dashboards that a reader has, as they are listed by tag.
export const others = { list: [] };

function variable(model) {
  const common = { name: model.name, label: model.label, hide: model.hide ?? VariableHide.dontHide, skipUrlSync: model.skipUrlSync, description: model.description };
  const many = { isMulti: model.multi, includeAll: model.includeAll, defaultToAll: Boolean(model.includeAll), allValue: model.allValue ?? undefined };
  const current = { value: model.current?.value ?? '', text: model.current?.text ?? '' };
  switch (model.type) {
    case 'datasource':
      return new DataSourceVariable({ ...common, ...current, pluginId: model.query, regex: model.regex, options: [] });
    case 'query':
      return new QueryVariable({
        ...common, ...many, ...current, query: model.query, datasource: model.datasource, sort: model.sort,
        refresh: model.refresh, regex: model.regex,
      });
    case 'custom':
      return new CustomVariable({ ...common, ...many, ...current, query: model.query });
    case 'textbox':
      return new TextBoxVariable({ ...common, value: model.current?.value ?? model.query ?? '' });
    default:
      throw new Error(`a variable of the kind ${model.type}`);
  }
}

class DashboardLinks extends SceneObjectBase {
  static Component = ({ model }) => {
    const { links, uid } = model.useState();
    // What a link passes changes with the variables.
    sceneGraph.getVariables(model).useState();
    return links.flatMap((link) => {
      const hrefs = linksOf(model, link, uid);
      return hrefs.map(({ title, href }) => (
        <LinkButton key={title} href={href} variant="secondary" icon="apps" size="md" style={{ paddingInline: 8, fontSize: 12 }}>{title}</LinkButton>
      ));
    });
  };
}

// What is above a dashboard and itself, where Grafana puts them: variables and links to the left, the time to
// the right, all in one line if they fit.
class Dashboard extends SceneObjectBase {
  static Component = ({ model }) => {
    const { variables, links, time, refresh, body } = model.useState();
    const line = { display: 'flex', gap: 8 };
    return (
      <div style={{ flexGrow: 1, display: 'flex', flexDirection: 'column', gap: 16 }}>
        <div style={{ ...line, alignItems: 'flex-start' }} id="controls">
          <div style={{ ...line, flexWrap: 'wrap', flexGrow: 1 }}>
            <variables.Component model={variables} />
            <div style={{ flexGrow: 1 }} />
            <links.Component model={links} />
          </div>
          <div style={line}><time.Component model={time} /><refresh.Component model={refresh} /></div>
        </div>
        <body.Component model={body} />
      </div>
    );
  };
}

// Where a link of a dashboard leads, with what it passes.
export function linksOf(model, link, uid) {
  const targets = link.type === 'dashboards'
    ? others.list.filter((one) => one.uid !== uid && link.tags.every((tag) => one.tags.includes(tag)))
      .map((one) => ({ title: one.title, path: `/d/${one.uid}` }))
    : [{ title: link.title, path: link.url }];
  return targets.map(({ title, path }) => {
    const all = new URLSearchParams();
    if (link.includeVars) {
      for (const one of sceneGraph.getVariables(model).state.variables) {
        for (const [name, value] of Object.entries(one.urlSync?.getUrlState() ?? {})) {
          for (const part of [value].flat()) all.append(name, part);
        }
      }
    }
    if (link.keepTime) {
      const { from, to } = sceneGraph.getTimeRange(model).state;
      all.append('from', from);
      all.append('to', to);
    }
    const query = all.toString();
    const href = sceneGraph.interpolate(model, path);
    return { title, href: query ? `${href}${href.includes('?') ? '&' : '?'}${query}` : href };
  });
}

function panel(model) {
  let data = new SceneQueryRunner({
    datasource: model.datasource, queries: model.targets, maxDataPoints: model.maxDataPoints,
    maxDataPointsFromWidth: true, minInterval: model.interval,
  });
  data = new SceneDataTransformer({ $data: data, transformations: model.transformations ?? [] });
  const { x, y, w: width, h: height } = model.gridPos;
  const body = new VizPanel({
    key: `panel-${model.id}`, title: model.title, description: model.description, pluginId: KINDS.includes(model.type) ? model.type : 'unknown',
    options: model.options ?? {}, fieldConfig: model.fieldConfig, pluginVersion: '11.6.0', $data: data,
    titleItems: model.links?.length ? <PanelChrome.TitleItem title="links">⇗</PanelChrome.TitleItem> : undefined,
    $timeRange: model.timeFrom ? new SceneTimeRange({ from: model.timeFrom.startsWith('now') ? model.timeFrom : `now-${model.timeFrom}`, timeZone: 'utc' }) : undefined,
  });
  return new SceneGridItem({ x, y, width, height, body });
}

// The panels of a dashboard in their rows; `all` opens those that are closed.
function grid(model, all) {
  const children = [];
  let row;
  let shift = 0;
  for (const one of model.panels) {
    if (one.type !== 'row') {
      const item = panel({ ...one, gridPos: { ...one.gridPos, y: one.gridPos.y + shift } });
      if (row) row.push(item);
      else children.push(item);
      continue;
    }
    const inner = (one.panels ?? []).map((inside) => panel({ ...inside, gridPos: { ...inside.gridPos, y: inside.gridPos.y + shift } }));
    const isCollapsed = one.collapsed && !all;
    row = one.collapsed ? undefined : [];
    children.push(new SceneGridRow({
      key: `row-${one.id}`, title: one.title, y: one.gridPos.y + shift, isCollapsed, children: row ?? inner,
    }));
    if (isCollapsed || !one.collapsed) continue;
    shift += Math.max(0, ...inner.map((item) => item.state.y + item.state.height)) - (one.gridPos.y + shift + 1);
  }
  return children;
}

export function sceneOf(model, search, all) {
  const scene = new Dashboard({
    $timeRange: new SceneTimeRange({ ...model.time, timeZone: model.timezone, weekStart: model.weekStart }),
    $variables: new SceneVariableSet({ variables: model.templating.list.map(variable) }),
    variables: new VariableValueSelectors({}), links: new DashboardLinks({ links: model.links, uid: model.uid }),
    time: new SceneTimePicker({}), refresh: new SceneRefreshPicker({ refresh: model.refresh, withText: true }),
    body: new SceneGridLayout({ isLazy: false, children: grid(model, all) }),
  });
  sceneUtils.syncStateFromSearchParams(scene, new URLSearchParams(search));
  return scene;
}
