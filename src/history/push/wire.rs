//! Remote write, version 1.0, as it travels: protobuf in a block of snappy. Only what history is made of
//! is here; the whole definition is `prompb/remote.proto` of Prometheus.

use prost::Message;

use super::batch::Batch;
use crate::history::{SERIES, Target};
use crate::roster::Agent;

/// Body of a request.
#[derive(Clone, PartialEq, Message)]
pub(super) struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    pub(super) timeseries: Vec<TimeSeries>,
}

/// A series with some of its samples.
#[derive(Clone, PartialEq, Message)]
pub(super) struct TimeSeries {
    /// Sorted by their names, which is all that the specification says about them.
    #[prost(message, repeated, tag = "1")]
    pub(super) labels: Vec<Label>,
    /// In the order of their time.
    #[prost(message, repeated, tag = "2")]
    pub(super) samples: Vec<Sample>,
}

/// A label.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Label {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) value: String,
}

/// A value at an instant.
#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Sample {
    #[prost(double, tag = "1")]
    pub(super) value: f64,
    /// Milliseconds since 1970.
    #[prost(int64, tag = "2")]
    pub(super) timestamp: i64,
}

/// The labels of an agent's series, sorted by their names.
pub(super) fn labels<'a>(agent: &'a Agent, target: &'a Target) -> [(&'static str, &'a str); 5] {
    [
        ("__name__", SERIES),
        ("account", &agent.account),
        ("agent", &agent.name),
        ("instance", &target.instance),
        ("job", &target.job),
    ]
}

/// The body of a request that writes `batch`.
pub(super) fn body(batch: &Batch, target: &Target) -> Vec<u8> {
    let timeseries = batch.iter().map(|part| TimeSeries {
        labels: labels(&part.member.agent, target)
            .map(|(name, value)| Label {
                name: name.to_owned(),
                value: value.to_owned(),
            })
            .into(),
        samples: part
            .samples
            .iter()
            .map(|sample| Sample {
                value: sample.credits,
                timestamp: sample.at_ms,
            })
            .collect(),
    });
    let request = WriteRequest {
        timeseries: timeseries.collect(),
    };
    snap::raw::Encoder::new()
        .compress_vec(&request.encode_to_vec())
        .expect("a batch is far smaller than the 4 GiB that a block of snappy can hold")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::push::batch::tests::part;

    #[test]
    fn a_batch_is_what_the_specification_says() {
        let target = Target {
            job: "flowgent".to_owned(),
            instance: "host:13569".to_owned(),
        };
        let body = body(&vec![part("support", &[(0, 5.0), (1, 6.25)])], &target);
        let plain = snap::raw::Decoder::new().decompress_vec(&body).unwrap();
        // By hand: field 1 of the request is a series; of a series, 1 is a label and 2 a sample; of a
        // label, 1 and 2 are texts; of a sample, 1 is a double and 2 an integer of variable length.
        let text = |field: u8, text: &str| {
            let length = u8::try_from(text.len()).unwrap();
            [&[field << 3 | 2, length], text.as_bytes()].concat()
        };
        let nested = |field: u8, inner: Vec<u8>| {
            let length = u8::try_from(inner.len()).unwrap();
            [vec![field << 3 | 2, length], inner].concat()
        };
        let label = |name: &str, value: &str| nested(1, [text(1, name), text(2, value)].concat());
        let sample = |value: f64, varint: &[u8]| {
            let double = [&[1 << 3 | 1], &value.to_le_bytes()[..]].concat();
            nested(2, [double, [&[2 << 3], varint].concat()].concat())
        };
        let series = [
            label("__name__", "flowgent_agent_previous_day_credits"),
            label("account", "acme"),
            label("agent", "support"),
            label("instance", "host:13569"),
            label("job", "flowgent"),
            // 1772452800000 and 1772495999901, seven bits at a time, the lowest first.
            sample(5.0, &varint(1_772_452_800_000)),
            sample(6.25, &varint(1_772_495_999_901)),
        ]
        .concat();
        let length = varint(series.len() as u64);
        assert_eq!(plain, [vec![1 << 3 | 2], length, series].concat());
    }

    fn varint(mut number: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        while number >= 0x80 {
            bytes.push((number & 0x7f) as u8 | 0x80);
            number >>= 7;
        }
        bytes.push(number as u8);
        bytes
    }
}
