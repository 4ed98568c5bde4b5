//! `man`: the manual pages, one for each command.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::{Args, Command, CommandFactory};
use clap_mangen::Man;

use super::{Arguments, Failure, count, print, print_exactly};

/// Arguments of `man`.
#[derive(Debug, Args)]
pub(super) struct ManArguments {
    /// Write the pages of all commands into this folder, instead of printing the main one.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// Prints the main page, or writes all.
pub(super) fn man(arguments: &ManArguments) -> Result<(), Failure> {
    // Without the command `help`, which would have a page that says what `--help` does.
    let mut program = Arguments::command().disable_help_subcommand(true);
    program.build();
    match &arguments.out {
        None => {
            let mut text = Vec::new();
            page(program).render(&mut text)?;
            print_exactly(String::from_utf8_lossy(&text))
        }
        Some(folder) => {
            fs::create_dir_all(folder)
                .with_context(|| format!("cannot make folder {}", folder.display()))?;
            let pages = write(&program, folder)?;
            let pages = count(pages, "page");
            print(format_args!("{pages} written to {}\n", folder.display()))
        }
    }
}

/// Writes the pages of a command and of all below it; says how many that were.
fn write(command: &Command, folder: &Path) -> Result<usize, Failure> {
    let page = page(command.clone());
    page.generate_to(folder).with_context(|| {
        let path = folder.join(page.get_filename());
        format!("cannot write {}", path.display())
    })?;
    command
        .get_subcommands()
        .try_fold(1, |pages, below| Ok(pages + write(below, folder)?))
}

/// A command's page. It names the program and its version, which commands have none of.
fn page(command: Command) -> Man {
    let source = concat!("flowgent-exporter ", env!("CARGO_PKG_VERSION"));
    Man::new(command).source(source).manual("flowgent-exporter")
}
