//! The integration tests; one target, because every extra one links libtorch again.

mod absent;
mod bad_input;
mod cli;
mod compare;
mod docs;
mod faults;
mod fedmultimodal;
mod fixture;
mod floors;
mod gate;
mod golden;
mod list;
mod objectives;
mod pytorch;
mod real_data;
mod replay;
mod results;
mod rules;
mod scenarios;
mod server;
mod support;
mod traces;
