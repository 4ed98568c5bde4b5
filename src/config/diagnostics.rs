//! Problems of a config file, each shown at its place: file, line, column, the line itself and a
//! caret. Secrets are masked before a line is kept, so that nothing later can show them.

use std::fmt;
use std::ops::Range;
use std::path::Path;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use crate::files::FileError;
use crate::nearest::nearest;
use crate::protection::WebConfigError;

/// Number of problems that are shown; the rest is counted.
const MAX_SHOWN: usize = 50;

/// Text in the place of a secret.
const MASK: &str = "…";

/// Why there is no config.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The web config that the command line names is not usable.
    #[error("{0}")]
    Web(#[from] WebConfigError),
    /// The text breaks rules.
    #[error("{0}")]
    Invalid(Problems),
}

impl ConfigError {
    /// The whole report: every problem with its place, its line and a caret, over many lines.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        match self {
            Self::Invalid(problems) => problems.render(colour),
            other => format!("error: {other}"),
        }
    }

    /// One line for a log: the first problem's place and message, and how many more there are.
    #[must_use]
    pub fn summary(&self) -> String {
        match self {
            Self::Invalid(problems) => problems.summary(),
            other => other.to_string(),
        }
    }
}

/// All problems of one text: at least one, in the order of their places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    path: String,
    problems: Vec<Problem>,
    /// Number of problems that are not kept.
    further: usize,
}

/// One problem, with its line as it may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Problem {
    message: String,
    help: Option<String>,
    /// Line and column of the place in the file, counted from 1, in characters.
    line: usize,
    column: usize,
    /// The line with its secrets masked, and the bytes of it that the caret points at.
    shown: String,
    caret: Range<usize>,
}

/// Fault of a value, and advice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) message: String,
    pub(super) help: Option<String>,
}

impl Fault {
    pub(super) fn new(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            help: None,
        }
    }

    /// Says what to do about it, unless that is empty.
    pub(super) fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into()).filter(|help| !help.is_empty());
        self
    }

    /// Suggests the word of those `known` that was probably meant by `word`, or else helps as it is said.
    pub(super) fn near(self, word: &str, known: &[&str], otherwise: impl Into<String>) -> Self {
        self.help(match nearest(word, known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => otherwise.into(),
        })
    }

    /// The fault and what to do about it, in a line.
    pub(super) fn line(&self) -> String {
        let help = self.help.as_ref().map(|help| format!("; {help}"));
        self.message.clone() + &help.unwrap_or_default()
    }
}

/// A fault and the bytes of the text where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) place: Range<usize>,
    pub(super) fault: Fault,
}

impl Problems {
    /// The `findings` in `text`, whose `secrets` are byte ranges that are never shown.
    pub(super) fn new(
        path: &Path,
        text: &str,
        secrets: &[Range<usize>],
        mut findings: Vec<Finding>,
    ) -> Self {
        findings.sort_by_key(|finding| finding.place.start);
        Self {
            path: path.display().to_string(),
            further: findings.len().saturating_sub(MAX_SHOWN),
            problems: findings
                .into_iter()
                .take(MAX_SHOWN)
                .map(|finding| Problem::new(text, secrets, finding))
                .collect(),
        }
    }

    fn render(&self, colour: bool) -> String {
        let renderer = if colour {
            Renderer::styled().hyperlink(false)
        } else {
            Renderer::plain()
        };
        let mut reports: Vec<_> = self
            .problems
            .iter()
            .map(|problem| renderer.render(&[problem.report(&self.path)]))
            .collect();
        if self.further > 0 {
            let more = Level::ERROR.primary_title(format!("{} more problems", self.further));
            reports.push(renderer.render(&[Group::with_title(more)]));
        }
        reports.join("\n\n")
    }

    fn summary(&self) -> String {
        let Some(first) = self.problems.first() else {
            return self.path.clone();
        };
        let place = format!(
            "{}:{}:{}: {}",
            self.path, first.line, first.column, first.message
        );
        match self.problems.len() - 1 + self.further {
            0 => place,
            1 => format!("{place} (and 1 more problem)"),
            more => format!("{place} (and {more} more problems)"),
        }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl Problem {
    fn new(text: &str, secrets: &[Range<usize>], finding: Finding) -> Self {
        let Finding { place, fault } = finding;
        // A place is where a parser stopped: hold it to the text and to whole characters.
        let start = text.floor_char_boundary(place.start.min(text.len()));
        let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
        let line_end = text[start..]
            .find('\n')
            .map_or(text.len(), |newline| start + newline);
        let end = text.ceil_char_boundary(place.end.clamp(start, line_end));
        let masked = MaskedLine::new(text, line_start..line_end, secrets);
        let caret = masked.position(start)..masked.position(end);
        Self {
            message: fault.message,
            help: fault.help,
            line: text[..line_start].matches('\n').count() + 1,
            column: text[line_start..start].chars().count() + 1,
            shown: masked.text,
            caret,
        }
    }

    fn report<'a>(&'a self, path: &'a str) -> Group<'a> {
        let snippet = Snippet::source(self.shown.as_str())
            .line_start(self.line)
            .annotation(AnnotationKind::Primary.span(self.caret.clone()));
        let group = Level::ERROR.primary_title(self.message.as_str());
        // The renderer counts the column in the line that it is given; where something before the
        // place is masked, that is not the file's.
        let shown_column = self.shown[..self.caret.start].chars().count() + 1;
        let group = if shown_column == self.column {
            group.element(snippet.path(path))
        } else {
            group
                .element(Origin::path(path).line(self.line).char_column(self.column))
                .element(snippet)
        };
        match &self.help {
            Some(help) => group.element(Level::HELP.message(help.as_str())),
            None => group,
        }
    }
}

/// A line of the text without its secrets.
struct MaskedLine {
    text: String,
    /// Pieces of the line as they stand in the file, and where each begins in `text`, ascending.
    pieces: Vec<(Range<usize>, usize)>,
}

impl MaskedLine {
    fn new(source: &str, line: Range<usize>, secrets: &[Range<usize>]) -> Self {
        let mut masked = Self {
            text: String::new(),
            pieces: Vec::new(),
        };
        let mut hidden: Vec<_> = secrets
            .iter()
            .map(|secret| secret.start.max(line.start)..secret.end.min(line.end))
            .filter(|secret| secret.start < secret.end)
            .collect();
        hidden.sort_by_key(|secret| secret.start);
        let mut at = line.start;
        for secret in hidden {
            // Secrets may overlap: a table and a value in it.
            if secret.end <= at {
                continue;
            }
            masked.keep(source, at..secret.start.max(at));
            masked.text.push_str(MASK);
            at = secret.end;
        }
        masked.keep(source, at..line.end);
        masked
            .text
            .truncate(masked.text.trim_end_matches('\r').len());
        masked
    }

    fn keep(&mut self, source: &str, piece: Range<usize>) {
        self.pieces.push((piece.clone(), self.text.len()));
        self.text.push_str(&source[piece]);
    }

    /// Present place of the byte `offset` of the source; that of a hidden one is its mask.
    fn position(&self, offset: usize) -> usize {
        let position = self
            .pieces
            .iter()
            .rev()
            .find(|(piece, _)| piece.start <= offset)
            .map_or(0, |(piece, begin)| {
                begin + offset.min(piece.end) - piece.start
            });
        position.min(self.text.len())
    }
}

#[cfg(test)]
#[allow(
    clippy::single_range_in_vec_init,
    reason = "these are lists of places, of which there may be one"
)]
mod tests {
    use super::*;

    fn problems(text: &str, secrets: &[Range<usize>], places: &[Range<usize>]) -> Problems {
        let findings = places
            .iter()
            .map(|place| Finding {
                place: place.clone(),
                fault: Fault::new(format!("problem at {}", place.start)),
            })
            .collect();
        Problems::new(Path::new("config.toml"), text, secrets, findings)
    }

    #[test]
    fn a_problem_is_shown_at_its_place() {
        let text = "[server]\r\nlisten = [\"ä\", 5]\r\n";
        assert_eq!(
            problems(text, &[], &[26..27]).to_string(),
            "error: problem at 26
 --> config.toml:2:16
  |
2 | listen = [\"ä\", 5]
  |                ^"
        );
    }

    #[test]
    fn problems_stand_in_the_order_of_their_places() {
        let problems = problems("a\nb\nc\n", &[], &[4..5, 0..1, 6..6]);
        assert_eq!(
            problems.summary(),
            "config.toml:1:1: problem at 0 (and 2 more problems)"
        );
        assert_eq!(
            problems
                .problems
                .iter()
                .map(|problem| problem.line)
                .collect::<Vec<_>>(),
            [1, 3, 4]
        );
    }

    #[test]
    fn a_secret_is_masked_and_the_caret_still_fits() {
        let text = "account = [{ key = \"canary\", nome = \"x\" }]";
        assert_eq!(
            problems(text, &[20..26, 22..24], &[29..33]).to_string(),
            "error: problem at 29
 --> config.toml:1:30
  |
 ::: 
1 | account = [{ key = \"…\", nome = \"x\" }]
  |                         ^^^^"
        );
        let shown = problems(text, &[20..26], &[22..30]);
        assert!(!format!("{shown:?}").contains("canary"));
        assert_eq!(shown.problems[0].caret, 20..27);
    }

    #[test]
    fn a_secret_over_many_lines_is_masked_on_each() {
        let text = "key = \"\"\"\ncanary\n\"\"\"\n";
        let shown = problems(text, &[6..20], &[0..3, 11..13]);
        assert_eq!(shown.problems[0].shown, "key = …");
        assert_eq!(shown.problems[1].shown, "…");
    }

    #[test]
    fn any_place_can_be_shown() {
        let text = "ä = 1\r\n\r\nb";
        for start in 0..=text.len() + 2 {
            for end in 0..=text.len() + 2 {
                let _ = problems(text, &[3..9], &[start..end]).to_string();
            }
        }
    }
}
