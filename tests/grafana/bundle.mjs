// Bundles the page, with Grafana's packages from where tests/run has installed them.

import fs from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const here = path.dirname(fileURLToPath(import.meta.url));
export const target = path.join(here, '../../target/grafana');
const modules = path.join(target, 'node_modules');

// Grafana's packages import the default of older modules, which is another thing to esbuild in .mjs files.
const defaults = {
  name: 'defaults',
  setup: ({ onLoad }) =>
    onLoad({ filter: /@grafana\/[a-z]+\/dist\/esm\/.*\.mjs$/ }, ({ path: file }) => ({
      contents: fs.readFileSync(file, 'utf8').replace(
        /^import (\w+)((?:, \{[^}]*\})? from '(?!react')[^.][^']*';)/gm,
        'import $1_$2 const $1 = $1_?.__esModule ? $1_.default : $1_;',
      ),
    })),
};

// Scenes import Grafana's generated types as some bundlers find them, without an ending.
const generated = {
  name: 'generated',
  setup: ({ onResolve }) =>
    onResolve({ filter: /^@grafana\/schema\/dist\/esm\/.*\.gen$/ }, ({ path: file }) => {
      const found = ['.mjs', '.js'].map((ending) => path.join(modules, file + ending));
      return { path: found.find((one) => fs.existsSync(one)) };
    }),
};

// Bundles into a folder of target/, which is returned.
export async function bundle() {
  const { build } = createRequire(path.join(modules, 'x'))('esbuild');
  const folder = path.join(target, 'page');
  fs.mkdirSync(path.join(folder, 'public/img'), { recursive: true });
  await build({
    entryPoints: [path.join(here, 'page/index.jsx')],
    outfile: path.join(folder, 'page.js'),
    bundle: true,
    nodePaths: [modules],
    define: { 'process.env.NODE_ENV': '"production"', global: 'window' },
    loader: { '.svg': 'dataurl', '.woff': 'file', '.woff2': 'file', '.ttf': 'file' },
    alias: { 'react-router-dom-v5-compat': 'react-router-dom' },
    plugins: [generated, defaults],
    logLevel: 'error',
    logLimit: 5,
  });
  fs.copyFileSync(path.join(here, 'page/index.html'), path.join(folder, 'index.html'));
  const fonts = path.join(modules, '@fontsource/inter');
  fs.cpSync(path.join(fonts, 'files'), path.join(folder, 'files'), { recursive: true });
  fs.writeFileSync(path.join(folder, 'fonts.css'), ['400', '500'].map((one) => fs.readFileSync(path.join(fonts, `${one}.css`), 'utf8')).join(''));
  fs.cpSync(path.join(modules, '@grafana/ui/dist/public/img/icons'), path.join(folder, 'public/img/icons'), { recursive: true });
  return folder;
}
