//! Packet programs in this machine's kernel: real traffic between two namespaces, and packets made by hand.

#[path = "../common/mod.rs"]
mod common;
mod net;
mod xdp;
