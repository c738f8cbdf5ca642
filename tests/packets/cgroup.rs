//! Programs of a cgroup of our own.

use crate::net::{Net, run, start_here};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// A cgroup that is removed in the end.
pub struct Cgroup {
    pub path: String,
}

impl Cgroup {
    /// `None` where there are none of version 2, or we may not.
    pub fn new() -> Option<Cgroup> {
        if !crate::common::may_load() {
            return None;
        }
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let mounts = std::fs::read_to_string("/proc/mounts").ok()?;
        let Some(root) = mounts.lines().find_map(|l| l.starts_with("cgroup2 ").then(|| l.split(' ').nth(1)).flatten()) else {
            println!("skipped: no cgroup2 is mounted");
            return None;
        };
        let path = format!("{root}/awl{}x{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        std::fs::create_dir(&path).ok()?;
        Some(Cgroup { path })
    }

    /// Runs a shell command in it; its status.
    pub fn sh(&self, net: &Net, command: &str) -> bool {
        let inside = format!("echo $$ > {}/cgroup.procs && exec ip netns exec {} sh -c \"$0\"", self.path, net.here);
        Command::new("sh").args(["-c", &inside, command]).status().is_ok_and(|s| s.success())
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir(&self.path);
    }
}

const PING: &str = "ping -q -c 2 -i 0.2 -W 1 10.9.0.2 >/dev/null";

#[test]
fn packets_from_a_cgroup_are_denied_and_others_are_not() {
    let (Some(net), Some(cgroup)) = (Net::new(), Cgroup::new()) else { return };
    let script = format!("cgroup_skb:{}:egress /icmp/ {{ @[ip.daddr] = count(); return DENY; }}", cgroup.path);
    let awl = start_here(&["--enforce", "-e", &script]);
    assert!(!cgroup.sh(&net, PING), "it went through");
    assert!(run("ip", &["netns", "exec", &net.here, "sh", "-c", PING]).status.success());
    let (out, err) = awl.stop();
    assert_eq!(out.trim(), "@[10.9.0.2]: 2", "{err}");
}

#[test]
fn a_connection_is_denied() {
    let (Some(net), Some(cgroup)) = (Net::new(), Cgroup::new()) else { return };
    let script = format!(
        "cgroup_connect4:{} {{ @[args.user_ip4, args.user_port] = count(); if (args.user_ip4 == 10.9.0.0/24) {{ return DENY; }} }}",
        cgroup.path
    );
    // ping connects a socket to find its own address.
    let awl = start_here(&["--enforce", "-e", &script]);
    assert!(!cgroup.sh(&net, PING));
    let (out, err) = awl.stop();
    assert!(out.contains("@[10.9.0.2, "), "{out}{err}");
    let awl = start_here(&["-e", &script]);
    assert!(cgroup.sh(&net, PING));
    let (_, err) = awl.stop();
    assert!(err.contains("would deny 1 of 1"), "{err}");
}

#[test]
fn events_of_connections_are_seen() {
    let (Some(net), Some(cgroup)) = (Net::new(), Cgroup::new()) else { return };
    let awl = start_here(&["-e", &format!("sockops:{} {{ @[args.op, args.remote_ip4, args.remote_port] = count(); }}", cgroup.path)]);
    // Refused, as nobody listens: the kernel asks before that (BPF_SOCK_OPS_TCP_CONNECT_CB).
    assert!(!cgroup.sh(&net, "bash -c 'echo > /dev/tcp/10.9.0.2/9' 2>/dev/null"));
    let (out, err) = awl.stop();
    assert!(out.contains("@[3, 10.9.0.2, 9]: 1"), "{out}{err}");
}
