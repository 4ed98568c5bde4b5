//! The direction of imports: `src/lib.rs` lists the modules from the ground up, and each uses only
//! those that stand before it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn modules_use_only_those_before_them() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let declared = fs::read_to_string(source.join("lib.rs")).unwrap();
    let order: Vec<&str> = declared
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'))
        .collect();
    let mut arrows = 0;
    for (place, module) in order.iter().enumerate() {
        let allowed: BTreeSet<&str> = order[..=place].iter().copied().collect();
        for file in files(&source, module) {
            for used in used_modules(&fs::read_to_string(&file).unwrap()) {
                let file = file.display();
                assert!(
                    allowed.contains(used.as_str()),
                    "{file}: {module} uses {used}"
                );
                arrows += usize::from(used != *module);
            }
        }
    }
    assert!(arrows > 100, "only {arrows} imports were found");
}

/// The files of a module but for its tests.
fn files(source: &Path, module: &str) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut open = vec![source.join(format!("{module}.rs")), source.join(module)];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            open.extend(
                fs::read_dir(path)
                    .unwrap()
                    .map(|entry| entry.unwrap().path()),
            );
        } else if path.is_file()
            && !path.components().any(|part| {
                matches!(
                    part.as_os_str().to_str(),
                    Some("tests" | "tests.rs" | "properties.rs")
                )
            })
        {
            files.push(path);
        }
    }
    files
}

/// The modules that a file's code names after `crate::`, also in braces.
fn used_modules(text: &str) -> BTreeSet<String> {
    let code: String = text
        .split("#[cfg(test)]\nmod tests {")
        .next()
        .unwrap_or_default()
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| [line, "\n"])
        .collect();
    let mut used = BTreeSet::new();
    for rest in code.split("crate::").skip(1) {
        match rest.strip_prefix('{') {
            None => used.extend(first_name(rest)),
            Some(list) => {
                let list = list.split("};").next().unwrap_or_default();
                let mut depth = 0;
                let top: String = list
                    .chars()
                    .filter(|letter| {
                        depth += i32::from(*letter == '{') - i32::from(*letter == '}');
                        depth == 0
                    })
                    .collect();
                used.extend(top.split(',').filter_map(first_name));
            }
        }
    }
    used
}

fn first_name(path: &str) -> Option<String> {
    let name: String = path
        .trim()
        .chars()
        .take_while(|letter| letter.is_alphanumeric() || *letter == '_')
        .collect();
    (!name.is_empty()).then_some(name)
}
