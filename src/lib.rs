//! fedrobust answers one question: how much corruption does this federated-learning strategy survive?
//!
//! Floors, imports point down only (a test holds them there):
//!
//! | floor | modules |
//! |---|---|
//! | 7 | [`gate`] (runs a scenario again and judges it) |
//! | 6 | [`sweep`] (all runs, lock-step), [`report`] (reads the store, never runs) |
//! | 5 | [`run`] (one run as a state machine), [`store`] (the only code that knows paths) |
//! | 4 | [`scenario`] (raw shape → checked meaning → grid points) |
//! | 3 | [`lane`] (stacked local training and evaluation on a device), [`strategy`] |
//! | 2 | [`partition`], [`corrupt`], [`model`], [`objective`], [`attack`], [`aggregate`] |
//! | 1 | [`data`], [`metric`], [`statistics`] |
//! | 0 | [`fault`], [`seed`], [`record`], [`device`], [`machine`], [`memory`], [`shard`], [`torchscript`] |

#![deny(unsafe_code)]
#![warn(missing_docs)]

pub mod aggregate;
pub mod attack;
pub mod corrupt;
pub mod data;
pub mod device;
pub mod fault;
pub mod gate;
pub mod lane;
pub mod machine;
pub mod memory;
pub mod metric;
pub mod model;
pub mod objective;
pub mod partition;
pub mod record;
pub mod report;
pub mod run;
pub mod scenario;
pub mod seed;
pub mod shard;
pub mod statistics;
pub mod store;
pub mod strategy;
pub mod sweep;
pub mod torchscript;
