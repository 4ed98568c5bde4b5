//! The README and the pages beside it, as readers use them: links lead somewhere, commands and configs are
//! taken, tables list what there is.

mod blocks;
mod links;
mod tables;

use std::fs;
use std::path::Path;

pub use blocks::assert_known;

/// A Markdown file of the repository.
struct Page {
    /// Its path in the repository.
    path: String,
    text: String,
}

impl Page {
    fn read(path: &str) -> Self {
        let path = path.to_owned();
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(&path);
        let text =
            fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        Self { path, text }
    }

    /// The text without its blocks of code.
    fn prose(&self) -> String {
        self.text.split("```").step_by(2).collect()
    }

    /// The blocks of code: the language of each, and what it holds.
    fn blocks(&self) -> Vec<(&str, &str)> {
        let blocks = self.text.split("```").skip(1).step_by(2);
        let blocks = blocks.map(|block| block.split_once('\n').unwrap());
        blocks.collect()
    }

    /// The rows of all tables below the heading, each as its cells, without the heads of the tables.
    fn rows(&self, heading: &str) -> Vec<Vec<&str>> {
        let start = self
            .text
            .find(&format!("{heading}\n"))
            .unwrap_or_else(|| panic!("{} has no {heading}", self.path));
        let section = &self.text[start + heading.len()..];
        let level = format!("\n{} ", heading.split(' ').next().unwrap());
        let section = section.split(&level).next().unwrap();
        let lines: Vec<&str> = section.lines().collect();
        let is_rule = |line: &&str| line.starts_with("|---");
        let is_head = |place: usize| lines.get(place + 1).is_some_and(is_rule);
        let rows = lines
            .iter()
            .enumerate()
            .filter(|(place, line)| line.starts_with('|') && !is_rule(line) && !is_head(*place));
        rows.map(|(_, row)| cells(row)).collect()
    }
}

/// The cells of a table's row.
fn cells(row: &str) -> Vec<&str> {
    let row = row.strip_prefix('|').unwrap().strip_suffix('|').unwrap();
    row.split('|').map(str::trim).collect()
}

/// The pages: of the repository's root, of `docs`, and of the benchmarks.
fn pages() -> Vec<Page> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = vec!["benches/README.md".to_owned()];
    for folder in ["", "docs/"] {
        for entry in fs::read_dir(root.join(folder)).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            if name.ends_with(".md") {
                paths.push(format!("{folder}{name}"));
            }
        }
    }
    paths.sort();
    assert!(paths.len() >= 12, "{paths:?}");
    paths.iter().map(|path| Page::read(path)).collect()
}

/// What is within backticks in a text.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn the_readme_is_short_and_sets_everything_up_by_two_commands() {
    let readme = Page::read("README.md");
    let lines = readme.text.lines().count();
    assert!(lines <= 150, "README.md has {lines} lines");
    let blocks = readme.blocks();
    for command in ["cargo run --release -- demo\n", "tests/run\n"] {
        assert!(blocks.contains(&("sh", command)), "{command}");
    }
}

#[test]
fn every_row_of_a_table_follows_a_head_and_has_its_cells() {
    let mut tables = 0;
    for Page { path, text } in pages() {
        let lines: Vec<&str> = text.lines().collect();
        let mut columns = 0;
        for (place, line) in lines.iter().enumerate() {
            if !line.starts_with('|') {
                columns = 0;
                continue;
            }
            let cells = cells(line).len();
            if columns == 0 {
                let next = lines.get(place + 1).unwrap_or(&"");
                assert!(next.starts_with("|---"), "{path}:{}: {line}", place + 1);
                columns = cells;
                tables += 1;
            }
            assert_eq!(cells, columns, "{path}:{}: {line}", place + 1);
        }
    }
    assert!(tables > 20, "only {tables} tables were found");
}
