//! The blocks of code on the pages: each is parsed by the program that it is for.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::{Page, pages, quoted};
use crate::observability::promql::Golden;

/// The pages that people use, and not only those who change the code.
fn guides() -> Vec<Page> {
    let mut pages = pages();
    pages.retain(|page| page.path.starts_with("docs/") || page.path == "README.md");
    pages
}

/// The blocks in that language on these pages, with their pages.
fn blocks(pages: &[Page], language: &str, least: usize) -> Vec<(String, String)> {
    let of_page = |page: &Page| {
        let blocks = page.blocks().into_iter();
        let blocks = blocks.filter(|(written, _)| *written == language);
        let blocks = blocks.map(|(_, block)| (page.path.clone(), block.to_owned()));
        blocks.collect::<Vec<_>>()
    };
    let blocks: Vec<_> = pages.iter().flat_map(of_page).collect();
    assert!(blocks.len() >= least, "only {} of {language}", blocks.len());
    blocks
}

/// Asserts that the program has this command with these flags: `alerts list --format json`.
pub fn assert_known(command: &str) {
    let mut words = command.split_whitespace().peekable();
    let mut exporter = Command::new(env!("CARGO_BIN_EXE_flowgent-exporter"));
    let is_command = |word: &&str| word.chars().all(|letter| letter.is_ascii_lowercase());
    while let Some(word) = words.next_if(is_command) {
        exporter.arg(word);
    }
    let output = exporter.arg("--help").output().unwrap();
    assert!(output.status.success(), "{command}");
    let help = String::from_utf8(output.stdout).unwrap();
    for flag in words.filter(|word| word.starts_with("--")) {
        let flag = flag.split('=').next().unwrap();
        assert!(help.contains(&format!("{flag} ")), "{command}");
    }
}

/// What stands after `start` up to the end of the command.
fn commands<'a>(text: &'a str, start: &'a str) -> impl Iterator<Item = &'a str> {
    let ends = ['\n', '`', '&', '|', '#', '>', ';', '<'];
    let rests = text.split(start).skip(1);
    rests.map(move |rest| rest.split(ends).next().unwrap_or_default().trim())
}

#[test]
fn every_block_is_in_a_language_that_a_test_reads() {
    for page in pages() {
        for (language, block) in page.blocks() {
            let known = ["sh", "toml", "yaml", "promql", "json"].contains(&language);
            assert!(known, "{}: {language:?}\n{block}", page.path);
        }
    }
}

#[test]
fn every_command_is_one_that_there_is() {
    let mut count = 0;
    for (path, block) in blocks(&pages(), "sh", 15) {
        let mut bash = Command::new("bash");
        let mut bash = bash.arg("-n").stdin(Stdio::piped()).spawn().unwrap();
        let mut stdin = bash.stdin.take().unwrap();
        stdin.write_all(block.as_bytes()).unwrap();
        drop(stdin);
        assert!(bash.wait().unwrap().success(), "{path}:\n{block}");
        for line in block.replace("\\\n", " ").lines() {
            for command in commands(line, "cargo run --release -- ")
                .chain(commands(line, "cargo run -- "))
                .chain(commands(line, "flowgent-exporter ").filter(|_| !line.contains("docker")))
            {
                assert_known(command);
                count += 1;
            }
        }
    }
    let manifest = Page::read("Cargo.toml").text;
    for page in pages() {
        for code in quoted(&page.prose()) {
            if let Some(command) = code.strip_prefix("flowgent-exporter ") {
                assert_known(&command.split_whitespace().collect::<Vec<_>>().join(" "));
                count += 1;
            }
        }
        for bench in commands(&page.text, "cargo bench --bench ") {
            let bench = bench.split(' ').next().unwrap();
            let named = manifest.contains(&format!("name = \"{bench}\""));
            assert!(named, "{}: {bench}", page.path);
        }
    }
    assert!(count > 15, "only {count} commands were found");
}

/// Writes a file that only its owner may read.
fn keep_secret(path: &Path, content: &str) {
    let mut options = fs::OpenOptions::new();
    let mut file = options
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .unwrap();
    file.write_all(content.as_bytes()).unwrap();
}

#[test]
fn every_config_is_good() {
    let guides = guides();
    let configs = blocks(&guides, "toml", 4);
    let is_whole = |(path, _): &&(String, String)| path == "docs/configuration.md";
    let (_, smallest) = configs.iter().find(is_whole).unwrap();
    for (path, block) in &configs {
        let folder = tempfile::tempdir().unwrap();
        for file in quoted_texts(block) {
            // Only those that the block names are there.
            let content = match file {
                "ops.url" => "https://hooks.slack.com/services/T0/B0/x\n",
                _ => "test-key-of-nobody\n",
            };
            if file.ends_with(".url") || file.ends_with(".key") {
                keep_secret(&folder.path().join(file), content);
            }
        }
        let mut text = block.clone();
        if !text.contains("[[account]]") {
            keep_secret(&folder.path().join("acme.key"), "test-key-of-nobody\n");
            text = format!("{text}\n{smallest}");
        }
        if text.contains("[[balance]]") {
            text = text.replace("\"acme.key\"\n", "\"acme.key\"\ndiscover = true\n");
        }
        if text.contains("[\"ops\"]") && !text.contains("[[hook]]") {
            text += "[[hook]]\nname = \"ops\"\nkind = \"exec\"\ncommand = [\"/bin/true\"]\n";
        }
        if text.contains("kind = \"probe\"") && !text.contains("[[probe]]") {
            text += "[[probe]]\nname = \"ping\"\naccount = \"acme\"\nagent = \"support\"\nmessage = \"OK?\"\n\
                     cron = \"0 0 6 * * *\"\n";
        }
        fs::write(folder.path().join("config.toml"), &text).unwrap();
        let mut check = Command::new(env!("CARGO_BIN_EXE_flowgent-exporter"));
        let check = check
            .args(["check", "--config.file", "config.toml"])
            .current_dir(folder.path())
            .output()
            .unwrap();
        let said = String::from_utf8([check.stdout, check.stderr].concat()).unwrap();
        assert!(
            check.status.success() && said.starts_with("config.toml is valid"),
            "{path}:\n{text}\n{said}"
        );
    }
}

/// What is within quotation marks.
fn quoted_texts(block: &str) -> impl Iterator<Item = &str> {
    block.split('"').skip(1).step_by(2)
}

#[test]
fn every_config_of_prometheus_is_good_and_scrapes_the_usual_job() {
    let mut scraping = 0;
    for (path, block) in blocks(&guides(), "yaml", 3) {
        let read: Value = serde_saphyr::from_str(&block)
            .unwrap_or_else(|error| panic!("{path}: {error}\n{block}"));
        if read.get("scrape_configs").is_none() {
            assert!(read.get("providers").is_some(), "{path}:\n{block}");
            continue;
        }
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(block.as_bytes()).unwrap();
        let mut promtool = Command::new("promtool");
        let checked = promtool.args(["check", "config"]).arg(file.path()).output();
        let checked = checked.unwrap();
        assert!(checked.status.success(), "{path}: {checked:?}");
        assert_eq!(
            read["scrape_configs"][0]["job_name"],
            crate::observability::JOB
        );
        scraping += 1;
    }
    assert_eq!(scraping, 2);
}

#[test]
fn every_query_is_about_metrics_and_labels_that_there_are() {
    let golden = Golden::read();
    for (path, query) in blocks(&guides(), "promql", 4) {
        assert_eq!(
            golden.faults(&query),
            Vec::<String>::new(),
            "{path}: {query}"
        );
    }
}

#[test]
fn every_flag_and_metric_that_is_named_is_there() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/cli");
    let helps = fs::read_dir(fixtures)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let helps: String = helps
        .map(|path| fs::read_to_string(path).unwrap())
        .collect();
    let golden = Golden::read();
    let mut count = 0;
    for page in guides() {
        let is_about_flags = ["docs/operations.md", "docs/configuration.md"].contains(&&*page.path);
        for code in quoted(&page.prose()) {
            if is_about_flags && code.starts_with("--") {
                let flag = code.split([' ', '=']).next().unwrap();
                assert!(helps.contains(&format!("{flag} ")), "{}: {code}", page.path);
                count += 1;
            }
            if code.starts_with("flowgent_") {
                let is_there = golden.get(code).is_some() || golden.families().contains_key(code);
                assert!(is_there, "{}: {code}", page.path);
                count += 1;
            }
        }
    }
    assert!(count > 90, "only {count} were found");
}
