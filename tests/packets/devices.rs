//! Packets that `redirect(@map[key])` sends on: to other interfaces, and to other CPUs.

use crate::net::{Net, run};
use crate::pin::shell;

/// A second pair: `out` (no address) beside `near`, its other end `end` (10.9.0.3) in the third namespace.
struct Third {
    net: Net,
    name: String,
}

impl Third {
    fn new() -> Option<Third> {
        let net = Net::new()?;
        let name = format!("{}c", net.here.trim_end_matches('a'));
        let all = [
            format!("netns add {name}"),
            format!("-n {} link add name out type veth peer name end netns {name}", net.here),
            format!("-n {name} addr add 10.9.0.3/24 dev end"),
            format!("-n {name} link set end up"),
            format!("-n {} link set out up", net.here),
        ];
        for line in all {
            let done = run("ip", &line.split(' ').collect::<Vec<_>>());
            assert!(done.status.success(), "ip {line}");
        }
        Some(Third { net, name })
    }
}

impl Drop for Third {
    fn drop(&mut self) {
        run("ip", &["netns", "del", &self.name]);
    }
}

const PING: &str = "ping -q -c 3 -i 0.2 -W 1 10.9.0.3";

/// A switch of two ports: `far` and `end` reach each other through the maps, both ways.
const SWITCH: &str = r#"
let @out = devmap(4);
begin { @out[1] = "out"; @out[2] = "near"; }
xdp:near:generic { @in = count(); return redirect(@out[1]); }
xdp:out:generic { @back = count(); return redirect(@out[2]); }
"#;

#[test]
fn a_map_of_interfaces() {
    let Some(third) = Third::new() else { return };
    let net = &third.net;
    assert!(!net.far(PING).status.success(), "nobody leads there yet");
    let awl = net.start(&["--enforce", "-e", SWITCH]);
    let ping = net.far(PING);
    assert!(ping.status.success(), "{}", crate::common::text(&ping.stdout));
    let (out, err) = awl.stop();
    assert!(out.contains("@out[1]: out\n@out[2]: near\n"), "{out}{err}");
    // Only watched, they go nowhere; what the map has no entry for is not counted as sent.
    let awl = net.start(&["-e", &format!("{SWITCH} interval:s:100 {{ delete(@out, 2); }}")]);
    assert!(!net.far(PING).status.success());
    let (_, err) = awl.stop();
    assert!(err.contains("xdp:near:generic: would redirect "), "{err}");
}

#[test]
fn entries_come_and_go() {
    let Some(third) = Third::new() else { return };
    let net = &third.net;
    // The fourth ping finds the entry gone: it passes, to a machine that doesn't know the address.
    let script = r#"
        let @out = devmap(4);
        begin { @out[1] = "out"; @out[2] = "near"; @out[3] = "lo"; clear(@out); @out[1] = "out"; @out[2] = "near"; }
        xdp:near:generic /icmp || arp/ { if (icmp && icmp.seq == 3) { delete(@out[1]); } return redirect(@out[1]); }
        xdp:out:generic { return redirect(@out[2]); }"#;
    let awl = net.start(&["--enforce", "-e", script]);
    let ping = net.far("ping -q -c 5 -i 0.2 -W 1 10.9.0.3");
    assert!(crate::common::text(&ping.stdout).contains("5 packets transmitted, 3 received"), "{}", crate::common::text(&ping.stdout));
    let (out, err) = awl.stop();
    assert!(out.contains("@out[2]: near\n") && !out.contains("@out[1]"), "{out}{err}");
}

#[test]
fn a_map_of_cpus() {
    let Some(net) = Net::new() else { return };
    let script = "let @cpus = cpumap(2); begin { @cpus[0] = 64; } xdp:near /icmp/ { @[cpu] = count(); return redirect(@cpus[0]); }
        tc:near:ingress /icmp/ { @then[cpu] = count(); }";
    let awl = net.start(&["--enforce", "-e", script]);
    assert!(net.far("ping -q -c 3 -i 0.2 -W 1 10.9.0.1").status.success());
    let (out, err) = awl.stop();
    assert!(out.contains("@then[0]: 3\n") && out.contains("@cpus[0]: 64\n"), "{out}{err}");
    // No CPU under that key: they pass.
    let awl = net.start(&["--enforce", "-e", "let @cpus = cpumap(2); xdp:near /icmp/ { return redirect(@cpus[1]); }"]);
    assert!(net.far("ping -q -c 1 -W 1 10.9.0.1").status.success());
    awl.stop();
}

#[test]
fn what_can_not_be_filled_is_told() {
    let Some(net) = Net::new() else { return };
    let script = "let @out = devmap(2); begin { @out[2] = \"lo\"; @out[0] = 4242; } xdp:near { return redirect(@out[0]); }";
    let (_, err) = net.start(&["-e", script]).stop();
    assert_eq!(err.matches("can't fill the map").count(), 2, "{err}");
    assert!(err.contains("keys go from 0") && err.contains("no such interface"), "{err}");
}

#[test]
fn a_kept_map_is_edited_by_interface() {
    let Some(third) = Third::new() else { return };
    let script = r#"
        try() { there ping -q -c 3 -i 0.5 -W 1 10.9.0.3 >/dev/null && echo "$1 arrived" || echo "$1 did not"; }
        here $AWL run --pin switch --enforce -e '
            let @out = devmap(4) pin("out");
            begin { @out[2] = "near"; }
            xdp:near:generic { return redirect(@out[1]); } xdp:out:generic { return redirect(@out[2]); }'
        try first
        here $AWL map set out 1 out
        try second
        here $AWL map dump out
        here $AWL map rm out 1
        try third
        here $AWL map set out 1 nothere 2>&1 | head -1
        $AWL map ls
        $AWL stop switch
        $AWL map rm out
    "#;
    let (said, err) = shell(Some(&third.net), script);
    let expected = "first did not\nsecond arrived\n@out[1]: out\n@out[2]: near\nthird did not\n\
        error[pinned-map]: `nothere` is no value of `out`: expected a value of `uint32`\n\
        out              devmap(4) with keys [uint32] and values of uint32\n";
    assert_eq!(said, expected, "{err}");
}
