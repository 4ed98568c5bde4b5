//! A request and its reply, and the state that replies are made from: what the server, its protection, the API
//! and the pages share.

pub(crate) mod gate;
pub(crate) mod host;
pub(crate) mod lifecycle;
pub(crate) mod months;
pub(crate) mod parts;
pub(crate) mod problem;
pub(crate) mod readiness;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod state;

pub use gate::Gate;
pub use host::{Host, HostError};
pub use lifecycle::{Lifecycle, Reloaded};
pub use months::Kept;
pub use readiness::{Latch, Readiness};
pub use state::State;
