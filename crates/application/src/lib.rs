//! The use cases of the service: what it does, without saying with what.
//!
//! Writes go through one [`command_loop`] a node, which decides commands in order against working states and appends
//! whole batches. Reads go through [`stock_queries`]. What either needs from outside is a port in [`ports`]; the adapters
//! behind them live in crates of their own, which depend on this one and never on one another. Not in here: storage,
//! JSON, HTTP, settings files, logging.
//!
//! In reading order: [`stream`], [`ports`], [`command_loop`], [`acknowledged_levels`], [`freshness`] (how
//! fresh an answer has to be), [`stock_queries`], [`stock_list_queries`], [`list_queries`], [`history_queries`], [`event_feed`] (the log, live), [`recent_events`] (its end, in memory), [`expiry`],
//! [`audit`] (proves a log).

pub mod acknowledged_levels;
pub mod audit;
pub mod command_loop;
pub mod event_feed;
pub mod expiry;
pub mod freshness;
pub mod history_queries;
pub mod list_queries;
pub mod ports;
pub mod recent_events;
pub mod stock_list_queries;
pub mod stock_queries;
pub mod stream;
mod sync;
#[cfg(feature = "testing")]
pub mod testing;

pub use acknowledged_levels::AcknowledgedLevels;
pub use command_loop::{
    Answer, Ask, CommandError, CommandLoop, CommandLoopSettings, CommandSender, Condition, OrderAnswer, Request,
    RequestKey, Shortfall, StockAnswer, TransferAnswer, Verdict,
};
pub use event_feed::{Broadcaster, EventFeed, EventFeedSettings, EventFilter, FeedError};
pub use expiry::{ExpiryProcess, ExpirySettings, ExpiryStatus};
pub use freshness::{CatchUp, CatchUpSettings, Freshness, NotFresh};
pub use history_queries::{HistoryError, HistoryQueries};
pub use list_queries::{ListCheckpoints, ListQueries};
pub use recent_events::RecentEvents;
pub use stock_list_queries::{StockListCheckpoints, StockListQueries};
pub use stock_queries::{QueryError, StockCheckpoints, StockQueries, Told};
pub use stream::{EventId, Position, StreamId};
