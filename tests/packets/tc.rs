//! TC and packet sockets on a pair of interfaces.

use crate::net::Net;

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
