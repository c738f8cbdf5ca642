//! What is put around packets and taken off: the bytes that etherparse makes of the same.

use crate::bench::Bench;
use etherparse::{EtherType, Ethernet2Header, IpNumber, Ipv4Header, PacketBuilder, SingleVlanHeader, VlanId};

const FROM: [u8; 6] = [2, 0, 0, 0, 0, 1];
const TO: [u8; 6] = [2, 0, 0, 0, 0, 2];
const PASS: [(&str, u32); 2] = [("xdp:lo", 2), ("tc:lo:ingress", u32::MAX)];
const EINVAL: i64 = -22;

/// Ethernet with these tags, outermost first, around an IPv4 packet.
fn framed(tags: &[u16], ip: &[u8]) -> Vec<u8> {
    let mut types: Vec<EtherType> = tags.iter().map(|_| EtherType::VLAN_TAGGED_FRAME).collect();
    types.push(EtherType::IPV4);
    let mut out = Vec::new();
    Ethernet2Header { source: FROM, destination: TO, ether_type: types[0] }.write(&mut out).expect("it fits");
    for (id, ether_type) in tags.iter().zip(&types[1..]) {
        let vlan_id = VlanId::try_new(*id).expect("12 bits");
        SingleVlanHeader { vlan_id, ether_type: *ether_type, ..Default::default() }.write(&mut out).expect("it fits");
    }
    out.extend(ip);
    out
}

/// An IPv4 packet of UDP, with options (the length of IHL) where asked for.
fn udp(options: bool) -> Vec<u8> {
    let mut out = Vec::new();
    let mut ip = Ipv4Header::new(0, 61, IpNumber::UDP, [10, 9, 0, 2], [10, 9, 0, 1]).expect("short");
    ip.dscp = 46u8.try_into().expect("6 bits");
    if options {
        ip.options = [1u8; 8].as_slice().try_into().expect("a multiple of 4");
    }
    PacketBuilder::ip(etherparse::IpHeaders::Ipv4(ip, Default::default()))
        .udp(4000, 53)
        .write(&mut out, b"seventeen bytes !")
        .expect("fits");
    out
}

fn around(inner: &[u8], options: bool) -> Vec<u8> {
    let mut outer = Ipv4Header::new(inner.len() as u16, 64, IpNumber::IPV4, [192, 0, 2, 1], [198, 51, 100, 7]).expect("short");
    outer.dscp = 46u8.try_into().expect("6 bits");
    outer.dont_fragment = true;
    if options {
        outer.options = [1u8; 12].as_slice().try_into().expect("a multiple of 4");
    }
    outer.header_checksum = outer.calc_header_checksum();
    let mut out = Vec::new();
    outer.write(&mut out).expect("fits");
    out.extend(inner);
    out
}

/// What a body makes of a packet, and what its `$r` is.
fn after(probe: &str, pass: u32, body: &str, packet: &[u8]) -> Option<(Vec<u8>, i64)> {
    let bench = Bench::new(&format!("{probe} {{ $r = (int64)1; {body} @r = $r; }}"))?;
    let run = bench.run(packet).expect("a good packet");
    assert_eq!(run.verdict, pass, "{probe} {body}");
    Some((run.packet, bench.number("r")))
}

const PUSH: &str = "$r = ipip_push(192.0.2.1, 198.51.100.7);";

#[test]
fn an_ipv4_packet_goes_into_another_one_and_comes_out_again() {
    for (probe, pass) in PASS {
        for options in [false, true] {
            let inner = udp(options);
            let (plain, wrapped) = (framed(&[], &inner), framed(&[], &around(&inner, false)));
            let Some(done) = after(probe, pass, PUSH, &plain) else { return };
            assert_eq!(done, (wrapped.clone(), 0), "{probe}");
            assert_eq!(after(probe, pass, "$r = ipip_pop();", &wrapped), Some((plain.clone(), 0)), "{probe}");
            let long = framed(&[], &around(&inner, true));
            assert_eq!(after(probe, pass, "$r = ipip_pop();", &long), Some((plain.clone(), 0)), "{probe}: options");
            // Headers are looked for anew behind it.
            let both = format!("{PUSH} $r = ip.protocol; ipip_pop(); if (udp.dport == 53) {{ $r += 100; }}");
            assert_eq!(after(probe, pass, &both, &plain), Some((plain, 104)), "{probe}");
        }
    }
}

#[test]
fn in_xdp_behind_tags_as_well() {
    for tags in [&[7][..], &[7, 8], &[7, 8, 9]] {
        let inner = udp(true);
        let (plain, wrapped) = (framed(tags, &inner), framed(tags, &around(&inner, true)));
        let Some(done) = after("xdp:lo", 2, "$r = ipip_pop();", &wrapped) else { return };
        assert_eq!(done, (plain.clone(), 0), "{tags:?}");
        assert_eq!(after("xdp:lo", 2, PUSH, &plain), Some((framed(tags, &around(&inner, false)), 0)), "{tags:?}");
    }
}

#[test]
fn tags() {
    let ip = udp(false);
    let (none, one, two) = (framed(&[], &ip), framed(&[7], &ip), framed(&[0xabc, 7], &ip));
    let Some(done) = after("xdp:lo", 2, "$r = vlan_push(7);", &none) else { return };
    assert_eq!(done, (one.clone(), 0));
    assert_eq!(after("xdp:lo", 2, "vlan_push(7); $r = vlan_push(0xabc);", &none), Some((two.clone(), 0)));
    assert_eq!(after("xdp:lo", 2, "$r = vlan_pop();", &two), Some((one.clone(), 0)));
    assert_eq!(after("xdp:lo", 2, "vlan_pop(); $r = vlan_pop();", &two), Some((none.clone(), 0)));
    assert_eq!(after("xdp:lo", 2, "$r = vlan_pop();", &none), Some((none.clone(), 0)), "no tag is no error");
    // The outer tag of two is beside the packet there.
    let (probe, pass) = PASS[1];
    assert_eq!(after(probe, pass, "vlan_push(7); vlan_push(8); $r = skb.vlan_tci & 0xfff;", &none), Some((one.clone(), 8)));
    assert_eq!(after(probe, pass, "vlan_push(7); vlan_push(8); vlan_pop(); vlan_pop(); $r = skb.vlan_present;", &none), Some((none, 0)));
}

/// Wherever the outermost tag is, `vlan` is that one, and the next one is behind it.
#[test]
fn the_outermost_tag_beside_the_packet() {
    let ip = udp(false);
    let (none, one, nine, two) = (framed(&[], &ip), framed(&[7], &ip), framed(&[9], &ip), framed(&[0xabc, 7], &ip));
    let (probe, pass) = PASS[1];
    let tc = |body: &str, packet: &[u8]| after(probe, pass, body, packet);
    let Some(done) = tc("vlan_push(7); $r = vlan.id * 100000 + vlan.type;", &none) else { return };
    assert_eq!(done, (none.clone(), 702_048));
    assert_eq!(tc("$r = vlan ? 1 : 0;", &none), Some((none.clone(), 0)));
    assert_eq!(tc("vlan_push(7); vlan_push(8); $r = vlan.id * 100000 + vlan.type;", &none), Some((one.clone(), 833_024)));
    assert_eq!(tc("vlan_push(7); vlan_push(8); $v = vlan; $r = $v->id * 100 + ($v + 1)->id;", &none), Some((one.clone(), 807)));
    assert_eq!(tc("$v = vlan; $r = $v->id * 100 + ($v + 1)->id;", &two), Some((two.clone(), 0xabc * 100 + 7)));
    assert_eq!(after("xdp:lo", 2, "$v = vlan; $r = $v->id * 100 + ($v + 1)->id;", &two), Some((two.clone(), 0xabc * 100 + 7)));
    // What was found before stays what it is.
    assert_eq!(tc("vlan_push(7); if (vlan.id == 7 && udp.dport == 53) { ip.ttl = 61; $r = vlan.id; }", &none), Some((none.clone(), 7)));
    // Written, each wherever it is.
    assert_eq!(tc("vlan.id = 9; $r = skb.vlan_present + vlan.id;", &one), Some((nine.clone(), 9)));
    assert_eq!(after("xdp:lo", 2, "vlan.id = 9; $r = vlan.id;", &one), Some((nine, 9)));
    assert_eq!(tc("vlan_push(7); vlan.id = 9; vlan.pcp = 5; $r = skb.vlan_tci;", &none), Some((none.clone(), 0xa009)));
    assert_eq!(tc("vlan_push(7); vlan_push(8); vlan.id += 1; $r = skb.vlan_tci;", &none), Some((one.clone(), 9)));
    let mut other = none.clone();
    other[12..14].copy_from_slice(&[0x88, 0xb5]);
    assert_eq!(tc("vlan_push(7); vlan.type = 0x88b5; $r = vlan.id + eth.type;", &none), Some((other, 7 + 0x88b5)));
}

#[test]
fn what_is_no_such_packet_stays_as_it_is() {
    let inner = udp(false);
    let mut fragment = around(&inner, false);
    fragment[6] = 0x20;
    let mut six = around(&inner, false);
    six[20] = 0x65;
    let mut cut = framed(&[], &around(&inner, false));
    cut.truncate(14 + 20 + 19);
    let mut arp = framed(&[], &inner);
    arp[13] = 6;
    for (probe, pass) in PASS {
        for packet in [framed(&[], &inner), framed(&[], &fragment), framed(&[], &six), cut.clone()] {
            let Some(done) = after(probe, pass, "$r = ipip_pop();", &packet) else { return };
            assert_eq!(done, (packet, EINVAL), "{probe}");
        }
        assert_eq!(after(probe, pass, PUSH, &arp), Some((arp.clone(), EINVAL)), "{probe}");
    }
    let bench = Bench::observing("xdp:lo { @r = ipip_push(192.0.2.1, 198.51.100.7) + vlan_push(7); }").expect("loaded before");
    let packet = framed(&[], &inner);
    assert_eq!(bench.run(&packet).expect("a good packet").packet, packet, "without --enforce");
}
