//! Pure: what a client says that it accepts → what it gets.
//!
//! Sources: RFC 9110, section 12.5, and Prometheus' page on scrape protocol content negotiation. A
//! client that accepts nothing we have gets Prometheus' text format: a scrape should not fail for
//! the wording of a header.

use std::cmp::Reverse;
use std::fmt;

use super::text::Format;

/// A text format, its version and how names are escaped: the content of a `Content-Type` header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MediaType {
    /// The format.
    pub format: Format,
    version: &'static str,
    /// Named only if the client did. Our names need no escaping, so that every scheme is kept to.
    escaping: Option<&'static str>,
}

/// Coding of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// As it is.
    Identity,
    /// Compressed by gzip.
    Gzip,
}

/// Formats on offer, the best first. The two versions of OpenMetrics are the same for our families.
const OFFERS: [(Format, &str); 3] = [
    (Format::Text, "0.0.4"),
    (Format::OpenMetrics, "1.0.0"),
    (Format::OpenMetrics, "0.0.1"),
];

/// The schemes that a client may ask for by the parameter `escaping`.
const ESCAPINGS: [&str; 4] = ["allow-utf-8", "underscores", "dots", "values"];

impl MediaType {
    /// The type that answers the `Accept` header `accept`.
    #[must_use]
    pub fn negotiate(accept: &str) -> Self {
        let ranges: Vec<Element<'_>> = elements(accept).collect();
        let candidate = |(offered, (format, version)): (usize, &(Format, &'static str))| {
            // The range that fits closest decides, and of two that fit alike the first.
            let (precision, Reverse(listed)) = ranges
                .iter()
                .enumerate()
                .filter_map(|(at, range)| Some((range.precision(*format, version)?, Reverse(at))))
                .max()?;
            let range = &ranges[listed];
            let media_type = Self {
                format: *format,
                version,
                escaping: ESCAPINGS
                    .into_iter()
                    .find(|known| range.parameter("escaping") == Some(known)),
            };
            let rank = (range.weight, precision, Reverse(listed), Reverse(offered));
            (range.weight > 0).then_some((rank, media_type))
        };
        OFFERS
            .iter()
            .enumerate()
            .filter_map(candidate)
            .max_by_key(|(rank, _)| *rank)
            .map_or(Self::PLAIN, |(_, media_type)| media_type)
    }

    const PLAIN: Self = Self {
        format: Format::Text,
        version: "0.0.4",
        escaping: None,
    };
}

impl fmt::Display for MediaType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, _) = names(self.format);
        write!(f, "{name}; version={}; charset=utf-8", self.version)?;
        match self.escaping {
            Some(escaping) => write!(f, "; escaping={escaping}"),
            None => Ok(()),
        }
    }
}

/// The media type of a format, and the range of all of its kind.
const fn names(format: Format) -> (&'static str, &'static str) {
    match format {
        Format::Text => ("text/plain", "text/*"),
        Format::OpenMetrics => ("application/openmetrics-text", "application/*"),
    }
}

/// An element of a header such as `Accept`.
#[derive(Clone, Copy)]
struct Element<'a> {
    name: &'a str,
    /// Parameters that mean nothing here are passed over.
    parameters: &'a str,
    /// Thousandths, 0 to 1000.
    weight: u16,
}

/// The elements of a header, but for those whose weight is no number from 0 to 1.
fn elements(header: &str) -> impl Iterator<Item = Element<'_>> {
    header.split(',').filter_map(|text| {
        let (name, parameters) = text.split_once(';').unwrap_or((text, ""));
        let mut element = Element {
            name: name.trim(),
            parameters,
            weight: 1000,
        };
        if let Some(weight) = element.parameter("q") {
            let weight: f32 = weight.parse().ok()?;
            let is_valid = (0.0..=1.0).contains(&weight);
            element.weight = is_valid.then(|| (weight * 1000.0).round() as u16)?;
        }
        Some(element)
    })
}

/// The weight, in thousandths, that a header such as `Accept` gives to the first of `names` that it has, in any case; 0
/// if it has none of them.
#[must_use]
pub fn weight(header: &str, names: &[&str]) -> u16 {
    let listed = |name: &&str| elements(header).find(|element| element.is(name));
    names
        .iter()
        .find_map(listed)
        .map_or(0, |element| element.weight)
}

impl<'a> Element<'a> {
    fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    fn parameter(&self, wanted: &str) -> Option<&'a str> {
        let mut pairs = self
            .parameters
            .split(';')
            .filter_map(|pair| pair.split_once('='));
        pairs.find_map(|(name, value)| {
            let is_wanted = name.trim().eq_ignore_ascii_case(wanted);
            is_wanted.then(|| value.trim().trim_matches('"'))
        })
    }

    /// Closeness of the element to an offer, if it fits.
    fn precision(&self, format: Format, version: &str) -> Option<u8> {
        let (name, all) = names(format);
        match self.parameter("version") {
            _ if self.is("*/*") => Some(0),
            _ if self.is(all) => Some(1),
            None if self.is(name) => Some(2),
            Some(wanted) if self.is(name) && wanted == version => Some(3),
            _ => None,
        }
    }
}

impl Encoding {
    /// The coding that answers the `Accept-Encoding` header `accept`, empty if there is none.
    #[must_use]
    pub fn negotiate(accept: &str) -> Self {
        match weight(accept, &["gzip", "x-gzip", "*"]) {
            gzip if gzip > 0 && gzip >= weight(accept, &["identity"]) => Self::Gzip,
            _ => Self::Identity,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
    const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    const OPENMETRICS_0_0_1: &str = "application/openmetrics-text; version=0.0.1; charset=utf-8";
    const OPENMETRICS_UTF_8: &str =
        "application/openmetrics-text; version=1.0.0; charset=utf-8; escaping=allow-utf-8";

    #[test]
    fn what_scrapers_send_gets_what_they_like_best() {
        for (accept, expected) in [
            // Prometheus 2.
            (
                "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                OPENMETRICS,
            ),
            // Prometheus 2 before 2.41.
            (
                "application/openmetrics-text; version=0.0.1,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
                OPENMETRICS_0_0_1,
            ),
            // Prometheus 3.
            (
                "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                OPENMETRICS_UTF_8,
            ),
            // Prometheus 3 with native histograms.
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                OPENMETRICS_UTF_8,
            ),
            // Prometheus 3 told to scrape text 0.0.4 only, with the old escaping.
            (
                "text/plain;version=0.0.4;escaping=underscores;q=0.6,*/*;q=0.5",
                "text/plain; version=0.0.4; charset=utf-8; escaping=underscores",
            ),
            // A browser, and curl.
            (
                "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8",
                TEXT,
            ),
            ("*/*", TEXT),
        ] {
            assert_eq!(
                MediaType::negotiate(accept).to_string(),
                expected,
                "{accept}"
            );
        }
    }

    #[test]
    fn the_accept_header_is_read_as_the_rfc_says() {
        for (accept, expected) in [
            ("", TEXT),
            ("application/openmetrics-text", OPENMETRICS),
            (
                "Application/OpenMetrics-Text ; Version=\"1.0.0\" ; Q=0.1",
                OPENMETRICS,
            ),
            ("application/*", OPENMETRICS),
            ("text/*", TEXT),
            (
                "application/openmetrics-text;version=1.0.0,*/*",
                OPENMETRICS,
            ),
            ("application/openmetrics-text;q=0.2,text/plain;q=0.3", TEXT),
            ("application/openmetrics-text;q=0,*/*;q=0.1", TEXT),
            // Nothing that we have: text all the same.
            ("application/openmetrics-text;version=2.0.0", TEXT),
            ("application/openmetrics-text;q=0", TEXT),
            ("text/plain;version=1.0.0", TEXT),
            ("application/json", TEXT),
            ("text/plain;version=0.0.4;q=0", TEXT),
            // Weights that are none.
            ("application/openmetrics-text;q=NaN", TEXT),
            ("application/openmetrics-text;q=2", TEXT),
            ("application/openmetrics-text;q=", TEXT),
            // Not headers at all.
            (";;,=,/,q=1,*", TEXT),
            (
                "application/openmetrics-text;version=1.0.0;escaping=<x>",
                OPENMETRICS,
            ),
        ] {
            assert_eq!(
                MediaType::negotiate(accept).to_string(),
                expected,
                "{accept}"
            );
        }
    }

    #[test]
    fn gzip_is_sent_to_those_who_take_it() {
        for (accept, expected) in [
            ("gzip", Encoding::Gzip),
            ("GZIP", Encoding::Gzip),
            ("x-gzip", Encoding::Gzip),
            ("*", Encoding::Gzip),
            ("deflate, gzip;q=0.5, br", Encoding::Gzip),
            ("gzip ; q=0.001", Encoding::Gzip),
            ("gzip;q=1, identity;q=0", Encoding::Gzip),
            ("", Encoding::Identity),
            ("identity", Encoding::Identity),
            ("gzip;q=0", Encoding::Identity),
            ("gzip;q=0.000, *", Encoding::Identity),
            ("gzip;q=0.5, identity", Encoding::Identity),
            ("*;q=0", Encoding::Identity),
            ("gzip;q=much", Encoding::Identity),
            ("br, zstd", Encoding::Identity),
        ] {
            assert_eq!(Encoding::negotiate(accept), expected, "{accept}");
        }
    }
}
