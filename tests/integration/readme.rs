//! The README as readers see it.

use std::fs;
use std::path::Path;

#[test]
fn every_row_of_a_table_stands_below_its_heading() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(path).unwrap();
    let lines: Vec<&str> = readme.lines().collect();
    let is_row = |line: &str| line.starts_with('|');
    let first_rows = (1..lines.len()).filter(|&place| {
        let (before, line) = (lines[place - 1], lines[place]);
        is_row(line) && !is_row(before)
    });
    let mut tables = 0;
    for place in first_rows {
        let line = lines[place];
        assert!(before_dashes(&lines, place), "line {}: {line}", place + 1);
        tables += 1;
    }
    assert!(tables > 5, "only {tables} tables were found");
}

/// Whether the line after that one parts a heading from its table.
fn before_dashes(lines: &[&str], place: usize) -> bool {
    lines
        .get(place + 1)
        .is_some_and(|next| next.starts_with("|---"))
}
