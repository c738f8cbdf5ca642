//! Packets of which only the beginning lies at hand: payloads of TCP, and what senders of raw packets cut anywhere. A program sees the same of
//! them as of any other.

use crate::hostile::{self, DIGEST, Random, packet};
use crate::net::{Net, run};
use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

/// Sends a packet for each line `CUT HEX`: so many bytes of it at hand, the rest in pages (PACKET_VNET_HDR).
const RAW: &str = r#"
import socket, struct, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.setsockopt(263, 15, 1)
s.bind((sys.argv[1], 0))
for line in sys.stdin:
    cut, data = line.split()
    s.send(struct.pack("=BBHHHH", 0, 0, int(cut), 0, 0, 0) + bytes.fromhex(data))
"#;

fn python(space: &str, args: &[&str], input: &str) -> bool {
    let mut child = match Command::new("ip").args(["netns", "exec", space, "python3", "-c"]).args(args).stdin(Stdio::piped()).spawn() {
        Ok(c) => c,
        Err(e) => panic!("ip can't be started: {e}"),
    };
    child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("it reads");
    child.wait().expect("it ends").success()
}

/// Below a page the kernel leaves packets whole.
const LONG: usize = 4500;

fn jumbo() -> Option<Net> {
    let net = Net::new()?;
    if Command::new("python3").arg("-V").output().is_err() {
        println!("skipped: needs python3");
        return None;
    }
    for (space, name) in [(&net.here, "near"), (&net.there, "far")] {
        run("ip", &["-n", space, "link", "set", name, "mtu", "9000"]);
    }
    Some(net)
}

fn cut_anywhere(probe: &str, seed: u64) {
    let Some(net) = jumbo() else { return };
    let mut r = Random(seed);
    let (mut lines, mut expected) = (String::new(), BTreeMap::new());
    for _ in 0..400 {
        let mut p = packet(&mut r, true);
        p.resize(LONG, 0xab);
        // The kernel takes the outermost tag off on the way.
        if matches!(p[12..14], [0x81, 0] | [0x88, 0xa8] | [0x91, 0]) {
            continue;
        }
        // No packets of this test's own machines are like these.
        p[6..12].copy_from_slice(&[2, 9, 9, 9, 9, 9]);
        let hex: String = p.iter().map(|b| format!("{b:02x}")).collect();
        lines += &format!("{} {hex}\n", 14 + r.below(200));
        *expected.entry(hostile::digest(&p, true)).or_insert(0u32) += 1;
    }
    // All are long enough for the last byte that is asked for.
    let (digest, _) = DIGEST.split_once("@d = $d;").expect("its end");
    let last = "if (payload) { $b = payload[3]; $d = $d * 31 + $b; } @[$d] = count();";
    let script = format!("{probe} /eth.src == 02:09:09:09:09:09/ {{ {digest} {last} }}");
    let awl = net.start(&["-e", &script]);
    let (space, name) = if probe.contains("near") && probe.contains("egress") { (&net.here, "near") } else { (&net.there, "far") };
    assert!(python(space, &[RAW, name], &lines));
    let (out, err) = awl.stop();
    let seen: BTreeMap<u64, u32> = out
        .lines()
        .filter_map(|l| {
            let (key, n) = l.strip_prefix("@[")?.split_once("]: ")?;
            Some((key.parse::<i128>().ok()? as u64, n.parse().ok()?))
        })
        .collect();
    let differ = expected.iter().filter(|(d, n)| seen.get(d) != Some(n)).count();
    assert_eq!(seen, expected, "{differ} of {} differ\n{err}", expected.len());
}

#[test]
fn cut_anywhere_on_its_way_in() {
    cut_anywhere("tc:near:ingress", 0x1357_9bdf);
}

#[test]
fn cut_anywhere_on_its_way_out() {
    cut_anywhere("tc:near:egress", 0x2468_ace1);
}

#[test]
fn cut_anywhere_before_a_socket() {
    cut_anywhere("socket:near", 0x3579_bdf1);
}

#[test]
fn cut_anywhere_before_xdp() {
    cut_anywhere("xdp:near:generic", 0x4579_bdf1);
}

const SERVER: &str = r#"
import socket
s = socket.create_server(("10.9.0.1", 80))
s.settimeout(20)
for _ in range(2):
    c, _ = s.accept()
    while c.recv(65536): pass
    c.close()
"#;

/// The payload of TCP lies in pages.
#[test]
fn payloads_of_tcp() {
    let Some(net) = jumbo() else { return };
    let script = r#"
        tc:near:ingress /payload[0..4] == "GET "/ { @in = count(); @space[payload[3], payload[5]] = count(); }
        tc:near:egress /payload[0..4] == "GET "/ { @out = count(); }
        socket:near /payload[0..4] == "GET "/ { @socket = count(); }"#;
    let awl = net.start(&["-e", script]);
    let mut server = Command::new("ip").args(["netns", "exec", &net.here, "python3", "-c", SERVER]).spawn().expect("python3");
    let client = r#"
import socket, time
for n in (10, 5000):
    for _ in range(100):
        try: c = socket.create_connection(("10.9.0.1", 80)); break
        except OSError: time.sleep(0.1)
    c.sendall(b"GET /" + b"x" * n)
    c.close()
"#;
    assert!(python(&net.there, &[client], ""));
    let _ = server.wait();
    let (out, err) = awl.stop();
    for line in ["@in: 2", "@socket: 2", "@space[32, 120]: 2"] {
        assert!(out.contains(&format!("{line}\n")), "{line}: {out}{err}");
    }
    assert!(out.contains("@out: 0\n"), "{out}");
}

/// A driver that takes no packets so long says so, and what does.
#[test]
fn jumbo_packets_and_drivers() {
    let Some(net) = jumbo() else { return };
    let done = net.awl(&["-e", "xdp:near { @ = count(); }"]);
    let said = crate::common::text(&done.stderr);
    assert!(!done.status.success() && said.contains("longer than its driver takes") && said.contains("`xdp:near:generic`"), "{said}");
}

/// The outermost tag is no longer in the packet when `tc` and sockets see it.
#[test]
fn a_tag_that_the_kernel_took_off() {
    let Some(net) = jumbo() else { return };
    let script = "tc:near:ingress /udp.dport == 9/ { @[skb.vlan_present, vlan.id, vlan.pcp, vlan.type == 0x0800] = count(); if (vlan.type == 0x8100) { @inner[(vlan + 1)->id] = count(); } }
        socket:near /udp.dport == 9 && vlan/ { @socket[vlan.id] = count(); if (vlan.type == 0x8100) { @socket_inner[(vlan + 1)->id] = count(); } }
        xdp:near:generic /udp.dport == 9/ { @xdp[vlan.id] = count(); }";
    let awl = net.start(&["-e", script]);
    let datagram = "08004500001c00010000401100000a0900020a09000103e8000900080000";
    let (mac, pad) = ("020000000001020000000099", "00".repeat(20));
    // Whole, the header before it for the kernel's sake left empty.
    let lines = format!("0 {mac}81000007{datagram}{pad}\n0 {mac}88a8a0058100a007{datagram}{pad}\n");
    assert!(python(&net.there, &[RAW, "far"], &lines));
    let (out, err) = awl.stop();
    for line in [
        "@[1, 7, 0, true]: 1",
        "@[1, 5, 5, false]: 1",
        "@inner[7]: 1",
        "@socket[7]: 1",
        "@socket[5]: 1",
        "@socket_inner[7]: 1",
        "@xdp[7]: 1",
        "@xdp[5]: 1",
    ] {
        assert!(out.contains(&format!("{line}\n")), "{line}: {out}{err}");
    }
}

/// A tag beside the packet gets another number, with which it goes on its way.
#[test]
fn a_tag_beside_the_packet_is_changed() {
    let Some(net) = jumbo() else { return };
    let back = "tc:near:ingress /udp.dport == 9 && vlan.id == 7/ { vlan.id = 8; vlan.pcp = 3; return redirect(\"near\"); }";
    let awl = net.start(&["--enforce", "-e", back]);
    let far = crate::net::start_in(
        &net.there,
        &["-e", "socket:far /udp.dport == 9 && vlan/ { @[vlan.id, vlan.pcp, vlan.dei, ip.ttl] = count(); }"],
    );
    let datagram = "08004500001c00010000401100000a0900020a09000103e8000900080000";
    let (mac, pad) = ("020000000001020000000099", "00".repeat(20));
    assert!(python(&net.there, &[RAW, "far"], &format!("0 {mac}8100b007{datagram}{pad}\n")));
    let ((out, err), (_, said)) = (far.stop(), awl.stop());
    assert_eq!(out.trim(), "@[7, 5, 1, 64]: 1\n@[8, 3, 1, 64]: 1", "{err}{said}");
}
