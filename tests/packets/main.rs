//! Packet programs in this machine's kernel: real traffic between two namespaces, and packets made by hand.

mod balancer;
mod bench;
mod bytes;
mod cgroup;
#[path = "../common/mod.rs"]
mod common;
mod devices;
mod dns;
mod hostile;
mod linear;
mod list;
mod net;
mod others;
mod pin;
mod tc;
mod tools;
mod wrap;
mod write;
mod xdp;
