//! Names in DNS questions: real ones on a wire, and broken ones against an implementation of our own.

use crate::bench::Bench;
use crate::net::{Net, run};
use etherparse::PacketBuilder;

/// Labels as the protocol has them.
fn wire(labels: &[&[u8]]) -> Vec<u8> {
    let mut out: Vec<u8> = labels.iter().flat_map(|l| [&[l.len() as u8], *l].concat()).collect();
    out.push(0);
    out
}

fn message(count: u16, rest: &[u8]) -> Vec<u8> {
    [&[0x12, 0x34, 1, 0][..], &count.to_be_bytes(), &[0; 6], rest].concat()
}

fn question(name: &[u8], kind: u16) -> Vec<u8> {
    message(1, &[name, &kind.to_be_bytes(), &[0, 1]].concat())
}

/// What there is to say of a message: its name, and the type behind it. `None`: it has no such part.
fn parse(message: &[u8]) -> (Option<String>, Option<u16>) {
    if message.len() < 12 || message[4..6] == [0, 0] {
        return (None, None);
    }
    let (mut at, mut labels): (usize, Vec<String>) = (12, Vec::new());
    loop {
        match message.get(at) {
            Some(0) => break,
            Some(n @ 1..=63) => {
                let Some(label) = message.get(at + 1..at + 1 + usize::from(*n)) else { return (None, None) };
                let shown = |b: &u8| if b.is_ascii_graphic() && *b != b'.' { char::from(*b) } else { '?' };
                labels.push(label.iter().map(shown).collect());
                at += 1 + usize::from(*n);
            }
            _ => return (None, None),
        }
    }
    let name = if labels.is_empty() { ".".into() } else { labels.join(".") };
    if name.len() > 253 {
        return (None, None);
    }
    let kind = message.get(at + 1..at + 3).map(|b| u16::from_be_bytes([b[0], b[1]]));
    (Some(name), kind)
}

/// Counts how far it came, so that a run that ends early is seen.
const SCRIPT: &str = "@step = 0; if (dns) { @name = dns.qname; @step = 1; @type = dns.qtype; @step = 2; }";

fn compare(bench: &Bench, before: usize, link: bool, message: &[u8]) {
    let mut packet = Vec::new();
    if link {
        let b = PacketBuilder::ethernet2([2; 6], [2; 6]).ipv4([10, 0, 0, 1], [10, 0, 0, 2], 9).udp(4000, 53);
        b.write(&mut packet, message).expect("fits");
    } else {
        PacketBuilder::ipv6([1; 16], [2; 16], 9).udp(53, 4000).write(&mut packet, message).expect("fits");
    }
    bench.run(&[vec![0; before], packet].concat()).unwrap_or_else(|e| panic!("{e}"));
    let step = bench.number("step");
    let name = (step >= 1).then(|| bench.text("name"));
    let kind = (step == 2).then(|| bench.number("type") as u16);
    assert_eq!((name, kind), parse(message), "{message:02x?}");
}

/// Names that somebody thought of.
fn known(bench: &Bench, before: usize, link: bool) {
    let long = [b'a'; 63];
    let many = |n: usize| wire(&vec![&b"x"[..]; n]);
    for name in [
        wire(&[b"www", b"example", b"org"]),
        wire(&[]),
        wire(&[&long, &long, &long, &long[..61]]),
        wire(&[&long, &long, &long, &long[..62]]),
        many(126),
        many(127),
        many(128),
        many(200),
        wire(&[b"\x1b[31m", b"a.b", b"a\0b", "é".as_bytes()]),
        b"\xc0\x0c".to_vec(),
        b"\x03www\xc0\x0c".to_vec(),
        [&[64][..], &[b'a'; 64], &[0]].concat(),
        b"\x05ab".to_vec(),
        Vec::new(),
    ] {
        for kind in [1, 28, 255, 65535] {
            compare(bench, before, link, &question(&name, kind));
        }
        compare(bench, before, link, &message(0, &name));
        compare(bench, before, link, &message(1, &name));
        compare(bench, before, link, &message(1, &name[..name.len() / 2]));
        compare(bench, before, link, &message(9, &[&name[..], &[0]].concat()));
    }
}

/// Lengths that are nearly right, letters of any kind, an end anywhere.
fn fuzz(bench: &Bench, before: usize, link: bool, mut seed: u64, turns: usize) {
    let mut below = |n: u64| {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (seed >> 33) % n
    };
    for _ in 0..turns {
        let mut name = Vec::new();
        let most = if below(9) == 0 { 140 } else { 6 };
        for _ in 0..below(most) {
            let n = match below(12) {
                0 => below(64),
                1 => 63,
                2 => 1,
                _ => 1 + below(12),
            };
            name.push(if below(40) == 0 { below(256) as u8 } else { n as u8 });
            name.extend((0..n).map(|_| if below(8) == 0 { below(256) as u8 } else { b'a' + below(26) as u8 }));
        }
        name.push(0);
        let mut m = question(&name, below(300) as u16);
        if below(3) == 0 {
            let end = below(m.len() as u64 + 1) as usize;
            m.truncate(end);
        }
        compare(bench, before, link, &m);
    }
}

#[test]
fn xdp_reads_names() {
    let Some(bench) = Bench::new(&format!("xdp:lo {{ {SCRIPT} }}")) else { return };
    known(&bench, 0, true);
    fuzz(&bench, 0, true, 1, 100_000);
}

#[test]
fn tc_and_sockets_read_names() {
    let Some(tc) = Bench::new(&format!("tc:lo:ingress {{ {SCRIPT} }}")) else { return };
    known(&tc, 0, true);
    fuzz(&tc, 0, true, 2, 20_000);
    let Some(socket) = Bench::new(&format!("socket:lo {{ {SCRIPT} }}")) else { return };
    known(&socket, 14, true);
    fuzz(&socket, 14, true, 3, 20_000);
}

#[test]
fn cgroups_read_names() {
    let Some(cgroup) = crate::cgroup::Cgroup::new() else { return };
    let Some(bench) = Bench::new(&format!("cgroup_skb:{}:egress {{ {SCRIPT} }}", cgroup.path)) else { return };
    known(&bench, 14, false);
    fuzz(&bench, 14, false, 4, 20_000);
}

#[test]
fn names_on_a_wire() {
    let Some(net) = Net::new() else { return };
    let send = |from: &str, to: &str, message: &[u8]| {
        let bytes: String = message.iter().map(|b| format!("\\x{b:02x}")).collect();
        run("ip", &["netns", "exec", from, "bash", "-c", &format!("printf '%b' '{bytes}' > /dev/udp/{to}/53")]);
    };
    let tool = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/net/dns_queries.bt");
    let awl = net.start(&[tool, "near"]);
    for _ in 0..2 {
        send(&net.there, "10.9.0.1", &question(&wire(&[b"www", b"example", b"org"]), 1));
    }
    send(&net.there, "fd00:9::1", &question(&wire(&[b"six", b"example"]), 28));
    send(&net.there, "10.9.0.1", &question(b"\x03bad\xc0\x0c", 1));
    send(&net.here, "10.9.0.2", &question(&wire(&[b"out"]), 1));
    std::thread::sleep(std::time::Duration::from_millis(300));
    let (out, err) = awl.stop();
    let lines: Vec<&str> = out.lines().filter(|l| !l.is_empty()).collect();
    let expected = ["@questions[10.9.0.1, out]: 1", "@questions[10.9.0.2, www.example.org]: 2", "@questions6[fd00:9::2, six.example]: 1"];
    assert_eq!(lines, expected, "{err}");
}
