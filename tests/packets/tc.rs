//! TC and packet sockets on a pair of interfaces.

use crate::bench::Bench;
use crate::net::{Net, start_in};

const PING: &str = "ping -c 3 -i 0.2 -W 1 10.9.0.1";

#[test]
fn answers_are_dropped_on_their_way_out() {
    let Some(net) = Net::new() else { return };
    let awl = net.start(&["--enforce", "-e", "tc:near:egress /icmp.type == 0/ { @[ip.daddr, skb.len] = count(); return DROP; }"]);
    assert!(!net.far(PING).status.success(), "it went through");
    let (out, err) = awl.stop();
    assert_eq!(out.trim(), "@[10.9.0.2, 98]: 3", "{err}");
    assert!(net.far(PING).status.success(), "the program outlived awl");
}

#[test]
fn questions_are_only_watched() {
    let Some(net) = Net::new() else { return };
    let awl = net.start(&["-e", "tc:near:ingress { if (icmp6.type == 128) { return DROP; } }"]);
    assert!(net.far("ping -c 3 -i 0.2 -W 1 fd00:9::1").status.success());
    let (_, err) = awl.stop();
    assert!(err.contains("tc:near:ingress: would drop 3 of "), "{err}");
}

#[test]
fn a_socket_sees_both_ways() {
    let Some(net) = Net::new() else { return };
    let awl = net.start(&["-e", "socket:near /icmp/ { @[icmp.type, ip.saddr] = count(); }"]);
    assert!(net.far(PING).status.success());
    let (out, err) = awl.stop();
    assert_eq!(out.trim(), "@[0, 10.9.0.1]: 3\n@[8, 10.9.0.2]: 3", "{err}");
}

/// The other end gets back a copy of what it sends, and its answers all the same.
#[test]
fn copies_go_elsewhere() {
    let Some(net) = Net::new() else { return };
    let script = "tc:near:ingress /icmp.type == 8/ { $r = mirror(\"near\"); @[$r, icmp.type, ip.saddr] = count(); }";
    let copies = "socket:far /icmp.type == 8/ { @ = count(); }";
    for (flags, seen) in [(&["--enforce"][..], "@: 6"), (&[], "@: 3")] {
        let awl = net.start(&[flags, &["-e", script]].concat());
        let far = start_in(&net.there, &["-e", copies]);
        assert!(net.far(PING).status.success());
        let ((there, _), (out, err)) = (far.stop(), awl.stop());
        assert_eq!(out.trim(), "@[0, 8, 10.9.0.2]: 3", "{err}");
        assert_eq!(there.trim(), seen, "{err}");
        assert_eq!(err.contains("would make 3 changes in "), flags.is_empty(), "{err}");
    }
}

/// As its fields, wherever it lies.
#[test]
fn a_header_is_printed() {
    let Some(net) = Net::new() else { return };
    let script = "tc:near:ingress /icmp.type == 8/ { print(icmp); $ip = ip; print($ip); } xdp:near /icmp.type == 8/ { print(icmp); } socket:near /icmp.type == 8/ { print(icmp); }";
    let awl = net.start(&["-e", script]);
    assert!(net.far("ping -c 1 -W 1 10.9.0.1").status.success());
    let (out, err) = awl.stop();
    assert_eq!(out.matches("{ .type = 8, .code = 0, .check = ").count(), 3, "{out}{err}");
    assert!(out.contains("{ .ihl = 5, .version = 4,") && out.contains(".saddr = 10.9.0.2, .daddr = 10.9.0.1 }"), "{out}{err}");
}

/// A copy of a header that found no room on the stack stays what it is while later statements need memory.
#[test]
fn copies_of_headers_stay() {
    let long = |c: char| format!("\"{}\"", c.to_string().repeat(60));
    let script = format!(
        "socket:lo /ip/ {{ $a = {}; $b = {}; $c = {}; $d = {};
            @type = icmp.type; @k[str_concat($a, $b), str_concat($c, $d)] = count();
            @all = str_concat(str_concat($a, $b), str_concat($c, $d)); @again = icmp.type; @code = icmp.code; }}",
        long('a'),
        long('b'),
        long('c'),
        long('d')
    );
    let Some(bench) = Bench::new(&script) else { return };
    let mut packet = vec![0; 14];
    etherparse::PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
        .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
        .icmpv4_raw(8, 5, [1, 2, 3, 4])
        .write(&mut packet, b"payload")
        .expect("fits");
    bench.run(&packet).expect("it runs");
    assert_eq!((bench.number("type"), bench.number("again"), bench.number("code")), (8, 8, 5));
}

/// Fields of a script's own struct may lie anywhere.
#[test]
fn packed_structs_of_ones_own() {
    const MINE: &str = "struct mine { u8 kind; be32 id; be16 n; u8 rest; } __attribute__((packed)); PROBE /udp/ { $m = (struct mine *)payload; @id = $m->id; @n = $m->n; }";
    let cgroup = crate::cgroup::Cgroup::new();
    let path = cgroup.as_ref().map(|c| format!("cgroup_skb:{}:ingress", c.path));
    for (probe, before, link) in [("xdp:lo", 0, true), ("tc:lo:ingress", 0, true), ("socket:lo", 14, true)]
        .into_iter()
        .chain(path.as_deref().map(|p| (p, 14, false)))
    {
        let Some(bench) = Bench::new(&MINE.replace("PROBE", probe)) else { return };
        let mut packet = Vec::new();
        etherparse::PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
            .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
            .udp(1000, 9)
            .write(&mut packet, &[1, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 9, 9])
            .expect("fits");
        let seen = if link { &packet[..] } else { &packet[14..] };
        bench.run(&[vec![0; before], seen.to_vec()].concat()).expect("it runs");
        assert_eq!((bench.number("id"), bench.number("n")), (0x1122_3344, 0x5566), "{probe}");
    }
}
