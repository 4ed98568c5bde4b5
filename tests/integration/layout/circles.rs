//! No files import each other in a circle: each can be read with those below it alone.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use regex::Regex;

use super::{code, files, order, source};

static IMPORTS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\buse ((?:crate|super|self)\b[^;]*);").unwrap());
static PATHS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\b(?:crate|super)(?:::\w+)+").unwrap());
static EXPORTS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\bpub(?:\(\w+\))? use (\w+(?:::[^;]*)?);").unwrap());

/// A module as the names on the way to it.
type Module = Vec<String>;

/// The code of every module by its path.
fn modules() -> BTreeMap<Module, String> {
    let source = source();
    let all = order().into_iter().flat_map(|room| files(&source, &room));
    all.map(|file| {
        let inner = file.strip_prefix(&source).unwrap().with_extension("");
        let mut module: Module = inner
            .iter()
            .map(|name| name.to_str().unwrap().to_owned())
            .collect();
        if module.last().is_some_and(|name| name == "mod") {
            module.pop();
        }
        (module, code(&file))
    })
    .collect()
}

/// The single paths of a tree of imports, such as `a::{b, c::{d, e}}`.
fn leaves(tree: &str) -> Vec<String> {
    let Some((stem, rest)) = tree.split_once('{') else {
        let path = tree.split(" as ").next().unwrap_or_default();
        return vec![path.trim().to_owned()];
    };
    let inner = rest.rsplit_once('}').map_or(rest, |(inner, _)| inner);
    let mut depth = 0;
    let branches = inner.split(|letter| {
        depth += i32::from(letter == '{') - i32::from(letter == '}');
        letter == ',' && depth == 0
    });
    let branches = branches.filter(|branch| !branch.trim().is_empty());
    branches
        .flat_map(leaves)
        .map(|leaf| format!("{}{leaf}", stem.trim()))
        .collect()
}

/// What the code of `module` names of this crate, as whole paths.
fn named(module: &Module, code: &str) -> Vec<Module> {
    let rest = IMPORTS.replace_all(code, "");
    let trees = IMPORTS
        .captures_iter(code)
        .flat_map(|found| leaves(&found[1]));
    let plain = PATHS
        .find_iter(&rest)
        .map(|found| found.as_str().to_owned());
    trees
        .chain(plain)
        .map(|path| {
            let mut whole = module.clone();
            for (place, name) in path.split("::").map(str::trim).enumerate() {
                match name {
                    "crate" if place == 0 => whole.clear(),
                    "self" => {}
                    "super" => drop(whole.pop()),
                    name => whole.push(name.to_owned()),
                }
            }
            whole
        })
        .collect()
}

/// The module that holds what `path` leads to: where it is defined, and not where it is handed on.
fn home(path: &Module, modules: &BTreeMap<Module, String>) -> Option<Module> {
    let length = (1..=path.len())
        .rev()
        .find(|length| modules.contains_key(&path[..*length]))?;
    let mut module = path[..length].to_vec();
    let Some(name) = path.get(length) else {
        return Some(module);
    };
    let handed_on = EXPORTS
        .captures_iter(&modules[&module])
        .flat_map(|found| leaves(&found[1]))
        .map(|leaf| {
            leaf.split("::")
                .map(|name| name.trim().to_owned())
                .collect::<Module>()
        })
        .find(|leaf| leaf.last() == Some(name));
    if let Some(leaf) = handed_on {
        let whole: Module = module
            .iter()
            .chain(&leaf[..leaf.len() - 1])
            .cloned()
            .collect();
        let length = (1..=whole.len())
            .rev()
            .find(|length| modules.contains_key(&whole[..*length]));
        module = whole[..length.unwrap_or(1)].to_vec();
    }
    Some(module)
}

/// By module, the modules that it imports from.
fn arrows(modules: &BTreeMap<Module, String>) -> BTreeMap<Module, BTreeSet<Module>> {
    let arrows_of = |(module, code): (&Module, &String)| {
        let homes = named(module, code)
            .into_iter()
            .filter_map(|path| home(&path, modules));
        (
            module.clone(),
            homes.filter(|home| home != module).collect(),
        )
    };
    modules.iter().map(arrows_of).collect()
}

/// What is left once everything is taken away that imports only from what was taken away before.
fn circles(mut arrows: BTreeMap<Module, BTreeSet<Module>>) -> BTreeMap<Module, BTreeSet<Module>> {
    loop {
        let there: BTreeSet<Module> = arrows.keys().cloned().collect();
        let count = arrows.len();
        for targets in arrows.values_mut() {
            targets.retain(|target| there.contains(target));
        }
        arrows.retain(|_, targets| !targets.is_empty());
        if arrows.len() == count {
            return arrows;
        }
    }
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let modules = modules();
    let arrows = arrows(&modules);
    let count: usize = arrows.values().map(BTreeSet::len).sum();
    assert!(count > 900, "only {count} imports were found");
    let found = circles(arrows.clone());
    assert!(found.is_empty(), "{found:#?}");

    // A file that imports from one above it is found.
    let mut with_circle = arrows;
    let below = vec!["ledger".to_owned(), "alert_key".to_owned()];
    let above = vec!["ledger".to_owned(), "outbox".to_owned()];
    with_circle
        .entry(below.clone())
        .or_default()
        .insert(above.clone());
    let found = circles_of(with_circle);
    assert!(
        found.contains(&below) && found.contains(&above),
        "{found:?}"
    );
}

fn circles_of(arrows: BTreeMap<Module, BTreeSet<Module>>) -> BTreeSet<Module> {
    circles(arrows).into_keys().collect()
}
