//! The program: parses the command line, runs the command, and alone knows exit codes.

use std::process::ExitCode;

use flowgent_exporter::cli::{self, Failure};
use flowgent_exporter::text::visible;

fn main() -> ExitCode {
    match cli::run(cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let (code, message) = match failure {
                Failure::Failed(error) => {
                    let text = format!("error: {error:#}");
                    (1, visible(&text).into_owned())
                }
                Failure::Usage(message) => (2, message),
                // What went wrong has been printed.
                Failure::Told => (1, String::new()),
            };
            if !message.is_empty() {
                eprintln!("{message}");
            }
            ExitCode::from(code)
        }
    }
}
