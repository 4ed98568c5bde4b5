// The three kinds of panels that the dashboards use. Grafana's own are part of its front end, which is not
// published as a package; these stand in for them, and only hand on to the published components: BigValue,
// Table and TimeSeries of @grafana/ui, and the options of fields of @grafana/data.

import {
  FieldType, PanelPlugin, booleanOverrideProcessor, dataLinksOverrideProcessor,
  displayNameOverrideProcessor, getFieldDisplayValues, identityOverrideProcessor,
  numberOverrideProcessor, standardEditorsRegistry, standardFieldConfigEditorRegistry, standardTransformers,
  standardTransformersRegistry, stringOverrideProcessor, thresholdsOverrideProcessor, unitOverrideProcessor,
  valueMappingsOverrideProcessor, getDisplayValueAlignmentFactors,
} from '@grafana/data';
import { sceneUtils } from '@grafana/scenes';
import { BigValue, DataLinksContextMenu, Table, TimeSeries, TooltipPlugin, VizRepeater, useTheme2 } from '@grafana/ui';
import React from 'react';

const editor = () => null;
const option = (id, process, defaultValue) => ({
  id, path: id, name: id, editor, override: editor, process, defaultValue, shouldApply: () => true, settings: {},
});

export function registerStandards() {
  standardEditorsRegistry.setInit(() => ['number', 'slider', 'text', 'select', 'radio', 'boolean', 'color', 'fieldName']
    .map((id) => ({ id, name: id, editor })));
  standardFieldConfigEditorRegistry.setInit(() => [
    option('unit', unitOverrideProcessor), option('min', numberOverrideProcessor), option('max', numberOverrideProcessor),
    option('fieldMinMax', booleanOverrideProcessor), option('decimals', numberOverrideProcessor),
    option('displayName', displayNameOverrideProcessor), option('color', identityOverrideProcessor),
    option('noValue', stringOverrideProcessor), option('links', dataLinksOverrideProcessor),
    option('mappings', valueMappingsOverrideProcessor, []), option('filterable', booleanOverrideProcessor),
    option('thresholds', thresholdsOverrideProcessor, { mode: 'absolute', steps: [{ value: -Infinity, color: 'green' }] }),
    option('description', stringOverrideProcessor),
  ]);
  // Some are there under two names.
  standardTransformersRegistry.setInit(() => [...new Map(Object.values(standardTransformers).map((one) => [one.id, one])).values()]
    .map((transformation) => ({ id: transformation.id, name: transformation.name, transformation, editor })));
}

// The options of fields of a kind of panel, with Grafana's defaults.
const CUSTOM = {
  timeseries: {
    axisBorderShow: false, axisCenteredZero: false, axisColorMode: 'text', axisGridShow: true, axisLabel: '',
    axisPlacement: 'auto', axisSoftMax: undefined, axisSoftMin: undefined, axisWidth: undefined, barAlignment: 0,
    barWidthFactor: 0.6, drawStyle: 'line', fillBelowTo: undefined, fillOpacity: 0, gradientMode: 'none',
    hideFrom: { legend: false, tooltip: false, viz: false }, insertNulls: false, lineInterpolation: 'linear',
    lineStyle: { fill: 'solid' }, lineWidth: 1, pointSize: 5, scaleDistribution: { type: 'linear' },
    showPoints: 'auto', spanNulls: false, stacking: { mode: 'none', group: 'A' }, thresholdsStyle: { mode: 'off' },
  },
  table: {
    align: 'auto', cellOptions: { type: 'auto' }, filterable: false, hidden: false, inspect: false, minWidth: 150,
    width: undefined,
  },
  stat: {},
};

function Linked({ links, children }) {
  if (!links?.length) return children({});
  return <DataLinksContextMenu links={() => links} style={{ height: '100%', width: '100%' }}>{children}</DataLinksContextMenu>;
}

function Stat({ data, options, fieldConfig, replaceVariables, width, height, timeZone, renderCounter }) {
  const theme = useTheme2();
  const getValues = () => getFieldDisplayValues({
    fieldConfig, reduceOptions: options.reduceOptions, replaceVariables, theme, data: data.series, timeZone,
    sparkline: options.graphMode !== 'none', percentChange: options.showPercentChange,
  });
  const textMode = (count) => {
    if (options.textMode !== 'auto' || options.wideLayout === undefined) return options.textMode;
    return count > 1 || options.reduceOptions.values ? 'value_and_name' : 'value';
  };
  const renderValue = ({ value, width, height, alignmentFactors, count }) => (
    <Linked links={value.hasLinks ? value.getLinks({}) : []}>
      {({ openMenu, targetClassName }) => (
        <BigValue
          value={value.display} count={count} sparkline={value.sparkline} colorMode={options.colorMode}
          graphMode={options.graphMode} justifyMode={options.justifyMode} textMode={textMode(count)}
          alignmentFactors={alignmentFactors} width={width} height={height} theme={theme}
          wideLayout={options.wideLayout} onClick={openMenu} className={targetClassName}
          hasLinks={value.hasLinks} text={options.text} percentChangeColorMode={options.percentChangeColorMode}
        />
      )}
    </Linked>
  );
  return (
    <VizRepeater
      getValues={getValues} renderValue={renderValue} width={width} height={height} source={data} itemSpacing={3}
      getAlignmentFactors={getDisplayValueAlignmentFactors}
      autoGrid orientation={options.orientation} renderCounter={renderCounter}
    />
  );
}

function Nothing({ fieldConfig }) {
  return <div className="nothing">{fieldConfig.defaults.noValue ?? 'No data'}</div>;
}

function TablePanel({ data, options, fieldConfig, width, height, timeRange }) {
  const frame = data.series.find((one) => one.fields.length > 0);
  if (!frame) return <Nothing fieldConfig={fieldConfig} />;
  return (
    <Table
      data={frame} width={width} height={height} noHeader={!options.showHeader} showTypeIcons={false} resizable
      initialSortBy={options.sortBy} footerOptions={options.footer} enablePagination={options.footer?.enablePagination}
      cellHeight={options.cellHeight} timeRange={timeRange} fieldConfig={fieldConfig}
    />
  );
}

function Lines({ data, options, fieldConfig, width, height, timeRange, timeZone }) {
  const frames = data.series.filter((frame) =>
    frame.length > 0 && frame.fields.some((field) => field.type === FieldType.time) &&
    frame.fields.some((field) => field.type === FieldType.number));
  if (frames.length === 0) return <Nothing fieldConfig={fieldConfig} />;
  return (
    <TimeSeries
      frames={frames} structureRev={data.structureRev} timeRange={timeRange} timeZone={[timeZone]} width={width}
      height={height} legend={options.legend} options={options}
    >
      {(config, alignedDataFrame) => (
        <TooltipPlugin data={alignedDataFrame} config={config} mode={options.tooltip.mode} sortOrder={options.tooltip.sort} timeZone={timeZone} />
      )}
    </TimeSeries>
  );
}

const DEFAULTS = {
  stat: {
    colorMode: 'value', graphMode: 'area', justifyMode: 'auto', orientation: 'auto', textMode: 'auto', wideLayout: true,
    percentChangeColorMode: 'standard', showPercentChange: false, text: {},
    reduceOptions: { calcs: ['lastNotNull'], fields: '', values: false },
  },
  table: { cellHeight: 'sm', showHeader: true, sortBy: [], footer: { show: false, reducer: [], countRows: false, fields: '' } },
  timeseries: {
    legend: { calcs: [], displayMode: 'list', placement: 'bottom', showLegend: true },
    tooltip: { mode: 'single', sort: 'none', hideZeros: false },
  },
};

export const KINDS = Object.keys(DEFAULTS);

// Any other kind: its data are looked at, but it cannot be drawn.
function Unknown() {
  return <div className="nothing">this kind of panel is not published</div>;
}

export function registerPanels() {
  for (const [id, component] of Object.entries({ stat: Stat, table: TablePanel, timeseries: Lines, unknown: Unknown })) {
    const plugin = new PanelPlugin(component).useFieldConfig({
      useCustomConfig: (builder) => {
        for (const [path, defaultValue] of Object.entries(CUSTOM[id] ?? {})) {
          builder.addCustomEditor({ id: path, path, name: path, editor, override: editor, process: identityOverrideProcessor, shouldApply: () => true, defaultValue });
        }
      },
    });
    plugin.setPanelOptions((builder) => {
      for (const [path, defaultValue] of Object.entries(DEFAULTS[id] ?? {})) {
        builder.addCustomEditor({ id: path, path, name: path, editor, defaultValue });
      }
    });
    sceneUtils.registerRuntimePanelPlugin({ pluginId: id, plugin });
  }
}
