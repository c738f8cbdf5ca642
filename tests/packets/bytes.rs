//! Text and bytes of a packet from places that its own bytes say.

use crate::bench::Bench;

/// A datagram of a byte that says where a text begins, one that says how long it is, and these.
fn datagram(at: u8, len: u8, rest: &[u8]) -> Vec<u8> {
    let mut packet = Vec::new();
    etherparse::PacketBuilder::ethernet2([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2])
        .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
        .udp(1000, 9)
        .write(&mut packet, &[&[at, len], rest].concat())
        .expect("fits");
    packet
}

#[test]
fn texts_and_bytes_are_as_long_as_the_packet_says() {
    const SCRIPT: &str = r#"PROBE /udp/ {
        @text = str(payload + payload[0], payload[1]); @four = str(payload + payload[0], 4); @all = str(payload + payload[0]);
        @bytes = buf(payload + payload[0], 4) == "exam" ? 1 : 0;
        @same = memcmp(payload + payload[0], "example", 7) == 0 ? 1 : 2;
        @runs++;
    }"#;
    let cgroup = crate::cgroup::Cgroup::new();
    let path = cgroup.as_ref().map(|c| format!("cgroup_skb:{}:ingress", c.path));
    let probes = [("xdp:lo", 0, true), ("tc:lo:ingress", 0, true), ("socket:lo", 14, true)];
    for (probe, before, link) in probes.into_iter().chain(path.as_deref().map(|p| (p, 14, false))) {
        let run = |packet: &[u8]| {
            let bench = Bench::new(&SCRIPT.replace("PROBE", probe))?;
            let seen = if link { packet } else { &packet[14..] };
            bench.run(&[vec![0; before], seen.to_vec()].concat()).expect("it runs");
            let numbers = ["bytes", "same", "runs"].map(|name| bench.number(name));
            // A run that ended before has left none.
            let text = |name| if numbers[2] + numbers[0] == 0 { String::new() } else { bench.text(name) };
            Some((["text", "four", "all"].map(text), numbers))
        };
        let Some(seen) = run(&datagram(5, 7, b"---example.org\0hidden")) else { return };
        assert_eq!(seen, (["example", "exam", "example.org"].map(str::to_owned), [1, 1, 1]), "{probe}");
        // Less than was asked for: what there is. A comparison with what isn't there ends the run.
        assert_eq!(run(&datagram(5, 200, b"---exam")), Some((["exam"; 3].map(str::to_owned), [1, 0, 0])), "{probe}");
        // From behind the end on: nothing, and the run ends.
        for at in [7, 200] {
            assert_eq!(run(&datagram(at, 1, b"-----")), Some(([""; 3].map(str::to_owned), [0, 0, 0])), "{probe}");
        }
        let seen = run(&datagram(2, 0, b"example"));
        assert_eq!(seen, Some((["", "exam", "example"].map(str::to_owned), [1, 1, 1])), "{probe}");
    }
}
