//! `skboutput`: pings in a network namespace of their own, read back from the pcap file by a parser of our own.

mod common;

use common::{awl, may_load, text};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

struct Packet {
    /// microseconds since the epoch
    time: u64,
    length: u32,
    bytes: Vec<u8>,
}

/// A file as `pcap-savefile(5)` describes it, in this machine's byte order: its link type and packets.
fn read(file: &[u8]) -> (u32, Vec<Packet>) {
    let word = |at: usize| u32::from_ne_bytes(file[at..at + 4].try_into().unwrap());
    assert_eq!((word(0), word(4)), (0xa1b2_c3d4, u32::from_ne_bytes([2, 0, 4, 0])));
    let (mut at, mut packets) = (24, Vec::new());
    while at < file.len() {
        let n = word(at + 8) as usize;
        let time = u64::from(word(at)) * 1_000_000 + u64::from(word(at + 4));
        packets.push(Packet { time, length: word(at + 12), bytes: file[at + 16..at + 16 + n].to_vec() });
        at += 16 + n;
    }
    assert_eq!(at, file.len());
    (word(20), packets)
}

/// The sum of a header with its own checksum in it.
fn sum(bytes: &[u8]) -> u16 {
    let all: u32 = bytes.chunks(2).map(|c| u32::from(c[0]) << 8 | u32::from(*c.get(1).unwrap_or(&0))).sum();
    ((all & 0xffff) + (all >> 16)) as u16
}

#[test]
fn packets_of_pings() {
    if !may_load() {
        return;
    }
    if ["ping", "ip", "unshare"].iter().any(|c| Command::new(c).arg("-V").output().is_err()) {
        return println!("skipped: needs iproute2, iputils-ping and util-linux");
    }
    let dir = std::env::temp_dir().join(format!("awl-skb-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    let file = |name: &str| dir.join(name).display().to_string();
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64;
    // By lengths that nothing else here has: who runs when a packet comes in is anybody.
    let script = format!(
        "rawtracepoint:netif_receive_skb /args.skb.len == 1031 || args.skb.len == 40035/ {{
            @[skboutput(\"{}\", args.skb, args.skb.len, 0)] = count();
            skboutput(\"{}\", args.skb, 60, 20);
            @behind[skboutput(\"{}\", args.skb, args.skb.len + 1, 0)] = count();
            skboutput(\"{}\", args.skb, 10, 50);
        }}",
        file("whole"),
        file("part"),
        file("none"),
        file("less")
    );
    let pings = "unshare -n sh -c 'ip link set lo up; ping -q -c 3 -i 0.2 -s 1003 127.0.0.1 >/dev/null; ping -q -c 1 -s 40007 127.0.0.1 >/dev/null'";
    let before = now();
    let got = awl(&["-q", "-c", &format!("sh -c \"{}\"", pings.replace('"', "\\\"")), "-e", &script]);
    let after = now();
    let said = text(&got.stdout);
    assert!(said.contains("@behind[-14]: 8\n") && said.contains("@[0]: 8\n"), "{said}{}", text(&got.stderr));

    let (link, packets) = read(&std::fs::read(file("whole")).unwrap());
    // LINKTYPE_RAW
    assert_eq!(link, 101);
    let kinds: Vec<u8> = packets.iter().map(|p| p.bytes[20]).collect();
    // echo requests and their replies
    assert_eq!(kinds, [8, 0, 8, 0, 8, 0, 8, 0], "{said}");
    for (p, data) in packets.iter().zip([1003, 1003, 1003, 1003, 1003, 1003, 40_007, 40_007]) {
        let ip = &p.bytes;
        assert_eq!((ip.len(), p.length as usize), (28 + data, 28 + data));
        assert_eq!((ip[0], ip[9], &ip[12..20]), (0x45, 1, &[127, 0, 0, 1, 127, 0, 0, 1][..]));
        assert_eq!(sum(&ip[..20]), 0xffff, "the IP header's checksum");
        assert_eq!(sum(&ip[20..]), 0xffff, "the checksum of all of ICMP");
        assert!((before..=after).contains(&p.time), "{before} {} {after}", p.time);
    }
    let (_, parts) = read(&std::fs::read(file("part")).unwrap());
    assert!(parts.iter().zip(&packets).all(|(part, p)| part.bytes == p.bytes[20..60] && part.length == 40) && parts.len() == 8);
    // Nothing of a packet that was refused, or that ends before it begins.
    assert_eq!(read(&std::fs::read(file("none")).unwrap()).1.len(), 0);
    assert!(read(&std::fs::read(file("less")).unwrap()).1.iter().all(|p| p.bytes.is_empty() && p.length == 0));
    std::fs::remove_dir_all(&dir).unwrap();
}

#[test]
fn a_file_that_cannot_be_made() {
    if !may_load() {
        return;
    }
    let got = awl(&["-e", "rawtracepoint:netif_receive_skb { skboutput(\"/no/such/dir/x.pcap\", args.skb, 1, 0); }"]);
    assert!(text(&got.stderr).contains("error[output-file]") && got.status.code() != Some(0), "{}", text(&got.stderr));
}
