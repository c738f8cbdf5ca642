//! Packets of all kinds, broken ones above all, against an implementation that shares nothing with awl's: what a program sees
//! of each is what that says, and the verifier has agreed that nothing is read beyond the end.

use crate::bench::Bench;

/// Each header that is there changes `$d` by all of its fields that tell something.
pub const DIGEST: &str = r#"
    $d = (uint64)7;
    if (eth) { $d = $d * 31 + eth.type + 1; }
    if (vlan) { $d = $d * 31 + vlan.id * 3 + vlan.pcp * 5 + vlan.type + 2; }
    if (arp) { $d = $d * 31 + arp.op * 3 + (uint64)arp.spa + (uint64)arp.tpa + 3; }
    if (ip) { $d = $d * 31 + (uint64)ip.saddr + (uint64)ip.daddr + ip.protocol * 7 + ip.ttl + ip.frag_off + ip.mf * 11 + ip.ihl * 13 + ip.len + 4; }
    if (ip6) { $d = $d * 31 + ip6.nexthdr * 3 + ip6.hop_limit + ip6.payload_len + ip6.flow_label + ip6.traffic_class * 5 + 5; }
    if (tcp) { $d = $d * 31 + tcp.sport * 3 + tcp.dport + tcp.seq + tcp.flags.syn * 5 + tcp.flags.ack * 7 + tcp.flags.fin * 11 + tcp.doff * 13 + 6; }
    if (udp) { $d = $d * 31 + udp.sport * 3 + udp.dport + udp.len + 7; }
    if (icmp) { $d = $d * 31 + icmp.type * 3 + icmp.code + 8; }
    if (icmp6) { $d = $d * 31 + icmp6.type * 3 + icmp6.code + 9; }
    if (dns) { $d = $d * 31 + dns.id * 3 + dns.qr + dns.rcode * 5 + dns.qdcount + 10; }
    if (payload) { $d = $d * 31 + payload[0] + 11; }
    @d = $d;
    $b = payload[3];
    @d = $d * 31 + $b;
"#;

fn be(p: &[u8], at: usize, n: usize) -> Option<u64> {
    let bytes = p.get(at..at + n)?;
    Some(bytes.iter().fold(0, |v, b| v << 8 | u64::from(*b)))
}

/// What the script above says of a packet whose network header (by Ethernet's number) lies at a place.
pub fn digest(p: &[u8], link: bool) -> u64 {
    let mut d = 7u64;
    let mut add = |v: u64| d = d.wrapping_mul(31).wrapping_add(v);
    let mut kind = 0;
    let mut at = 0;
    if link {
        if p.len() < 14 {
            return d;
        }
        kind = be(p, 12, 2).unwrap();
        at = 14;
        add(kind + 1);
        let is_tag = |k| matches!(k, 0x8100 | 0x88a8 | 0x9100);
        if is_tag(kind)
            && let (Some(tci), Some(t)) = (be(p, 14, 2), be(p, 16, 2))
        {
            add((tci & 0xfff) * 3 + (tci >> 13) * 5 + t + 2);
        }
        for _ in 0..3 {
            if is_tag(kind) {
                kind = be(p, at + 2, 2).unwrap_or(0);
                at += 4;
            }
        }
    } else if let Some(first) = p.first() {
        kind = match first >> 4 {
            4 => 0x800,
            6 => 0x86dd,
            _ => 0,
        };
    }
    if kind == 0x806 && p.len() >= at + 28 && p[at + 4] == 6 && p[at + 5] == 4 {
        add(be(p, at + 6, 2).unwrap() * 3 + be(p, at + 14, 4).unwrap() + be(p, at + 24, 4).unwrap() + 3);
    }
    let mut next: Option<(u64, usize)> = None;
    let v4 = kind == 0x800 && p.len() >= at + 20 && p[at] >> 4 == 4 && p[at] & 15 >= 5;
    let v6 = kind == 0x86dd && p.len() >= at + 40 && p[at] >> 4 == 6;
    if v4 {
        let n = |o, l| be(p, at + o, l).unwrap();
        let ihl = n(0, 1) & 15;
        add(n(12, 4) + n(16, 4) + n(9, 1) * 7 + n(8, 1) + (n(6, 2) & 0x1fff) + (n(6, 2) >> 13 & 1) * 11 + ihl * 13 + n(2, 2) + 4);
        if n(6, 2) & 0x1fff == 0 {
            next = Some((n(9, 1), at + 4 * ihl as usize));
        }
    }
    if v6 {
        let n = |o, l| be(p, at + o, l).unwrap();
        add(n(6, 1) * 3 + n(7, 1) + n(4, 2) + (n(0, 4) & 0xfffff) + (n(0, 4) >> 20 & 0xff) * 5 + 5);
        let (mut proto, mut place, mut turns) = (n(6, 1), at + 40, 0);
        next = loop {
            if !matches!(proto, 0 | 43 | 44 | 51 | 60) {
                break Some((proto, place));
            }
            if turns == 8 || p.len() < place + 8 {
                break None;
            }
            turns += 1;
            let length = usize::from(p[place + 1]);
            let step = match proto {
                44 if be(p, place + 2, 2).unwrap() & 0xfff8 != 0 => break None,
                44 => 8,
                51 => (length + 2) * 4,
                _ => (length + 1) * 8,
            };
            proto = u64::from(p[place]);
            place += step;
            if place > 0x3fff {
                break None;
            }
        };
    }
    let mut behind = None;
    if let Some((proto, at)) = next {
        let n = |o, l| be(p, at + o, l).unwrap();
        match proto {
            6 if p.len() >= at + 20 => {
                let f = n(13, 1);
                let bit = |i: u32| f >> i & 1;
                add(n(0, 2) * 3 + n(2, 2) + n(4, 4) + bit(1) * 5 + bit(4) * 7 + bit(0) * 11 + (n(12, 1) >> 4) * 13 + 6);
                behind = (n(12, 1) >> 4 >= 5).then(|| at + 4 * (n(12, 1) >> 4) as usize);
            }
            17 if p.len() >= at + 8 => add(n(0, 2) * 3 + n(2, 2) + n(4, 2) + 7),
            1 if v4 && p.len() >= at + 8 => add(n(0, 1) * 3 + n(1, 1) + 8),
            58 if v6 && p.len() >= at + 8 => add(n(0, 1) * 3 + n(1, 1) + 9),
            _ => {}
        }
        if proto == 17 && p.len() >= at + 20 && (n(0, 2) == 53 || n(2, 2) == 53) {
            let at = at + 8;
            let n = |o, l| be(p, at + o, l).unwrap();
            add(n(0, 2) * 3 + (n(2, 2) >> 15) + (n(2, 2) & 15) * 5 + n(4, 2) + 10);
        }
        if matches!(proto, 1 | 17 | 58) {
            behind = Some(at + 8);
        }
    }
    if let Some(b) = behind.and_then(|at| p.get(at)) {
        add(u64::from(*b) + 11);
    }
    if let Some(b) = behind.and_then(|at| p.get(at + 3)) {
        add(u64::from(*b));
    }
    d
}

/// A generator of its own, so that a run is the same everywhere.
pub struct Random(pub u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    pub fn below(&mut self, n: u64) -> u64 {
        (self.next() >> 11) % n
    }

    fn of<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len() as u64) as usize]
    }
}

/// A packet that is nearly right: headers that fit together, then some damage, then an end anywhere.
pub fn packet(r: &mut Random, link: bool) -> Vec<u8> {
    let mut p: Vec<u8> = Vec::new();
    let v6 = r.below(2) == 0;
    let kind: u16 = match r.below(8) {
        0 => 0x0806,
        1 => r.next() as u16,
        _ if v6 => 0x86dd,
        _ => 0x0800,
    };
    if link {
        p.extend((0..12).map(|_| r.next() as u8));
        for _ in 0..r.below(5).saturating_sub(1) {
            p.extend(r.of(&[0x8100u16, 0x88a8, 0x9100]).to_be_bytes());
            p.extend((r.next() as u16).to_be_bytes());
        }
        p.extend(kind.to_be_bytes());
    }
    let proto = r.of(&[6u8, 17, 1, 58, 17, 6, 47]);
    match kind {
        0x0806 => p.extend([0, 1, 8, 0, 6, 4, 0, 1]),
        0x86dd => {
            let chain: Vec<u8> = (0..r.below(10).saturating_sub(5)).map(|_| r.of(&[0u8, 43, 44, 51, 60])).collect();
            p.extend([0x60 | r.below(16) as u8, r.next() as u8, r.next() as u8, r.next() as u8, 0, 40]);
            p.extend([*chain.first().unwrap_or(&proto), 64]);
            p.extend((0..32).map(|_| r.next() as u8));
            for (i, kind) in chain.iter().enumerate() {
                let next = *chain.get(i + 1).unwrap_or(&proto);
                let length = r.below(3) as u8;
                let bytes = match kind {
                    44 => 8,
                    51 => (usize::from(length) + 2) * 4,
                    _ => (usize::from(length) + 1) * 8,
                };
                let mut e = vec![0u8; bytes.max(8)];
                e.truncate(bytes);
                e[0] = next;
                e[1] = length;
                if *kind == 44 && r.below(4) == 0 {
                    e[2] = r.next() as u8;
                }
                p.extend(e);
            }
        }
        _ => {
            let words = r.of(&[5u8, 5, 5, 6, 15, 4, 0]);
            let fragment = if r.below(5) == 0 { r.next() as u16 } else { 0x4000 };
            p.extend([0x40 | words, 0, 0, 60, 1, 2]);
            p.extend(fragment.to_be_bytes());
            p.extend([64, proto, 0, 0]);
            p.extend((0..8).map(|_| r.next() as u8));
            p.extend(vec![1; usize::from(words.saturating_sub(5)) * 4]);
        }
    }
    let port = |r: &mut Random| r.of(&[53u16, 80, 443, r.0 as u16]).to_be_bytes();
    p.extend(port(r));
    p.extend(port(r));
    p.extend((0..8).map(|_| r.next() as u8));
    p.push(r.of(&[5u8, 5, 6, 15, 4, 0]) << 4);
    p.push(r.next() as u8);
    p.extend((0..r.below(80)).map(|_| r.next() as u8));
    for _ in 0..r.below(4).saturating_sub(1) {
        let at = r.below(p.len() as u64) as usize;
        p[at] = r.next() as u8;
    }
    if r.below(3) == 0 {
        p.truncate(r.below(p.len() as u64 + 1) as usize);
    }
    p
}

/// The kernel wants 14 bytes at least.
const SHORTEST: usize = 14;

/// `link`: the packet begins with Ethernet; `before`: bytes that the kernel takes away before the program sees it.
fn fuzz(probe: &str, link: bool, before: usize, seed: u64) {
    let Some(bench) = Bench::new(&format!("{probe} {{ {DIGEST} }}")) else { return };
    let mut r = Random(seed);
    let (mut i, mut seen) = (0, 0);
    while seen < 100_000 {
        i += 1;
        assert!(i < 200_000, "the kernel refused most packets");
        let mut p = packet(&mut r, link);
        if before == 0 && p.len() < SHORTEST {
            p.resize(SHORTEST, 0);
        }
        if p.is_empty() {
            p.push(0);
        }
        match bench.run(&[vec![0; before], p.clone()].concat()) {
            Ok(_) => seen += 1,
            Err(e) if e.raw_os_error() == Some(22) => continue,
            Err(e) => panic!("{e}: {p:02x?}"),
        }
        let (have, want) = (bench.number("d") as u64, digest(&p, link));
        assert_eq!(have, want, "packet {i} of seed {seed}: {p:02x?}");
    }
}

#[test]
fn xdp_sees_what_is_there() {
    fuzz("xdp:lo", true, 0, 0x1234_5678_9abc_def1);
}

#[test]
fn tc_sees_what_is_there() {
    fuzz("tc:lo:ingress", true, 0, 0x2234_5678_9abc_def1);
}

#[test]
fn a_socket_sees_what_is_there() {
    fuzz("socket:lo", true, SHORTEST, 0x3234_5678_9abc_def1);
}

#[test]
fn a_cgroup_sees_what_is_there() {
    if let Some(cgroup) = crate::cgroup::Cgroup::new() {
        fuzz(&format!("cgroup_skb:{}:egress", cgroup.path), false, SHORTEST, 0x4234_5678_9abc_def1);
    }
}

/// Conditions mean the same in any order and in one another, whatever was looked for first.
#[test]
fn conditions_in_any_order() {
    const JOINED: &str = r#"{
        $s = 0;
        if (tcp && ip) { $s += 1 + (tcp.dport == 80) * 2 + (ip.ttl == 64) * 4; } else { $s += 8; }
        if (udp && eth.type == 0x86dd && ip6 && udp.sport != 53) { $s += 16; }
        if (!(tcp && ip6)) { $s += 32; }
        if ((icmp && ip) || (icmp6 && ip6)) { $s += 64; }
        if (udp && ip) { $s += ip.id == 258 && udp.dport == 443 ? 256 : 128; }
        if (tcp && ip && tcp.sport == 443 && ip.frag_off == 0 && !vlan) { $s += 512; }
        @ = $s;
    }"#;
    const NESTED: &str = r#"{
        $s = 0;
        if (ip) { if (tcp) { $s += 1; if (tcp.dport - 80 == 0) { $s += 2; } if (ip.ttl - 64 == 0) { $s += 4; } } else { $s += 8; } } else { $s += 8; }
        if (ip6) { if (udp) { if (eth.type - 0x86dd == 0) { if (udp.sport - 53 != 0) { $s += 16; } } } }
        $both = 0; if (ip6) { if (tcp) { $both = 1; } }
        $s += 32 - $both * 32;
        if (icmp) { $s += 64; } else { if (icmp6) { $s += 64; } }
        if (ip) { if (udp) { if (ip.id - 258 == 0) { if (udp.dport - 443 == 0) { $s += 128; } } $s += 128; } }
        if (ip) { if (ip.frag_off < 1) { if (tcp) { if (tcp.sport - 443 == 0) { if (vlan) { } else { $s += 512; } } } } }
        @ = $s;
    }"#;
    const FILTER: &str = "/tcp.dport == 80 && ip.saddr != 0.0.0.0/2 && ip.len == 60/ { @ = 1; }";
    const FILTERED: &str = "{ if (ip) { if (tcp) { if (tcp.dport - 80 == 0) { if (ip.saddr == 0.0.0.0/2) { } else { if (ip.len - 60 == 0) { @ = 1; } } } } } }";
    for (one, other) in [(JOINED, NESTED), (FILTER, FILTERED)] {
        for probe in ["xdp:lo", "tc:lo:ingress"] {
            let script = |body| Bench::new(&format!("{probe} {body}"));
            let (Some(one), Some(other)) = (script(one), script(other)) else { return };
            let mut r = Random(0x5234_5678_9abc_def1);
            for i in 0..50_000 {
                let mut p = packet(&mut r, true);
                p.resize(p.len().max(SHORTEST), 0);
                if let (Ok(_), Ok(_)) = (one.run(&p), other.run(&p)) {
                    assert_eq!(one.number(""), other.number(""), "{probe}, packet {i}: {p:02x?}");
                }
            }
        }
    }
}

/// Runs a tool of the examples for 100,000 packets. `verdicts`: all that it may say.
fn fuzz_tool(name: &str, params: &[&str], (link, before): (bool, usize), verdicts: &[u32], seed: u64) {
    let path = format!("{}/examples/net/{name}.bt", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("the tool");
    let Some(bench) = Bench::tool(&text, params) else { return };
    let programs = bench.packet_programs();
    assert!(!programs.is_empty(), "{name}");
    let mut r = Random(seed);
    let (mut seen, mut refused, mut acted) = (0, 0, 0);
    while seen < 100_000 {
        let mut p = packet(&mut r, link);
        p.resize(p.len().max(if before == 0 { SHORTEST } else { 1 }), 0);
        // Some are of the addresses that the tools look for.
        if r.below(3) == 0 && link && p.len() > 34 {
            p[26..34].copy_from_slice(&[192, 0, 2, r.below(5) as u8, 192, 0, 2, r.below(5) as u8]);
        }
        match bench.try_program(programs[seen % programs.len()], &[vec![0; before], p.clone()].concat()) {
            Ok(run) => {
                assert!(verdicts.contains(&run.verdict), "{name}: {}: {p:02x?}", run.verdict);
                acted += u32::from(run.verdict != verdicts[0]);
                if name == "xdp_drop_cidr" {
                    assert_eq!(run.verdict == 1, source(&p).is_some_and(|s| s >> 8 == 0xc00002), "{p:02x?}");
                }
                seen += 1;
            }
            Err(e) => {
                assert_eq!(e.raw_os_error(), Some(22), "{name}: {e}: {p:02x?}");
                refused += 1;
                assert!(refused < 100_000, "the kernel refused most packets");
            }
        }
    }
    assert!(acted > 0 || verdicts.len() == 1, "{name} never did anything");
}

/// The IPv4 source of a packet on Ethernet.
fn source(p: &[u8]) -> Option<u64> {
    let (mut kind, mut at) = (be(p, 12, 2)?, 14);
    for _ in 0..3 {
        if matches!(kind, 0x8100 | 0x88a8 | 0x9100) {
            kind = be(p, at + 2, 2)?;
            at += 4;
        }
    }
    let good = kind == 0x800 && p.len() >= at + 20 && p[at] >> 4 == 4 && p[at] & 15 >= 5;
    good.then(|| be(p, at + 12, 4)).flatten()
}

const ON_LINK: (bool, usize) = (true, 0);

#[test]
fn tools_of_xdp_stand_any_packet() {
    fuzz_tool("xdp_drop_cidr", &["lo", "192.0.2.0/24"], ON_LINK, &[2, 1], 11);
    fuzz_tool("xdp_ddos_guard", &["lo", "1"], ON_LINK, &[2, 1], 12);
    let pair = ["lo", "192.0.2.1", "192.0.2.2", "02:00:00:00:00:11", "192.0.2.3", "02:00:00:00:00:12"];
    fuzz_tool("xdp_load_balancer", &pair, ON_LINK, &[2, 3], 13);
}

#[test]
fn tools_of_tc_stand_any_packet() {
    let next = u32::MAX;
    fuzz_tool("tc_rate_limit", &["lo", "10"], ON_LINK, &[next, 2], 21);
    fuzz_tool("tc_top_talkers", &["lo"], ON_LINK, &[next], 22);
    fuzz_tool("tcp_handshake_latency", &["lo"], ON_LINK, &[next], 23);
}

#[test]
fn tools_of_sockets_and_cgroups_stand_any_packet() {
    fuzz_tool("dns_queries", &["lo"], (true, SHORTEST), &[0], 31);
    let Some(cgroup) = crate::cgroup::Cgroup::new() else { return };
    let below = (false, SHORTEST);
    fuzz_tool("cgroup_egress_allow", &[&cgroup.path, "10.0.0.0/8"], below, &[1, 0], 32);
    fuzz_tool("tc_mark_cgroup", &[&cgroup.path, "7"], below, &[1], 33);
}
