//! Pure: pages that load themselves again, by a header, without a script.
//!
//! Browsers keep the place on the page then, but not what is typed into a form. So a page that somebody asked
//! for with a query, such as a search, stays as it is, and any page can be stopped by one.

/// Seconds to the next look while figures come in.
pub(super) const SOON: u32 = 5;
/// Seconds to the next look otherwise.
pub(super) const LATER: u32 = 300;

/// Refresh interval of a page: never if `query` is not empty.
pub(super) fn unless_asked(query: &str, seconds: u32) -> Option<u32> {
    query.is_empty().then_some(seconds)
}

/// The interval in words.
pub(super) fn words(seconds: u32) -> String {
    match (seconds / 60, seconds % 60) {
        (0, seconds) => format!("every {seconds} s"),
        (minutes, _) => format!("every {minutes} min"),
    }
}
