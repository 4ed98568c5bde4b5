//! Links between the pages, and paths that they and other files name.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use regex::Regex;

use super::{Page, pages};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The anchors of a page, as GitHub makes them from its headings.
fn anchors(page: &Page) -> BTreeSet<String> {
    let prose = page.prose();
    let headings = prose.lines().filter_map(|line| {
        let heading = line.trim_start_matches('#');
        (heading.len() < line.len()).then(|| heading.trim())
    });
    let anchors = headings.map(|heading| {
        let letters = heading.to_lowercase();
        let letters = letters
            .chars()
            .filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
        letters.collect::<String>().replace(' ', "-")
    });
    anchors.collect()
}

#[test]
fn every_link_between_pages_leads_to_a_file_and_an_anchor_that_are_there() {
    let link = Regex::new(r"\]\(([^)\s]+)\)").unwrap();
    let mut count = 0;
    for page in pages() {
        let prose = page.prose();
        for found in link.captures_iter(&prose) {
            let target = &found[1];
            if target.starts_with("https://") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let here = root().join(&page.path);
            let path = if file.is_empty() {
                here
            } else {
                here.with_file_name(file)
            };
            assert!(path.exists(), "{}: {target} leads nowhere", page.path);
            if !anchor.is_empty() {
                let path = path.canonicalize().unwrap();
                let path = path.strip_prefix(root()).unwrap().display().to_string();
                let anchors = anchors(&Page::read(&path));
                assert!(
                    anchors.contains(anchor),
                    "{}: {target} is none of {anchors:?}",
                    page.path
                );
            }
            count += 1;
        }
    }
    assert!(count > 70, "only {count} links were found");
}

/// The text files below a folder.
fn texts(folder: &str) -> Vec<PathBuf> {
    let (mut folders, mut texts) = (vec![root().join(folder)], Vec::new());
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_none_or(|extension| extension != "png") {
                texts.push(path);
            }
        }
    }
    texts
}

#[test]
fn every_path_of_the_repository_that_a_file_names_is_there() {
    // After a letter, a dot or a slash it is the end of another path.
    let named = Regex::new(
        r"(?:^|[^\w./-])((?:src|docs|deploy|dashboards|tests|benches|\.ci|\.github)/[\w./-]*\w)(\S?)",
    )
    .unwrap();
    let mut files: Vec<PathBuf> = [
        "src",
        "docs",
        "deploy",
        "dashboards",
        "benches",
        ".ci",
        ".github",
    ]
    .into_iter()
    .flat_map(texts)
    .collect();
    let pages = [
        "README.md",
        "CONTRIBUTING.md",
        "SECURITY.md",
        "Cargo.toml",
        "tests/run",
    ];
    files.extend(pages.map(|page| root().join(page)));
    let mut count = 0;
    for file in files {
        let mut text = fs::read_to_string(&file).unwrap();
        if file.extension().is_some_and(|extension| extension == "rs") {
            // Code may name what it makes.
            let comments = text
                .lines()
                .filter(|line| line.trim_start().starts_with("//"));
            text = comments.flat_map(|line| [line, "\n"]).collect();
        }
        for found in named.captures_iter(&text) {
            let path = &found[1];
            // A page of another project, whose YAML is read here.
            if path == "docs/web-configuration.md" {
                continue;
            }
            // A folder with a pattern below it, or with a secret that people put there.
            let is_part = ["/", "*", "{", "$"].contains(&&found[2]);
            let is_secret = path.ends_with(".key") || path.ends_with(".password");
            let folder = path.rsplit_once('/').filter(|_| is_part || is_secret);
            let path = folder.map_or(path, |(folder, _)| folder);
            assert!(
                root().join(path).exists(),
                "{} names {path}, which is not there",
                file.display()
            );
            count += 1;
        }
    }
    assert!(count > 100, "only {count} paths were found");
}

#[test]
fn the_pictures_of_the_readme_are_small() {
    let pictures: Vec<PathBuf> = fs::read_dir(root().join("docs/images"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    let bytes: u64 = pictures
        .iter()
        .map(|path| path.metadata().unwrap().len())
        .sum();
    assert!(bytes < 400_000, "{pictures:?} have {bytes} bytes");
    let readme = Page::read("README.md").text;
    for path in pictures {
        let name = path.strip_prefix(root()).unwrap().display().to_string();
        assert!(readme.contains(&name), "README.md does not show {name}");
    }
}
