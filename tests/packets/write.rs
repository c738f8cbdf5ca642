//! Packets that programs change: made and checked by etherparse.

use crate::bench::Bench;
use etherparse::{NetSlice, PacketBuilder, SlicedPacket, TransportSlice};

const HERE: [u8; 6] = [2, 0, 0, 0, 0, 1];
const THERE: [u8; 6] = [2, 0, 0, 0, 0, 2];
const PAYLOAD: &[u8] = b"seventeen bytes !";

fn tcp4() -> Vec<u8> {
    let mut out = Vec::new();
    let b = PacketBuilder::ethernet2(HERE, THERE).ipv4([10, 9, 0, 2], [10, 9, 0, 1], 64).tcp(4000, 80, 12345, 4096);
    b.write(&mut out, PAYLOAD).expect("fits");
    out
}

fn udp4() -> Vec<u8> {
    let mut out = Vec::new();
    let b = PacketBuilder::ethernet2(HERE, THERE).ipv4([10, 9, 0, 2], [10, 9, 0, 1], 64).udp(4000, 53);
    b.write(&mut out, PAYLOAD).expect("fits");
    out
}

fn udp6() -> Vec<u8> {
    let mut out = Vec::new();
    let b = PacketBuilder::ethernet2(HERE, THERE).ipv6([0xfd; 16], [0xfc; 16], 64).udp(4000, 53);
    b.write(&mut out, PAYLOAD).expect("fits");
    out
}

fn icmp6() -> Vec<u8> {
    let mut out = Vec::new();
    let b = PacketBuilder::ethernet2(HERE, THERE).ipv6([0xfd; 16], [0xfc; 16], 64).icmpv6_echo_request(7, 8);
    b.write(&mut out, PAYLOAD).expect("fits");
    out
}

fn icmp4() -> Vec<u8> {
    let mut out = Vec::new();
    let b = PacketBuilder::ethernet2(HERE, THERE).ipv4([10, 9, 0, 2], [10, 9, 0, 1], 64).icmpv4_echo_request(7, 8);
    b.write(&mut out, PAYLOAD).expect("fits");
    out
}

/// Panics where a checksum is not what the packet's bytes make it.
fn check(packet: &[u8], what: &str) {
    let p = SlicedPacket::from_ethernet(packet).unwrap_or_else(|e| panic!("{what}: {e}"));
    let ip = p.net.as_ref().expect("ip");
    if let NetSlice::Ipv4(v4) = ip {
        let h = v4.header().to_header();
        assert_eq!(h.header_checksum, h.calc_header_checksum(), "{what}: IP");
    }
    let (have, want) = match (ip, p.transport.as_ref().expect("transport")) {
        (NetSlice::Ipv4(v4), TransportSlice::Tcp(t)) => {
            (t.checksum(), t.calc_checksum_ipv4(v4.header().source(), v4.header().destination()).unwrap())
        }
        (NetSlice::Ipv4(v4), TransportSlice::Udp(u)) => {
            let h = u.to_header();
            (h.checksum, h.calc_checksum_ipv4(&v4.header().to_header(), u.payload()).unwrap())
        }
        (NetSlice::Ipv6(v6), TransportSlice::Udp(u)) => {
            let h = u.to_header();
            (h.checksum, h.calc_checksum_ipv6(&v6.header().to_header(), u.payload()).unwrap())
        }
        (NetSlice::Ipv4(_), TransportSlice::Icmpv4(i)) => (i.checksum(), i.icmp_type().calc_checksum(i.payload())),
        (NetSlice::Ipv6(v6), TransportSlice::Icmpv6(i)) => {
            let h = v6.header();
            (i.checksum(), i.icmp_type().calc_checksum(h.source(), h.destination(), i.payload()).unwrap())
        }
        _ => panic!("{what}: another packet"),
    };
    assert_eq!(have, want, "{what}: transport");
}

#[test]
fn checksums_follow_what_is_written() {
    let cases: &[(&str, &[fn() -> Vec<u8>], &[(usize, &[u8])])] = &[
        ("ip.ttl -= 1;", &[tcp4, udp4, icmp4], &[(22, &[63])]),
        ("ip.saddr = 192.0.2.7; ip.daddr = 198.51.100.255;", &[tcp4, udp4, icmp4], &[(26, &[192, 0, 2, 7, 198, 51, 100, 255])]),
        ("ip.tos = 0xb8; ip.df = 0; ip.id = 0xfffe;", &[tcp4, udp4], &[(15, &[0xb8]), (18, &[0xff, 0xfe])]),
        ("ip6.daddr = 2001:db8::5; ip6.hop_limit = 1;", &[udp6, icmp6], &[(21, &[1]), (38, &[0x20, 1, 0xd, 0xb8]), (53, &[5])]),
        ("ip6.flow_label = 0x12345;", &[udp6], &[(14, &[0x60, 1, 0x23, 0x45])]),
        ("tcp.dport = 8080; tcp.flags.syn = 1; tcp.seq = tcp.seq + 70000;", &[tcp4], &[(36, &[0x1f, 0x90])]),
        ("udp.dport = 5353; udp.sport = 1;", &[udp4, udp6], &[]),
        ("icmp.id = 99;", &[icmp4], &[(38, &[0, 99])]),
        ("icmp6.seq = 0xabcd;", &[icmp6], &[(60, &[0xab, 0xcd])]),
        ("eth.dst = 02:00:00:00:00:09; eth.src = 02:aa:00:00:00:08;", &[tcp4, udp6], &[(0, &[2, 0, 0, 0, 0, 9, 2, 0xaa])]),
        ("for $i : 0..3 { ip.ttl -= 1; }", &[tcp4], &[(22, &[61])]),
    ];
    for (probe, pass) in [("xdp:lo", 2u32), ("tc:lo:ingress", u32::MAX)] {
        for (body, packets, bytes) in cases.iter() {
            let Some(bench) = Bench::new(&format!("{probe} {{ {body} }}")) else { return };
            for make in *packets {
                let what = format!("{probe} {body}");
                let before = make();
                check(&before, &what);
                let run = bench.run(&before).expect("a good packet");
                assert_eq!((run.verdict, run.packet.len()), (pass, before.len()), "{what}");
                check(&run.packet, &what);
                for (at, want) in *bytes {
                    assert_eq!(&run.packet[*at..*at + want.len()], *want, "{what}");
                }
            }
        }
    }
}

#[test]
fn without_enforce_nothing_is_written() {
    let Some(bench) = Bench::observing("xdp:lo { ip.ttl = 1; return DROP; }") else { return };
    let before = tcp4();
    let run = bench.run(&before).expect("a good packet");
    assert_eq!((run.verdict, run.packet), (2, before));
}

#[test]
fn sizes_change() {
    let Some(bench) =
        Bench::new("xdp:lo { if (udp) { adjust_tail(-17); $n = pkt.len; adjust_head(-4); if (pkt.len == $n + 4) { return TX; } } }")
    else {
        return;
    };
    let before = udp4();
    let run = bench.run(&before).expect("a good packet");
    assert_eq!((run.verdict, run.packet.len()), (3, before.len() - 17 + 4));
    let Some(bench) =
        Bench::new("tc:lo:ingress { if (ip) { vlan_push(7); } if (skb.vlan_tci == 7) { vlan_pop(); if (ip.ttl == 64) { return DROP; } } }")
    else {
        return;
    };
    assert_eq!(bench.run(&before).expect("a good packet").verdict, 2);
}

#[test]
fn bytes_of_the_payload_are_compared() {
    let Some(bench) = Bench::new("xdp:lo /payload[0..5] == \"seven\" && payload[3] == 101 && payload[5..7] != \"xx\"/ { return DROP; }")
    else {
        return;
    };
    for make in [tcp4 as fn() -> Vec<u8>, udp6, icmp4] {
        assert_eq!(bench.run(&make()).expect("a good packet").verdict, 1);
    }
    let mut other = udp6();
    other[62] = b'S';
    assert_eq!(bench.run(&other).expect("a good packet").verdict, 2);
}

#[test]
fn records_and_keys_of_what_may_be_missing() {
    let script =
        "PROBE { printf(\"%s %d %s %s\\n\", ip.saddr, tcp.dport, payload[0..4], eth.src); print(ip6.saddr); @[eth.src, ip6.saddr] = 1;
        for $i : 0..2000 { if ($i == tcp.sport) { @found = 1; return DROP; } } if (tcp.sport == 7 || udp.sport == 4000) { @x = 1; } }";
    for (probe, drop) in [("xdp:lo", 1), ("tc:lo:ingress", 2)] {
        let Some(bench) = Bench::new(&script.replace("PROBE", probe).replace("print(ip6.saddr); @[eth.src, ip6.saddr] = 1;", "")) else {
            return;
        };
        let mut near = tcp4();
        (near[34], near[35]) = (0, 99);
        assert_eq!((bench.run(&near).expect("good").verdict, bench.number("found")), (drop, 1));
        assert_eq!(bench.number("x"), 0);
        Bench::new(&script.replace("PROBE", probe)).expect("loads");
    }
    let script = "cgroup_connect4:PATH { printf(\"%s %d\\n\", args.user_ip4, args.user_port); }";
    if let Some(cgroup) = crate::cgroup::Cgroup::new() {
        Bench::new(&script.replace("PATH", &cgroup.path)).expect("loads");
    }
}
