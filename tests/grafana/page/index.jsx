// The page: Grafana's runtime with what it needs around it, and what the step asks of it.

import { EventBusSrv, LoadingState, ThemeContext, createTheme, setTimeZoneResolver, toDataFrame } from '@grafana/data';
import { PrometheusDatasource } from '@grafana/prometheus';
import {
  FakeEchoSrv, config, locationService, setAppEvents, setBackendSrv, setDataSourceSrv, setEchoSrv,
  setLocationSrv, setPluginImportUtils, setRunRequest, setTemplateSrv,
} from '@grafana/runtime';
import { VizPanel, sceneGraph } from '@grafana/scenes';
import { GlobalStyles } from '@grafana/ui';
import React from 'react';
import { createRoot } from 'react-dom/client';
import { Router } from 'react-router-dom';
import { from as fromPromise, map, catchError, of } from 'rxjs';

import { asked, backendSrv } from './backend.js';
import { registerPanels, registerStandards } from './panels.jsx';
import { report } from './report.js';
import { others, sceneOf } from './scene.jsx';

const theme = createTheme({ colors: { mode: 'dark' } });
Object.assign(config, { theme2: theme, bootData: { ...config.bootData, user: { timezone: 'utc', orgRole: 'Viewer' } } });
config.featureToggles = {};

const templateSrv = {
  replace(text, scopedVars, format, interpolations) {
    const scene = scopedVars?.__sceneObject?.value?.valueOf() ?? window.scene;
    return sceneGraph.interpolate(scene, text, scopedVars, format, interpolations);
  },
  getVariables: () => [],
  containsTemplate: (text) => /\$\w|\$\{/.test(text ?? ''),
  updateTimeRange: () => {},
  getAdhocFilters: () => [],
};

// A data source for each database, of the kind that people have when they have set nothing.
function dataSources(names) {
  const settings = names.map((name, id) => ({
    id: id + 1, uid: name, name, type: 'prometheus', access: 'proxy', url: `/api/datasources/proxy/uid/${name}`, readOnly: true,
    jsonData: { httpMethod: 'POST', prometheusType: 'Prometheus', prometheusVersion: '2.42.0' },
    meta: { id: 'prometheus', name: 'Prometheus', metrics: true, info: { logos: { small: '' } } },
  }));
  const made = new Map();
  const find = (ref, scopedVars) => {
    const uid = templateSrv.replace(typeof ref === 'string' ? ref : ref?.uid, scopedVars);
    return settings.find((one) => one.uid === uid || one.name === uid);
  };
  return {
    getList: () => settings,
    getInstanceSettings: find,
    async get(ref, scopedVars) {
      const found = find(ref, scopedVars);
      if (!found) throw new Error(`no data source ${JSON.stringify(ref)}`);
      if (!made.has(found.uid)) {
        const source = new PrometheusDatasource(found, templateSrv);
        Object.assign(source, { meta: found.meta, name: found.name, uid: found.uid });
        made.set(found.uid, source);
      }
      return made.get(found.uid);
    },
  };
}

// As Grafana's own, which is not published, does for one answer. Variables bring a query of their own.
function runRequest(source, request, query) {
  const done = (answer) => {
    const error = answer.error ?? answer.errors?.[0];
    return {
      state: error ? LoadingState.Error : LoadingState.Done, series: query ? answer.data : (answer.data ?? []).map(toDataFrame), annotations: [],
      error, errors: answer.errors, timeRange: request.range, request,
    };
  };
  const found = query ? query(request) : source.query(request);
  return (found.subscribe ? found : fromPromise(found)).pipe(
    map(done),
    catchError((error) => of({ state: LoadingState.Error, series: [], annotations: [], error, timeRange: request.range, request })),
  );
}

window.begin = (databases, dashboards) => {
  registerStandards();
  setAppEvents(new EventBusSrv());
  setEchoSrv(new FakeEchoSrv());
  setBackendSrv(backendSrv);
  setTemplateSrv(templateSrv);
  setDataSourceSrv(dataSources(databases));
  setLocationSrv(locationService);
  setRunRequest(runRequest);
  setPluginImportUtils({ importPanelPlugin: async () => undefined, getPanelPluginFromCache: () => undefined });
  setTimeZoneResolver(() => 'utc');
  registerPanels();
  others.list = dashboards;
};

// The longest that a dashboard is waited for, in milliseconds, on however slow a machine.
const PATIENCE = 150000;

let root;
// Draws a dashboard with what stands in its address; returns what is seen once nothing moves any more.
window.look = async (model, search, all) => {
  root?.unmount();
  window.setClock();
  Object.assign(asked, { queries: [], faults: [] });
  const scene = sceneOf(model, search, all);
  window.scene = scene;
  const Draw = () => <scene.Component model={scene} />;
  root = createRoot(document.getElementById('root'));
  root.render(
    <ThemeContext.Provider value={theme}>
      <GlobalStyles />
      <Router navigator={locationService.getHistory()} location={locationService.getLocation()}>
        <Draw />
      </Router>
    </ThemeContext.Provider>,
  );
  const start = performance.now();
  let quiet = 0;
  while (quiet < 6) {
    await new Promise((resolve) => setTimeout(resolve, 50));
    quiet = asked.open === 0 && waiting(scene).length === 0 ? quiet + 1 : 0;
    if (performance.now() - start > PATIENCE) throw new Error(`${model.title}${search} does not come to rest: ${waiting(scene)}`);
  }
  return { ...report(scene, model), queries: asked.queries, faults: asked.faults };
};

// What is still loading.
function waiting(scene) {
  const variables = sceneGraph.getVariables(scene).state.variables.filter((one) => one.state.loading);
  const panels = sceneGraph.findAllObjects(scene, (one) => one instanceof VizPanel && one.isActive).filter((panel) => {
    const { data } = sceneGraph.getData(panel).state;
    return !data || data.state === LoadingState.Loading;
  });
  return [...variables.map((one) => `$${one.state.name}`), ...panels.map((one) => one.state.title)];
}
