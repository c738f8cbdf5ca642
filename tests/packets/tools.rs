//! The tools of `examples/net`, on real traffic, and on packets made by hand where that takes more machines than two.

use crate::bench::Bench;
use crate::cgroup::Cgroup;
use crate::net::{Net, run, start_here};
use etherparse::{NetSlice, PacketBuilder, SlicedPacket, TransportSlice};

const PING: &str = "ping -q -c 3 -i 0.2 -W 1 10.9.0.1";

fn tool(name: &str) -> String {
    format!("{}/examples/{name}.bt", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn drop_cidr() {
    let Some(net) = Net::new() else { return };
    let awl = net.start(&["--enforce", &tool("net/xdp_drop_cidr"), "near", "10.9.0.0/28"]);
    assert!(!net.far(PING).status.success());
    let (out, err) = awl.stop();
    assert_eq!(out.trim(), "@dropped[10.9.0.2]: 3", "{err}");
    let awl = net.start(&["--enforce", &tool("net/xdp_drop_cidr"), "near", "192.0.2.0/24"]);
    assert!(net.far(PING).status.success());
    assert_eq!(awl.stop().0.trim(), "");
}

#[test]
fn ddos_guard() {
    let Some(net) = Net::new() else { return };
    let awl = net.start(&["--enforce", &tool("net/xdp_ddos_guard"), "near", "3"]);
    // Ten connections at once to a port where nobody listens: three SYNs are answered (by RST), the others are not at once.
    let connect = "for i in 1 2 3 4 5 6 7 8 9 10; do timeout 0.4 bash -c 'echo > /dev/tcp/10.9.0.1/9' 2>/dev/null & done; wait";
    run("ip", &["netns", "exec", &net.there, "bash", "-c", connect]);
    let (out, err) = awl.stop();
    let dropped = out.lines().find_map(|l| l.strip_prefix("@dropped[10.9.0.2]: ")?.parse::<u32>().ok());
    assert!(dropped.is_some_and(|n| (5..=7).contains(&n)), "{out}{err}");
}

#[test]
fn rate_limit() {
    let Some(net) = Net::new() else { return };
    // 1,000 bytes a second: two answers of 498 bytes, and no third at once.
    let awl = net.start(&["--enforce", &tool("net/tc_rate_limit"), "near", "1000"]);
    let out = net.far("ping -q -c 3 -i 0.01 -s 456 -W 1 10.9.0.1");
    assert!(crate::common::text(&out.stdout).contains(" 2 received"), "{}", crate::common::text(&out.stdout));
    assert!(awl.stop().0.contains("@dropped[10.9.0.2]: 1"));
}

#[test]
fn top_talkers_and_handshakes() {
    let Some(net) = Net::new() else { return };
    let awl = net.start(&[&tool("net/tc_top_talkers"), "near"]);
    assert!(net.far(PING).status.success());
    assert!(awl.stop().0.contains("@bytes[10.9.0.2]: 294"));

    let listen = "import socket,time; s=socket.create_server(('10.9.0.2', 7777)); s.settimeout(20); s.accept()";
    if std::process::Command::new("python3").arg("-V").output().is_err() {
        println!("skipped: needs python3");
        return;
    }
    let mut server =
        std::process::Command::new("ip").args(["netns", "exec", &net.there, "python3", "-c", listen]).spawn().expect("python3");
    let awl = net.start(&[&tool("net/tcp_handshake_latency"), "near"]);
    // until the server listens, which takes Python a while on a busy machine
    let call = "for i in {1..100}; do (echo > /dev/tcp/10.9.0.2/7777) 2>/dev/null && exit; sleep 0.05; done; exit 1";
    run("ip", &["netns", "exec", &net.here, "bash", "-c", call]);
    let _ = server.wait();
    let (out, err) = awl.stop();
    assert!(out.contains("@us[10.9.0.2]:"), "{out}{err}");
}

#[test]
fn egress_of_a_cgroup() {
    let (Some(net), Some(cgroup)) = (Net::new(), Cgroup::new()) else { return };
    let ping = "ping -q -c 2 -i 0.2 -W 1 10.9.0.2 >/dev/null";
    let awl = start_here(&["--enforce", &tool("net/cgroup_egress_allow"), &cgroup.path, "10.9.0.0/30"]);
    assert!(cgroup.sh(&net, ping));
    assert_eq!(awl.stop().0.trim(), "");
    let awl = start_here(&["--enforce", &tool("net/cgroup_egress_allow"), &cgroup.path, "10.8.0.0/16"]);
    assert!(!cgroup.sh(&net, ping));
    assert_eq!(awl.stop().0.trim(), "@denied[10.9.0.2]: 2");
}

#[test]
fn marks_of_a_cgroup() {
    let (Some(net), Some(cgroup)) = (Net::new(), Cgroup::new()) else { return };
    let awl = start_here(&["--enforce", &tool("net/tc_mark_cgroup"), &cgroup.path, "7"]);
    let seen = net.start(&["-e", "tc:near:egress /icmp/ { @[skb.mark] = count(); }"]);
    assert!(cgroup.sh(&net, "ping -q -c 2 -i 0.2 -W 1 10.9.0.2 >/dev/null"));
    let out = seen.stop().0;
    assert_eq!(out.trim(), "@[7]: 2");
    assert_eq!(awl.stop().0.trim(), "@marked: 2");
}

#[test]
fn load_balancer() {
    let text = std::fs::read_to_string(tool("net/xdp_load_balancer")).expect("the tool");
    let params = ["lo", "10.9.0.100", "10.9.0.11", "02:00:00:00:00:11", "10.9.0.12", "02:00:00:00:00:12"];
    let Some(bench) = Bench::tool(&text, &params) else { return };
    let [begin, client, backend] = [0, 1, 1];
    bench.begin(begin);
    let packet = |from: [u8; 4], to: [u8; 4], ports: (u16, u16)| {
        let mut out = Vec::new();
        let b = PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 0x99]).ipv4(from, to, 64).tcp(ports.0, ports.1, 1, 1000);
        b.write(&mut out, b"GET /").expect("fits");
        out
    };
    // (destination, MAC address)
    let sent_to = |p: &[u8]| {
        let s = SlicedPacket::from_ethernet(p).expect("whole");
        let (Some(NetSlice::Ipv4(ip)), Some(TransportSlice::Tcp(t))) = (&s.net, &s.transport) else { panic!("{p:02x?}") };
        let h = ip.header().to_header();
        assert_eq!(h.header_checksum, h.calc_header_checksum());
        assert_eq!(t.checksum(), t.calc_checksum_ipv4(h.source, h.destination).expect("short"));
        (h.source, h.destination, p[..6].to_vec())
    };
    let mut counts = [0u32; 2];
    for port in 1000..1200 {
        let from = packet([10, 9, 0, 2], [10, 9, 0, 100], (port, 80));
        let run = bench.run_program(client, &from);
        assert_eq!(run.verdict, 3);
        let (source, to, mac) = sent_to(&run.packet);
        assert_eq!((source, &mac[..5]), ([10, 9, 0, 2], &[2u8, 0, 0, 0, 0][..]));
        assert!(matches!((to[3], mac[5]), (11, 0x11) | (12, 0x12)), "{to:?} {mac:?}");
        counts[usize::from(to[3] - 11)] += 1;
        // The same connection goes to the same place.
        assert_eq!(bench.run_program(client, &from).packet, run.packet);
        let answer = bench.run_program(backend, &packet(to, [10, 9, 0, 2], (80, port)));
        let (source, to, mac) = sent_to(&answer.packet);
        assert_eq!((answer.verdict, source, to, mac), (3, [10, 9, 0, 100], [10, 9, 0, 2], vec![2, 0, 0, 0, 0, 1]));
    }
    assert!(counts.iter().all(|n| *n > 60), "{counts:?}");
    assert_eq!(bench.run_program(client, &packet([10, 9, 0, 2], [10, 9, 0, 1], (1, 80))).verdict, 2, "not for the service");
}

#[test]
fn policies_compile() {
    for (name, params) in [("lsm_protect_files", &["1234"][..]), ("lsm_exec_allowlist", &["1000", "2049"])] {
        let path = tool(&format!("lsm/{name}"));
        let out = crate::common::awl(&[&["--enforce", "--dry-run", path.as_str()], params].concat());
        let said = crate::common::text(&out.stderr);
        assert!(out.status.success() || said.contains("unknown-hook") || said.contains("no-btf"), "{said}");
    }
}

#[test]
fn what_the_readme_shows() {
    let Some(net) = Net::new() else { return };
    let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).expect("README");
    let section = page.split("\n## ").find(|s| s.starts_with("Packets and policy")).expect("the section");
    let mut lines = section.lines().peekable();
    let mut shown = 0;
    while let Some(line) = lines.next() {
        let Some(command) = line.strip_prefix("    # ") else { continue };
        let mut expected = Vec::new();
        while let Some(l) = lines.next_if(|l| l.is_empty() || l.starts_with("    ")) {
            expected.extend(l.strip_prefix("    ").filter(|l| !l.starts_with("Attached")));
        }
        let awl = net.start_line(command);
        net.far(PING);
        if command.contains("udp") {
            run("ip", &["netns", "exec", &net.there, "bash", "-c", "echo x > /dev/udp/10.9.0.1/9999"]);
        }
        let (out, err) = awl.stop();
        for e in expected {
            // How many packets there were besides is the neighbours' business.
            let e = e.split(" of ").next().unwrap_or(e).replace("veth0", "near");
            assert!(out.lines().chain(err.lines()).any(|l| l.starts_with(&e)), "{command}\n{out}{err}");
        }
        shown += 1;
    }
    assert!(shown >= 5, "{shown}");
}

/// "Drop UDP to port 9999 from 192.0.2.0/24 on veth0, count by source", as README's lines teach it.
#[test]
fn the_line_of_a_newcomer() {
    let Some(net) = Net::new() else { return };
    for args in ["addr add 192.0.2.7/32 dev far", "route add 10.9.0.1/32 dev far src 192.0.2.7"] {
        run("ip", &[&["-n", &net.there], args.split(' ').collect::<Vec<_>>().as_slice()].concat());
    }
    let line = "awl --enforce -e 'xdp:veth0 /udp.dport == 9999 && ip.saddr == 192.0.2.0/24/ { @[ip.saddr] = count(); return DROP; }'";
    let seen = "tc:near:ingress /udp/ { @[ip.saddr, udp.dport] = count(); }";
    let (awl, behind) = (net.start_line(line), net.start(&["-e", seen]));
    let send = "for p in 9999 9998 9999; do echo x > /dev/udp/10.9.0.1/$p; done; echo x > /dev/udp/fd00:9::1/9999";
    run("ip", &["netns", "exec", &net.there, "bash", "-c", send]);
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(awl.stop().0.trim(), "@[192.0.2.7]: 2");
    assert_eq!(behind.stop().0.trim(), "@[192.0.2.7, 9998]: 1");
}

/// Of a fragmented packet each part counts and is dropped, whatever it carries; TCP and UDP as well as pings.
#[test]
fn fragments_and_other_protocols() {
    let Some(net) = Net::new() else { return };
    let big = "ping -q -c 2 -i 0.2 -s 4000 -W 1 10.9.0.1";
    let awl = net.start(&[&tool("net/tc_top_talkers"), "near"]);
    assert!(net.far(big).status.success());
    // 4000 bytes and 8 of ICMP in three fragments, each with 20 bytes of IP and 14 of Ethernet, twice.
    let out = awl.stop().0;
    assert!(out.contains("@bytes[10.9.0.2]: 8220"), "{out}");

    let awl = net.start(&["--enforce", &tool("net/xdp_drop_cidr"), "near", "10.9.0.0/28"]);
    assert!(!net.far(big).status.success());
    let send = "echo x > /dev/udp/10.9.0.1/9; timeout 0.5 bash -c 'echo x > /dev/tcp/10.9.0.1/9' 2>/dev/null && echo connected";
    let said = run("ip", &["netns", "exec", &net.there, "bash", "-c", send]);
    assert!(said.stdout.is_empty());
    let (out, err) = awl.stop();
    // Six fragments, a datagram, and a SYN.
    assert_eq!(out.trim(), "@dropped[10.9.0.2]: 8", "{err}");

    // Those that are not of a network pass whole.
    let awl = net.start(&["--enforce", &tool("net/xdp_drop_cidr"), "near", "192.0.2.0/24"]);
    assert!(net.far(big).status.success());
    assert_eq!(awl.stop().0.trim(), "");

    // Only what has a port is of one: fragments behind the first have none.
    let awl = net.start(&["-e", "xdp:near { @all = count(); if (icmp.type == 8) { @first = count(); } }"]);
    assert!(net.far(big).status.success());
    let out = awl.stop().0;
    assert!(out.contains("@first: 2\n"), "{out}");
}

/// Neither IPv6 nor tiny fragments (RFC 3128) lead around the guard.
#[test]
fn ddos_guard_of_what_is_hidden() {
    let text = std::fs::read_to_string(tool("net/xdp_ddos_guard")).expect("the tool");
    let link = || PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);
    let mut v4 = Vec::new();
    link().ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64).tcp(1000, 80, 1, 1000).syn().write(&mut v4, &[]).expect("fits");
    let mut v6 = Vec::new();
    link().ipv6([1; 16], [2; 16], 64).tcp(1000, 80, 1, 1000).syn().write(&mut v6, &[]).expect("fits");
    // 8 bytes of TCP, and the 12 behind them with the flags.
    let fragment = |from: usize, to: usize, word: u16| {
        let mut p = [&v4[..34], &v4[34 + from..34 + to]].concat();
        p[16..18].copy_from_slice(&(20 + (to - from) as u16).to_be_bytes());
        p[20..22].copy_from_slice(&word.to_be_bytes());
        p
    };
    let (first, second, far) = (fragment(0, 8, 0x2000), fragment(8, 20, 0x0001), fragment(8, 20, 0x0005));
    for (packet, passed) in [(&v4, 2), (&v6, 2), (&first, 2), (&second, 2), (&far, 10)] {
        let Some(bench) = Bench::tool(&text, &["lo", "2"]) else { return };
        let pass = (0..10).filter(|_| bench.run(packet).expect("it runs").verdict == 2).count();
        assert_eq!(pass, passed, "{packet:02x?}");
    }
}

/// What is no packet of IP at all goes nowhere.
#[test]
fn egress_of_broken_packets() {
    let Some(cgroup) = Cgroup::new() else { return };
    let text = std::fs::read_to_string(tool("net/cgroup_egress_allow")).expect("the tool");
    let Some(bench) = Bench::tool(&text, &[&cgroup.path, "10.0.0.0/8"]) else { return };
    let mut good = vec![0; 14];
    PacketBuilder::ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64).udp(1, 2).write(&mut good, b"x").expect("fits");
    let verdict = |first: u8| {
        let mut p = good.clone();
        p[14] = first;
        bench.run(&p).map(|r| r.verdict).ok()
    };
    // Words of the header, version.
    assert_eq!([0x45, 0x44, 0x40, 0x55].map(verdict), [Some(1), Some(0), Some(0), Some(0)]);
}
