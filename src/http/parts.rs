//! Long answers, made part by part while they are sent: nobody has all of one in memory, and what the client does
//! not take is not made.

use std::fmt;
use std::io::Write;
use std::pin::Pin;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream::{self, Stream, StreamExt};

use super::gate::Place;
use super::problem::Problem;
use crate::blocking;
use crate::exposition::Encoding;

/// The parts of a text, in order. After a problem there are no more.
pub(crate) type Parts = Pin<Box<dyn Stream<Item = Result<Bytes, Problem>> + Send>>;

/// Parts to send, or a sign that one could not be made.
pub(crate) type Sending = Pin<Box<dyn Stream<Item = Result<Bytes, BrokenOff>> + Send>>;

/// A part could not be made, and the head of the answer is sent: the connection ends without the mark by which a
/// client knows that all has come.
#[derive(Debug)]
pub(crate) struct BrokenOff;

impl fmt::Display for BrokenOff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a part of the answer could not be made")
    }
}

impl std::error::Error for BrokenOff {}

/// Sends `parts` in that encoding. Each is made when `place` has its turn.
pub(crate) fn sending(parts: Parts, encoding: Encoding, place: Option<Place>) -> Sending {
    let encoder = match encoding {
        Encoding::Gzip => Some(GzEncoder::new(Vec::new(), Compression::default())),
        Encoding::Identity => None,
    };
    let sender = Sender {
        parts: Some(parts),
        encoder,
        place,
    };
    Box::pin(stream::unfold(sender, |mut sender| async {
        let part = sender.next().await?;
        Some((part, sender))
    }))
}

struct Sender {
    /// None once all were taken.
    parts: Option<Parts>,
    encoder: Option<GzEncoder<Vec<u8>>>,
    place: Option<Place>,
}

impl Sender {
    async fn next(&mut self) -> Option<Result<Bytes, BrokenOff>> {
        if let Some(place) = &mut self.place {
            place.turn().await;
        }
        let made = self.make().await;
        if let Some(place) = &mut self.place {
            place.rest();
        }
        made
    }

    /// The next bytes: those of a part, or what has come out of compressing as many as that took.
    async fn make(&mut self) -> Option<Result<Bytes, BrokenOff>> {
        loop {
            let part = match self.parts.as_mut()?.next().await {
                Some(Ok(part)) => Some(part),
                // It was logged where it was met.
                Some(Err(_)) => {
                    self.parts = None;
                    return Some(Err(BrokenOff));
                }
                None => None,
            };
            if part.is_none() {
                self.parts = None;
            }
            let Some(encoder) = self.encoder.take() else {
                return part.map(Ok);
            };
            let (bytes, encoder) = blocking::run(move || compress(encoder, part)).await;
            self.encoder = encoder;
            if !bytes.is_empty() {
                return Some(Ok(bytes));
            }
        }
    }
}

/// Compresses a part, or the end if there is none. Returns what came out, and the encoder unless it is done.
fn compress(
    mut encoder: GzEncoder<Vec<u8>>,
    part: Option<Bytes>,
) -> (Bytes, Option<GzEncoder<Vec<u8>>>) {
    const NEVER: &str = "memory takes whatever is written to it";
    match part {
        Some(part) => {
            encoder.write_all(&part).expect(NEVER);
            let bytes = std::mem::take(encoder.get_mut());
            (bytes.into(), Some(encoder))
        }
        None => (encoder.finish().expect(NEVER).into(), None),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    use flate2::read::GzDecoder;

    use super::*;
    use crate::http::gate::{Gate, Weight};
    use crate::http::problem::Kind;

    const PART: usize = 64 * 1024;

    /// This many parts, counted as they are made; then the end, or a problem.
    fn parts(number: usize, made: &Arc<AtomicUsize>, fails: bool) -> Parts {
        let made = Arc::clone(made);
        let parts = stream::iter(0..number).map(move |part| {
            made.fetch_add(1, Ordering::Relaxed);
            Ok(Bytes::from(vec![b'a' + (part % 20) as u8; PART]))
        });
        let end = fails.then(|| Err(Problem::new(Kind::LedgerUnreadable, "it is gone")));
        Box::pin(parts.chain(stream::iter(end)))
    }

    async fn sent(mut sending: Sending) -> Result<Vec<u8>, BrokenOff> {
        let mut bytes = Vec::new();
        while let Some(part) = sending.next().await {
            bytes.extend_from_slice(&part?);
        }
        Ok(bytes)
    }

    #[tokio::test]
    async fn compressed_or_not_it_is_the_same_text() {
        let made = Arc::default();
        let plain = sent(sending(parts(20, &made, false), Encoding::Identity, None)).await;
        let plain = plain.unwrap();
        assert_eq!(plain.len(), 20 * PART);
        let zipped = sent(sending(parts(20, &made, false), Encoding::Gzip, None)).await;
        let zipped = zipped.unwrap();
        assert!(zipped.len() < plain.len() / 10);
        let mut text = Vec::new();
        let mut decoder = GzDecoder::new(&zipped[..]);
        decoder.read_to_end(&mut text).unwrap();
        assert!(text == plain);
    }

    #[tokio::test]
    async fn what_fails_ends_in_an_error_and_without_the_end_of_its_encoding() {
        for encoding in [Encoding::Identity, Encoding::Gzip] {
            let mut sending = sending(parts(20, &Arc::default(), true), encoding, None);
            let mut bytes = Vec::new();
            let failed = loop {
                match sending.next().await {
                    Some(Ok(part)) => bytes.extend_from_slice(&part),
                    Some(Err(error)) => break error,
                    None => panic!("{encoding:?} ends as if it were whole"),
                }
            };
            assert_eq!(failed.to_string(), "a part of the answer could not be made");
            assert!(sending.next().await.is_none());
            let mut decoder = GzDecoder::new(&bytes[..]);
            assert!(decoder.read_to_end(&mut Vec::new()).is_err());
        }
    }

    #[tokio::test]
    async fn no_part_is_made_before_its_turn_nor_before_it_is_wanted() {
        let at_once = async |future| tokio::time::timeout(Duration::ZERO, future).await;
        let gate = Gate::default();
        let place = gate.enter(Weight::Long).await.unwrap();
        let made = Arc::default();
        let mut sending = sending(parts(100, &made, false), Encoding::Identity, Some(place));
        assert_eq!(made.load(Ordering::Relaxed), 0);
        sending.next().await.unwrap().unwrap();
        assert_eq!(made.load(Ordering::Relaxed), 1);
        let mut others = Vec::new();
        while let Ok(Ok(other)) =
            tokio::time::timeout(Duration::ZERO, gate.enter(Weight::Long)).await
        {
            others.push(other);
        }
        assert!(at_once(sending.next()).await.is_err());
        assert_eq!(made.load(Ordering::Relaxed), 1);
        others.pop();
        sending.next().await.unwrap().unwrap();
        assert_eq!(made.load(Ordering::Relaxed), 2);
    }
}
