//! What outlives awl.

use crate::net::{Net, run};

#[test]
fn a_pinned_program_outlives_awl_until_it_is_stopped() {
    let Some(net) = Net::new() else { return };
    // A bpf file system of our own, that ends with the shell; what is left in it would end too.
    let script = r#"
        set -e
        folder=$(mktemp -d); trap 'umount $folder; rmdir $folder' EXIT
        mount -t bpf bpf $folder
        here() { nsenter --net=/run/netns/$HERE "$@"; }
        there() { nsenter --net=/run/netns/$THERE "$@"; }
        here $AWL run --pin guard --enforce -e 'xdp:near /icmp/ { @[ip.saddr] = count(); return DROP; }'
        there ping -q -c 2 -i 0.2 -W 1 10.9.0.1 >/dev/null && echo "it went through"
        $AWL ps | grep guard
        ! $AWL run --pin guard -e 'tc:lo:ingress { }' 2>&1 | grep -q 'attached'
        $AWL stop guard
        ! $AWL ps | grep -q guard
        there ping -q -c 1 -W 1 10.9.0.1 >/dev/null && echo "free again"
        ! $AWL stop guard 2>&1 | grep -v 'nothing was left'
    "#;
    let out = run(
        "env",
        &[
            &format!("HERE={}", net.here),
            &format!("THERE={}", net.there),
            concat!("AWL=", env!("CARGO_BIN_EXE_awl")),
            "NO_COLOR=1",
            "unshare",
            "-m",
            "bash",
            "-c",
            script,
        ],
    );
    let (said, err) = (crate::common::text(&out.stdout), crate::common::text(&out.stderr));
    assert!(said.starts_with("guard ") && said.contains(" xdp_1 ") && said.contains("free again"), "{said}{err}");
    assert!(!said.contains("went through"), "{said}{err}");
}
