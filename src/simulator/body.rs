//! Response bodies: whole ones, and those that a careful client must survive.

use std::io;
use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use flate2::{Compress, Compression, FlushCompress};
use hyper::body::{Frame, SizeHint};
use tokio::time::{Interval, interval};

/// Time between two bytes of a dripping body.
const DRIP_INTERVAL: Duration = Duration::from_millis(20);
/// Size of one piece of an oversized body.
const BLOCK_BYTES: usize = 64 * 1024;
/// Pieces of an oversized body: 64 MiB in all.
const BLOCKS: u32 = 1024;
/// Inflated size of one piece of a gzip bomb.
const BOMB_BLOCK_BYTES: usize = 1024 * 1024;
/// The header of a gzip member without name and time.
const GZIP_HEADER: &[u8] = &[0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff];
/// Start of every endless or broken body: as if it would become an answer.
const BEGINNING: &[u8] = br#"{"agent_id":"#;

static BLOCK: LazyLock<Bytes> = LazyLock::new(|| vec![b' '; BLOCK_BYTES].into());

/// Spaces, deflated and fully flushed: such a piece may follow itself as often as one likes.
static BOMB_BLOCK: LazyLock<Bytes> = LazyLock::new(|| {
    let mut block = Vec::with_capacity(16 * 1024);
    Compress::new(Compression::best(), false)
        .compress_vec(
            &vec![b' '; BOMB_BLOCK_BYTES],
            &mut block,
            FlushCompress::Full,
        )
        .expect("a fresh compressor takes any input");
    block.into()
});

/// The body of a response.
#[derive(Debug)]
pub(super) enum Body {
    /// These bytes.
    Whole(Bytes),
    /// These bytes, then the end of the connection.
    Cut(Option<Bytes>),
    /// The first bytes, then the block `left` times.
    Repeat {
        first: Bytes,
        block: Bytes,
        left: u32,
    },
    /// One byte per interval, without end.
    Drip(Interval),
}

impl Body {
    /// A body that breaks off. Its header should promise more.
    pub(super) fn cut() -> Self {
        Self::Cut(Some(Bytes::from_static(BEGINNING)))
    }

    /// 64 MiB.
    pub(super) fn oversized() -> Self {
        Self::Repeat {
            first: Bytes::from_static(BEGINNING),
            block: BLOCK.clone(),
            left: BLOCKS,
        }
    }

    /// About 1 MB of gzip that inflates to 1 GiB.
    pub(super) fn gzip_bomb() -> Self {
        Self::Repeat {
            first: Bytes::from_static(GZIP_HEADER),
            block: BOMB_BLOCK.clone(),
            left: BLOCKS,
        }
    }

    /// An endless body.
    pub(super) fn drip() -> Self {
        Self::Drip(interval(DRIP_INTERVAL))
    }
}

impl hyper::body::Body for Body {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let data = match &mut *self {
            Self::Whole(bytes) | Self::Repeat { first: bytes, .. } if !bytes.is_empty() => {
                std::mem::take(bytes)
            }
            Self::Whole(_) => return Poll::Ready(None),
            Self::Cut(first) => match first {
                Some(bytes) if !bytes.is_empty() => std::mem::take(bytes),
                // Only a pause lets hyper flush what it has before it hears of the failure.
                Some(_) => {
                    *first = None;
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                None => return Poll::Ready(Some(Err(io::Error::other("cut on purpose")))),
            },
            Self::Repeat { left: 0, .. } => return Poll::Ready(None),
            Self::Repeat { block, left, .. } => {
                *left -= 1;
                block.clone()
            }
            Self::Drip(interval) => {
                ready!(interval.poll_tick(context));
                Bytes::from_static(b" ")
            }
        };
        Poll::Ready(Some(Ok(Frame::data(data))))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self, Self::Whole(bytes) if bytes.is_empty())
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(bytes) => SizeHint::with_exact(bytes.len() as u64),
            _ => SizeHint::default(),
        }
    }
}
