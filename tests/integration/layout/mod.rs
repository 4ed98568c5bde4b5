//! The direction of imports: `src/lib.rs` lists the modules from the ground up, and each uses only
//! those that stand before it. And what each room holds.

mod circles;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Where the code is.
fn source() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// The modules in the order of `src/lib.rs`.
fn order() -> Vec<String> {
    let declared = fs::read_to_string(source().join("lib.rs")).unwrap();
    let modules = declared
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'));
    modules.map(str::to_owned).collect()
}

/// A file's code without comments and without the tests at its end.
fn code(file: &Path) -> String {
    fs::read_to_string(file)
        .unwrap()
        .split("#[cfg(test)]\nmod tests {")
        .flat_map(|part| part.split("#[cfg(test)]\npub(super) mod tests {"))
        .next()
        .unwrap_or_default()
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .flat_map(|line| [line, "\n"])
        .collect()
}

#[test]
fn every_room_is_in_the_order_and_in_the_story_that_the_crate_begins_with() {
    let text = fs::read_to_string(source().join("lib.rs")).unwrap();
    let mut rooms: Vec<String> = fs::read_dir(source())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .filter(|room| !["lib", "main"].contains(&room.as_str()))
        .collect();
    rooms.sort();
    rooms.dedup();
    let mut order = order();
    for room in &order {
        assert!(
            text.contains(&format!("[`{room}`]")),
            "{room} is not told of"
        );
    }
    order.sort();
    assert_eq!(order, rooms);
}

#[test]
fn modules_use_only_those_before_them() {
    let (source, order) = (source(), order());
    let mut arrows = 0;
    for (place, module) in order.iter().enumerate() {
        let mut allowed: BTreeSet<&str> = order[..=place].iter().map(String::as_str).collect();
        if module == "alert" {
            // Only what puts the program together knows of both.
            allowed.remove("sync");
        }
        for file in files(&source, module) {
            for used in used_modules(&code(&file)) {
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

#[test]
fn pure_rooms_hold_no_io_no_time_and_nothing_that_waits() {
    let mut pure = BTreeSet::new();
    for module in order() {
        for file in files(&source(), &module) {
            if !fs::read_to_string(&file).unwrap().starts_with("//! Pure:") {
                continue;
            }
            let code = code(&file);
            for impure in [
                "async ", ".await", "tokio", "rusqlite", "reqwest", "hyper", "std::fs", "std::net",
                "::clock",
            ] {
                assert!(!code.contains(impure), "{}: {impure}", file.display());
            }
            pure.insert(file.strip_prefix(source()).unwrap().display().to_string());
        }
    }
    for room in [
        "window/plan.rs",
        "validate.rs",
        "series.rs",
        "forecast.rs",
        "budget.rs",
        "alert/judge.rs",
        "alert/machine.rs",
        "alert/message.rs",
    ] {
        assert!(pure.contains(room), "{room} is not among {pure:?}");
    }
}

#[test]
fn the_ledger_alone_speaks_sql() {
    for module in order() {
        for file in files(&source(), &module) {
            let speaks = code(&file).contains("rusqlite");
            assert!(!speaks || module == "ledger", "{}", file.display());
        }
    }
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

/// The modules that code names after `crate::`, also in braces.
fn used_modules(code: &str) -> BTreeSet<String> {
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
