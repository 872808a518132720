//! Trees as tar streams: out of a directory ([`pack`]) and, safely, into one ([`unpack`]).
//!
//! Not here: which engine or connection carries a stream, and compression (`objects`).

mod chunks;
mod feed;
mod member;
mod pack;
mod place;
mod unpack;

use std::io;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::Stream;

pub(crate) use chunks::{ChunkWriter, channel, read_blocking, stream_of};
pub(crate) use feed::Feed;
pub use pack::{PackOptions, PackReport, Selection, pack, pack_into, pack_with_report};
pub(crate) use unpack::MAX_HEADER_BYTES;
pub use unpack::{Limits, UnpackOptions, UnpackReport, unpack, unpack_from};

/// A tar archive as it is made or received, in chunks of any size. An error is its last item; an archive that ends without its
/// end marker is cut short.
pub type TarStream = Pin<Box<dyn Stream<Item = Result<Bytes, io::Error>> + Send>>;
