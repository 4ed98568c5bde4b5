//! Requests to the outside, and what guards them: whom they trust, which addresses and proxies they may use, and what
//! errors may show of a place that the user chose.

pub(crate) mod error;
pub(crate) mod place;
pub(crate) mod post;
pub(crate) mod promql;
pub(crate) mod proxy;
pub(crate) mod reach;
pub(crate) mod target;
pub mod transport;
pub mod trust;
pub(crate) mod verdict;

pub use error::SendError;
pub use place::Endpoint;
pub use proxy::Proxy;
pub use target::not_public;
pub use transport::{TransportError, Wire};
pub use trust::Roots;
