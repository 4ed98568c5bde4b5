//! Stretches of text that are compressed once and put together anew at every scrape.
//!
//! Each [`Piece`] is raw deflate (RFC 1951) that ends at a byte and looks back at nothing before
//! it, so any of them in any order form one stream. A gzip member (RFC 1952) needs a checksum
//! besides, and those of pieces can be combined. One member it must be: of several in a row, common
//! clients read only the first.

use bytes::Bytes;
use crc32fast::Hasher;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};

/// Size in bytes of the plain text handed over at a time. Line by line costs twice as much.
const BLOCK: usize = 64 * 1024;

/// Level of compression: 2 of 9. Of 144 MB, the lines of 100,000 agents, level 1 leaves 18.5 MB, level
/// 2 12.6, level 4 12.1 and level 6 11.7, for 0.14, 0.17, 0.31 and 0.48 s of CPU time: the last megabyte
/// costs more than all before it. `benches/scrape.rs` prints the table.
pub const DEFLATE_LEVEL: u32 = 2;

/// The gzip header: deflate, no name, no time, no particular operating system.
const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];

/// A stretch of text, compressed.
#[derive(Debug, Clone)]
pub(super) struct Piece {
    raw_deflate: Bytes,
    crc32: u32,
    length: u64,
}

/// Compresses text that is written into its buffer.
#[derive(Debug)]
pub(super) struct Deflater {
    compress: Compress,
    plain: Vec<u8>,
    raw_deflate: Vec<u8>,
    checksum: Hasher,
}

impl Deflater {
    /// A compressor with nothing written to it.
    pub(super) fn new() -> Self {
        Self {
            compress: Compress::new(Compression::new(DEFLATE_LEVEL), false),
            plain: Vec::with_capacity(BLOCK + BLOCK / 16),
            raw_deflate: Vec::new(),
            checksum: Hasher::new(),
        }
    }

    /// Buffer to append whole lines to. What is written before must be left alone.
    pub(super) fn buffer(&mut self) -> &mut Vec<u8> {
        if self.plain.len() >= BLOCK {
            self.feed(FlushCompress::None);
        }
        &mut self.plain
    }

    /// Ends the piece, if anything was written, and starts the next.
    pub(super) fn finish(&mut self) -> Option<Piece> {
        if self.plain.is_empty() && self.compress.total_in() == 0 {
            return None;
        }
        self.feed(FlushCompress::Sync);
        let piece = Piece {
            raw_deflate: Bytes::copy_from_slice(&self.raw_deflate),
            crc32: std::mem::take(&mut self.checksum).finalize(),
            length: self.compress.total_in(),
        };
        self.raw_deflate.clear();
        // Forgets what was seen, so that the next piece can't refer to it.
        self.compress.reset();
        Some(piece)
    }

    /// Compresses what is in the buffer and empties it.
    fn feed(&mut self, flush: FlushCompress) {
        self.checksum.update(&self.plain);
        let start = self.compress.total_in();
        loop {
            self.raw_deflate.reserve(BLOCK);
            let done = usize::try_from(self.compress.total_in() - start)
                .expect("no more is read than the buffer holds");
            self.compress
                .compress_vec(&self.plain[done..], &mut self.raw_deflate, flush)
                .expect("compressing fails only where a dictionary is wanted, and none is");
            // Room left over means that nothing is held back, as zlib's manual has it.
            if self.raw_deflate.len() < self.raw_deflate.capacity() {
                break;
            }
        }
        self.plain.clear();
    }
}

/// Answer to a scrape, in frames of at most some hundred kilobytes.
#[derive(Debug)]
pub struct Frames {
    length: u64,
    form: Form,
}

#[derive(Debug)]
enum Form {
    Ready(std::vec::IntoIter<Bytes>),
    Inflating(Box<Inflater>),
}

impl Frames {
    /// One gzip member that holds `pieces` and then `end`.
    pub(super) fn gzip(pieces: Vec<Piece>, end: &'static str) -> Self {
        let mut checksum = Hasher::new();
        for piece in &pieces {
            checksum.combine(&Hasher::new_with_initial_len(piece.crc32, piece.length));
        }
        checksum.update(end.as_bytes());
        let plain_length = plain_length(&pieces, end);
        let tail = [
            &final_block(end)[..],
            &checksum.finalize().to_le_bytes(),
            // Modulo 2^32, as the format wants it.
            &plain_length.to_le_bytes()[..4],
        ]
        .concat();
        let frames: Vec<Bytes> = std::iter::once(Bytes::from_static(&HEADER))
            .chain(pieces.into_iter().map(|piece| piece.raw_deflate))
            .chain([Bytes::from(tail)])
            .collect();
        Self {
            length: frames.iter().map(|frame| frame.len() as u64).sum(),
            form: Form::Ready(frames.into_iter()),
        }
    }

    /// The text of `pieces` and then `end`, decompressed frame by frame as it is asked for.
    pub(super) fn identity(pieces: Vec<Piece>, end: &'static str) -> Self {
        Self {
            length: plain_length(&pieces, end),
            form: Form::Inflating(Box::new(Inflater {
                decompress: Decompress::new(false),
                pieces: pieces.into_iter(),
                current: None,
                end: Bytes::from_static(end.as_bytes()),
            })),
        }
    }

    /// Number of bytes from here on.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }
}

impl Iterator for Frames {
    type Item = Bytes;

    fn next(&mut self) -> Option<Bytes> {
        let frame = match &mut self.form {
            Form::Ready(frames) => frames.next(),
            Form::Inflating(inflater) => inflater.next(),
        }?;
        self.length -= frame.len() as u64;
        Some(frame)
    }
}

fn plain_length(pieces: &[Piece], end: &str) -> u64 {
    pieces.iter().map(|piece| piece.length).sum::<u64>() + end.len() as u64
}

/// The last block of a deflate stream: `text`, not compressed. It must be short.
fn final_block(text: &'static str) -> Vec<u8> {
    let length = u16::try_from(text.len()).expect("what a format ends with is a few bytes");
    let mut block = vec![1];
    block.extend_from_slice(&length.to_le_bytes());
    block.extend_from_slice(&(!length).to_le_bytes());
    block.extend_from_slice(text.as_bytes());
    block
}

#[derive(Debug)]
struct Inflater {
    decompress: Decompress,
    pieces: std::vec::IntoIter<Piece>,
    current: Option<Piece>,
    end: Bytes,
}

impl Inflater {
    fn next(&mut self) -> Option<Bytes> {
        let piece = match &self.current {
            Some(piece) if self.decompress.total_out() < piece.length => piece,
            _ => {
                self.decompress.reset(false);
                self.current = self.pieces.next();
                match &self.current {
                    Some(piece) => piece,
                    None => {
                        let end = std::mem::take(&mut self.end);
                        return (!end.is_empty()).then_some(end);
                    }
                }
            }
        };
        let left = piece.length - self.decompress.total_out();
        let size = usize::try_from(left).unwrap_or(BLOCK).min(BLOCK);
        let read = usize::try_from(self.decompress.total_in())
            .expect("no more is read than the piece holds");
        let mut plain = Vec::with_capacity(size);
        self.decompress
            .decompress_vec(
                &piece.raw_deflate[read..],
                &mut plain,
                FlushDecompress::Sync,
            )
            .expect("what was compressed here decompresses here");
        Some(Bytes::from(plain))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use flate2::read::GzDecoder;
    use proptest::prelude::*;

    use super::*;

    fn pieces(deflater: &mut Deflater, texts: &[Vec<u8>]) -> Vec<Piece> {
        let mut compress = |text: &Vec<u8>| {
            for line in text.chunks(100) {
                deflater.buffer().extend_from_slice(line);
            }
            deflater.finish()
        };
        texts.iter().filter_map(&mut compress).collect()
    }

    fn concat(frames: Frames) -> Vec<u8> {
        let length = frames.length();
        let bytes = frames.collect::<Vec<_>>().concat();
        assert_eq!(bytes.len() as u64, length);
        bytes
    }

    /// Decodes the first gzip member and nothing after it, as many clients do.
    fn gunzip(bytes: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        GzDecoder::new(bytes).read_to_end(&mut plain).unwrap();
        plain
    }

    #[test]
    fn nothing_written_is_no_piece() {
        let mut deflater = Deflater::new();
        assert!(deflater.finish().is_none());
        deflater.buffer().push(b'a');
        assert!(deflater.finish().is_some());
        assert!(deflater.finish().is_none());
    }

    #[test]
    fn no_pieces_at_all_are_an_empty_member() {
        assert_eq!(gunzip(&concat(Frames::gzip(Vec::new(), ""))), b"");
        assert_eq!(
            gunzip(&concat(Frames::gzip(Vec::new(), "# EOF\n"))),
            b"# EOF\n"
        );
        assert_eq!(concat(Frames::identity(Vec::new(), "")), b"");
    }

    #[test]
    fn a_piece_of_many_blocks_comes_in_frames() {
        let text: Vec<u8> = (0..300_000_u32)
            .flat_map(|n| n.wrapping_mul(n).to_le_bytes())
            .collect();
        let pieces = pieces(&mut Deflater::new(), std::slice::from_ref(&text));
        assert_eq!(gunzip(&concat(Frames::gzip(pieces.clone(), ""))), text);
        let frames = Frames::identity(pieces.clone(), "");
        assert!(frames.into_iter().all(|frame| frame.len() <= BLOCK));
        assert_eq!(concat(Frames::identity(pieces, "")), text);
    }

    proptest! {
        #[test]
        fn pieces_in_any_order_are_one_member(
            texts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..2_000), 0..6),
            order in any::<prop::sample::Index>(),
        ) {
            let mut pieces = pieces(&mut Deflater::new(), &texts);
            let mut texts: Vec<_> = texts.into_iter().filter(|text| !text.is_empty()).collect();
            if !pieces.is_empty() {
                let first = order.index(pieces.len());
                pieces.rotate_left(first);
                texts.rotate_left(first);
            }
            let expected = [texts.concat(), b"# EOF\n".to_vec()].concat();
            prop_assert_eq!(&gunzip(&concat(Frames::gzip(pieces.clone(), "# EOF\n"))), &expected);
            prop_assert_eq!(&concat(Frames::identity(pieces, "# EOF\n")), &expected);
        }
    }
}
