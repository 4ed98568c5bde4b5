//! The two text formats, sample by sample: Prometheus' text format 0.0.4 and OpenMetrics 1.0.0.
//!
//! Sources: <https://prometheus.io/docs/instrumenting/exposition_formats/> and the OpenMetrics 1.0
//! specification. The samples of the usage families are the same in both; what differs is the lines
//! above a family, the bounds of histograms and the end.

use prometheus::proto::{LabelPair, MetricFamily, MetricType};

use super::names::{Family, Kind};

/// A text format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Format {
    /// Prometheus' text format, version 0.0.4.
    Text,
    /// OpenMetrics 1.0.0.
    OpenMetrics,
}

impl Format {
    /// Both formats, in the order of their numbers.
    pub(super) const ALL: [Self; 2] = [Self::Text, Self::OpenMetrics];

    /// Last line of a document.
    pub(super) const fn end(self) -> &'static str {
        match self {
            Self::Text => "",
            Self::OpenMetrics => "# EOF\n",
        }
    }
}

/// The units that a family's name may end in, all of them base units or things that are counted.
const UNITS: [&str; 5] = ["bytes", "credits", "days", "ratio", "seconds"];

/// Writes the lines above the samples of a family of usage series.
pub(crate) fn write_header(out: &mut Vec<u8>, format: Format, family: &Family) {
    let kind = match family.kind {
        Kind::Counter => "counter",
        Kind::Gauge => "gauge",
    };
    write_descriptors(out, format, family.name, kind, family.help);
}

/// Writes HELP, TYPE and, in OpenMetrics, the unit if the name ends in one.
fn write_descriptors(out: &mut Vec<u8>, format: Format, name: &str, kind: &str, help: &str) {
    // To OpenMetrics, `_total` is a suffix of the sample and no part of the family's name.
    let name = match (format, kind) {
        (Format::OpenMetrics, "counter") => name.strip_suffix("_total").unwrap_or(name),
        _ => name,
    };
    push_all(out, &["# HELP ", name, " "]);
    write_escaped(out, help, format == Format::OpenMetrics);
    push_all(out, &["\n# TYPE ", name, " ", kind, "\n"]);
    let unit = name.rsplit_once('_').map(|(_, unit)| unit);
    if let Some(unit) = unit.filter(|unit| format == Format::OpenMetrics && UNITS.contains(unit)) {
        push_all(out, &["# UNIT ", name, " ", unit, "\n"]);
    }
}

/// Writes a label, `name="value"`, without braces or commas.
pub(crate) fn write_label(out: &mut Vec<u8>, name: &str, value: &str) {
    push_all(out, &[name, "=\""]);
    write_escaped(out, value, true);
    out.push(b'"');
}

/// Writes `text` with backslashes, line feeds and, if asked to, quotes escaped.
fn write_escaped(out: &mut Vec<u8>, text: &str, quotes: bool) {
    let mut rest = text.as_bytes();
    let special = |byte: &u8| matches!(byte, b'\\' | b'\n') || (quotes && *byte == b'"');
    while let Some(at) = rest.iter().position(special) {
        out.extend_from_slice(&rest[..at]);
        out.push(b'\\');
        out.push(if rest[at] == b'\n' { b'n' } else { rest[at] });
        rest = &rest[at + 1..];
    }
    out.extend_from_slice(rest);
}

/// Writes the shortest text that reads back as `value`; integers have neither point nor exponent.
pub(crate) fn write_value(out: &mut Vec<u8>, value: f64) {
    /// Up to this magnitude every integer is a float of its own.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if value.trunc() == value && value.abs() < EXACT {
        let integer = value as i64;
        out.extend_from_slice(itoa::Buffer::new().format(integer).as_bytes());
    } else if value.is_finite() {
        out.extend_from_slice(zmij::Buffer::new().format_finite(value).as_bytes());
    } else if value.is_nan() {
        out.extend_from_slice(b"NaN");
    } else {
        out.extend_from_slice(if value > 0.0 { b"+Inf" } else { b"-Inf" });
    }
}

/// Writes the bound of a histogram's bucket. OpenMetrics wants it to look like a float, `1.0`.
fn write_bound(out: &mut Vec<u8>, format: Format, bound: f64) {
    let start = out.len();
    write_value(out, bound);
    let is_integer = out[start..].iter().all(u8::is_ascii_digit);
    if format == Format::OpenMetrics && is_integer {
        out.extend_from_slice(b".0");
    }
}

/// Writes the exporter's own telemetry, all of it: descriptors and samples.
pub(super) fn write_telemetry(out: &mut Vec<u8>, format: Format, families: &[MetricFamily]) {
    for family in families {
        let name = family.name();
        let kind = match family.get_field_type() {
            MetricType::COUNTER => "counter",
            MetricType::GAUGE => "gauge",
            MetricType::HISTOGRAM => "histogram",
            // No instrument of ours makes these two.
            MetricType::SUMMARY | MetricType::UNTYPED => continue,
        };
        write_descriptors(out, format, name, kind, family.help());
        for metric in family.get_metric() {
            let labels = metric.get_label();
            match family.get_field_type() {
                MetricType::COUNTER => {
                    write_sample(out, [name, ""], labels, metric.get_counter().get_value());
                }
                MetricType::GAUGE => {
                    write_sample(out, [name, ""], labels, metric.get_gauge().get_value());
                }
                _ => write_histogram(out, format, name, metric),
            }
        }
    }
}

fn write_histogram(
    out: &mut Vec<u8>,
    format: Format,
    name: &str,
    metric: &prometheus::proto::Metric,
) {
    let (labels, histogram) = (metric.get_label(), metric.get_histogram());
    let count = histogram.get_sample_count();
    let buckets = histogram.get_bucket().iter();
    let buckets = buckets.map(|bucket| (bucket.upper_bound(), bucket.cumulative_count()));
    for (bound, count) in buckets.chain([(f64::INFINITY, count)]) {
        push_all(out, &[name, "_bucket{"]);
        for label in labels {
            write_label(out, label.name(), label.value());
            out.push(b',');
        }
        out.extend_from_slice(b"le=\"");
        write_bound(out, format, bound);
        out.extend_from_slice(b"\"} ");
        write_value(out, count as f64);
        out.push(b'\n');
    }
    write_sample(out, [name, "_sum"], labels, histogram.get_sample_sum());
    write_sample(out, [name, "_count"], labels, count as f64);
}

/// Writes one line; the name comes in two parts.
fn write_sample(out: &mut Vec<u8>, name: [&str; 2], labels: &[LabelPair], value: f64) {
    push_all(out, &name);
    for (index, label) in labels.iter().enumerate() {
        out.push(if index == 0 { b'{' } else { b',' });
        write_label(out, label.name(), label.value());
    }
    out.extend_from_slice(if labels.is_empty() { b" " } else { b"} " });
    write_value(out, value);
    out.push(b'\n');
}

fn push_all(out: &mut Vec<u8>, parts: &[&str]) {
    for part in parts {
        out.extend_from_slice(part.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use prometheus::{CounterVec, Histogram, HistogramOpts, IntGauge, Opts, Registry};

    use super::*;

    fn value(value: f64) -> String {
        let mut out = Vec::new();
        write_value(&mut out, value);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn values_are_the_shortest_text_that_reads_back() {
        for (number, text) in [
            (0.0, "0"),
            (-0.0, "0"),
            (5.0, "5"),
            (-3.0, "-3"),
            (0.1 + 0.2, "0.30000000000000004"),
            (2.5, "2.5"),
            (1_795_392_600.25, "1795392600.25"),
            (9_007_199_254_740_991.0, "9007199254740991"),
            (f64::INFINITY, "+Inf"),
            (f64::NEG_INFINITY, "-Inf"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(value(number), text);
        }
        for number in [1e-7, 1e16, 1.7e308, 5e-324, 123_456.789] {
            assert_eq!(value(number).parse(), Ok(number));
        }
    }

    #[test]
    fn label_values_are_escaped() {
        let mut out = Vec::new();
        write_label(&mut out, "agent", "a \"b\" \\ c\nd é");
        assert_eq!(
            String::from_utf8(out).unwrap(),
            r#"agent="a \"b\" \\ c\nd é""#
        );
    }

    fn telemetry(format: Format) -> String {
        let registry = Registry::new();
        let counter = CounterVec::new(
            Opts::new("waits_seconds_total", "Waits \"x\"\\\n."),
            &["account", "z"],
        )
        .unwrap();
        counter.with_label_values(&["a\"b", "1"]).inc_by(2.5);
        let gauge = IntGauge::new("size_bytes", "Size.").unwrap();
        gauge.set(7);
        let histogram = Histogram::with_opts(
            HistogramOpts::new("took_seconds", "Took.").buckets(vec![0.5, 1.0]),
        )
        .unwrap();
        histogram.observe(0.75);
        registry.register(Box::new(counter)).unwrap();
        registry.register(Box::new(gauge)).unwrap();
        registry.register(Box::new(histogram)).unwrap();
        let mut out = Vec::new();
        write_telemetry(&mut out, format, &registry.gather());
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn telemetry_is_written_as_text() {
        let expected = r#"# HELP size_bytes Size.
# TYPE size_bytes gauge
size_bytes 7
# HELP took_seconds Took.
# TYPE took_seconds histogram
took_seconds_bucket{le="0.5"} 0
took_seconds_bucket{le="1"} 1
took_seconds_bucket{le="+Inf"} 1
took_seconds_sum 0.75
took_seconds_count 1
# HELP waits_seconds_total Waits "x"\\\n.
# TYPE waits_seconds_total counter
waits_seconds_total{account="a\"b",z="1"} 2.5
"#;
        assert_eq!(telemetry(Format::Text), expected);
    }

    #[test]
    fn telemetry_is_written_as_openmetrics() {
        let expected = r#"# HELP size_bytes Size.
# TYPE size_bytes gauge
# UNIT size_bytes bytes
size_bytes 7
# HELP took_seconds Took.
# TYPE took_seconds histogram
# UNIT took_seconds seconds
took_seconds_bucket{le="0.5"} 0
took_seconds_bucket{le="1.0"} 1
took_seconds_bucket{le="+Inf"} 1
took_seconds_sum 0.75
took_seconds_count 1
# HELP waits_seconds Waits \"x\"\\\n.
# TYPE waits_seconds counter
# UNIT waits_seconds seconds
waits_seconds_total{account="a\"b",z="1"} 2.5
"#;
        assert_eq!(telemetry(Format::OpenMetrics), expected);
    }
}
