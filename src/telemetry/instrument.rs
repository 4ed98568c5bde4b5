//! Declaration of a set of instruments: a line each, whose help text is also its documentation.

use std::collections::HashMap;

use prometheus::core::Collector;
use prometheus::{
    CounterVec, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec,
    IntGauge, IntGaugeVec, Opts, Registry,
};

/// Declares a struct of instruments that implements [`Instruments`].
///
/// Each field is `name: Kind = "family", "help text"`, followed by `, ["label", …]` for a vector and by
/// `, BUCKETS` for a histogram.
macro_rules! instruments {
    (
        $(#[$meta:meta])*
        $vis:vis struct $set:ident {
            $($field:ident: $kind:ident = $name:literal, $help:literal
                $(, [$($label:literal),*])? $(, $buckets:ident)?;)*
        }
    ) => {
        $(#[$meta])*
        #[derive(Debug, Clone)]
        $vis struct $set {
            $(#[doc = $help] pub $field: prometheus::$kind,)*
        }

        impl $crate::telemetry::instrument::Instruments for $set {
            fn register(registry: &prometheus::Registry) -> Self {
                Self {
                    $($field: $crate::telemetry::instrument::Instrument::register(
                        $crate::telemetry::instrument::Family {
                            name: $name,
                            help: $help,
                            labels: &[$($($label),*)?],
                            buckets: $crate::telemetry::instrument::buckets(&[$($buckets)?]),
                        },
                        registry,
                    ),)*
                }
            }

            fn forget(&self, label: &str, value: &str) {
                $($crate::telemetry::instrument::Instrument::forget(&self.$field, label, value);)*
            }
        }
    };
}

pub(crate) use instruments;

/// A set of instruments, as the macro `instruments!` declares it.
pub trait Instruments: Clone + Send + Sync + 'static {
    /// Makes the instruments and registers them, once a registry.
    fn register(registry: &Registry) -> Self;

    /// Removes the series whose `label` has that value.
    fn forget(&self, label: &str, value: &str);
}

/// A family as it is declared.
#[derive(Debug, Clone, Copy)]
pub struct Family {
    /// Its whole name.
    pub name: &'static str,
    /// Its help text.
    pub help: &'static str,
    /// Its labels.
    pub labels: &'static [&'static str],
    /// The upper bounds of a histogram's buckets.
    pub buckets: &'static [f64],
}

impl Family {
    fn options(self) -> Opts {
        Opts::new(self.name, self.help)
    }

    fn histogram(self) -> HistogramOpts {
        HistogramOpts::from(self.options()).buckets(self.buckets.to_vec())
    }
}

/// The buckets of a family, none unless they are declared.
#[must_use]
pub fn buckets(declared: &[&'static [f64]]) -> &'static [f64] {
    declared.first().copied().unwrap_or_default()
}

/// A kind of instrument of the `prometheus` crate.
pub trait Instrument: Collector + Clone + 'static {
    /// Makes the instrument of `family`.
    ///
    /// # Errors
    /// The name or a label breaks the rules of Prometheus.
    fn make(family: Family) -> prometheus::Result<Self>;

    /// Removes the series whose `label` has that value, if it is a vector.
    fn forget(&self, _label: &str, _value: &str) {}

    /// Makes the instrument of `family` and registers it.
    ///
    /// # Panics
    /// The name or a label breaks the rules of Prometheus, or the name is registered already: both are
    /// constants.
    fn register(family: Family, registry: &Registry) -> Self {
        registered(Self::make(family), registry)
    }
}

/// Registers what was made of constants.
pub(super) fn registered<C: Collector + Clone + 'static>(
    made: prometheus::Result<C>,
    registry: &Registry,
) -> C {
    let collector = made.expect("names and labels are constants that satisfy the rules");
    registry
        .register(Box::new(collector.clone()))
        .expect("each name is registered once");
    collector
}

/// Makes each kind an [`Instrument`] by the expression behind it.
macro_rules! kinds {
    ($($kind:ident: |$family:ident| $made:expr;)*) => {
        $(impl Instrument for $kind {
            fn make($family: Family) -> prometheus::Result<Self> {
                $made
            }
        })*
    };
}

kinds! {
    Gauge: |family| Self::with_opts(family.options());
    IntGauge: |family| Self::with_opts(family.options());
    IntCounter: |family| Self::with_opts(family.options());
    Histogram: |family| Self::with_opts(family.histogram());
}

/// The same for vectors, by their options.
macro_rules! vectors {
    ($($kind:ident: $options:ident;)*) => {
        $(impl Instrument for $kind {
            fn make(family: Family) -> prometheus::Result<Self> {
                Self::new(family.$options(), family.labels)
            }

            fn forget(&self, label: &str, value: &str) {
                for family in self.collect() {
                    for metric in family.get_metric() {
                        let labels = metric.get_label().iter();
                        let labels: HashMap<&str, &str> =
                            labels.map(|label| (label.name(), label.value())).collect();
                        if labels.get(label) == Some(&value) {
                            // An error means that it is gone already.
                            let _ = self.remove(&labels);
                        }
                    }
                }
            }
        })*
    };
}

vectors! {
    CounterVec: options;
    GaugeVec: options;
    HistogramVec: histogram;
    IntCounterVec: options;
    IntGaugeVec: options;
}
