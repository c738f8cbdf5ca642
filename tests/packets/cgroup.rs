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

/// Who is denied sees it, by each call that has a hook; other ports are as ever.
#[test]
fn calls_of_a_cgroup_are_denied() {
    let (Some(net), Some(cgroup)) = (Net::new(), Cgroup::new()) else { return };
    if Command::new("python3").arg("-V").output().is_err() {
        println!("skipped: needs python3");
        return;
    }
    let hooks = ["bind4", "bind6", "sendmsg4", "sendmsg6", "connect4", "connect6"].map(|hook| {
        format!("cgroup_{hook}:{} {{ @{hook}[args.user_port] = count(); if (args.user_port == 7777) {{ return DENY; }} }} ", cgroup.path)
    });
    let calls = r#"
import errno, socket
def is_denied(call, address):
    try: call(address)
    except OSError as e: return e.errno == errno.EPERM
    return False
for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
    for port in (7777, 7778):
        bound, sender, connected = (socket.socket(family, socket.SOCK_DGRAM) for _ in range(3))
        for call in (bound.bind, lambda a: sender.sendto(b"x", a), connected.connect):
            assert is_denied(call, (address, port)) == (port == 7777), (address, port)
"#;
    let script = std::env::temp_dir().join(format!("awl-calls-{}.py", std::process::id()));
    std::fs::write(&script, calls).expect("it can be written");
    let command = format!("python3 {}", script.display());
    // Watched only, nothing is denied; elsewhere nothing is either.
    let awl = start_here(&["-e", &hooks.concat()]);
    assert!(!cgroup.sh(&net, &format!("{command} 2>/dev/null")));
    assert!(awl.stop().1.contains("would deny 1 of 1"));
    let awl = start_here(&["--enforce", "-e", &hooks.concat()]);
    assert!(cgroup.sh(&net, &command));
    assert!(!run("sh", &["-c", &format!("exec ip netns exec {} {command}", net.here)]).status.success());
    let (out, err) = awl.stop();
    let _ = std::fs::remove_file(script);
    for hook in ["bind4", "bind6", "sendmsg4", "sendmsg6", "connect4", "connect6"] {
        for port in [7777, 7778] {
            assert!(out.contains(&format!("@{hook}[{port}]: 1\n")), "{out}{err}");
        }
    }
}
