//! What is sent in a form that the receiver wants: templates of users, and presets.

/// A template that compiles.
#[derive(Debug, Clone)]
pub struct Template {
    // HOOKS
    _source: String,
}

/// A template for a well-known receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Preset {
    /// Slack's incoming webhooks.
    Slack,
    /// Discord's webhooks.
    Discord,
    /// Microsoft Teams' workflows: an adaptive card.
    Teams,
    /// PagerDuty's Events API v2.
    PagerDuty,
}

/// Why a text is no template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TemplateError {
    /// What is wrong, in a line.
    pub message: String,
    /// The line of the template, counted from 1.
    pub line: usize,
}

impl Template {
    /// Compiles `source`.
    ///
    /// # Errors
    /// It does not compile.
    pub fn new(_source: &str) -> Result<Self, TemplateError> {
        todo!()
    }

    /// The template of a preset.
    #[must_use]
    pub fn preset(_preset: Preset) -> Self {
        todo!()
    }
}
