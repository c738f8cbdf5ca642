//! What outlives awl.

use crate::net::{Net, run};

/// A shell in a mount namespace of its own, with a bpf file system that ends with it and all that is left there; `here` and
/// `there` run a command in the two network namespaces.
pub fn shell(net: Option<&Net>, script: &str) -> (String, String) {
    let before = r#"
        set -e
        folder=$(mktemp -d); trap 'umount $folder; rmdir $folder' EXIT
        mount -t bpf bpf $folder
        here() { nsenter --net=/run/netns/$HERE "$@"; }
        there() { nsenter --net=/run/netns/$THERE "$@"; }
    "#;
    let (here, there) = net.map_or(("", ""), |n| (n.here.as_str(), n.there.as_str()));
    let variables =
        [format!("HERE={here}"), format!("THERE={there}"), concat!("AWL=", env!("CARGO_BIN_EXE_awl")).into(), "NO_COLOR=1".into()];
    let script = format!("{before}{script}");
    let command = ["unshare", "-m", "bash", "-c", &script];
    let out = run("env", &variables.iter().map(String::as_str).chain(command).collect::<Vec<_>>());
    (crate::common::text(&out.stdout), crate::common::text(&out.stderr))
}

#[test]
fn a_policy_outlives_its_script_and_is_edited_while_another_one_follows_it() {
    let Some(net) = Net::new() else { return };
    let script = r#"
        $AWL -o /dev/null -e 'let @blocked = lpm_trie(64) pin("blocked"); begin { @blocked[11.0.0.0/8] = 1; exit(); }'
        here $AWL run --pin guard --enforce -e '
            let @blocked = lpm_trie(64) pin("blocked");
            let @seen = percpuhash(64) pin("seen");
            xdp:near /icmp/ { @seen[ip.saddr] = count(); if (@blocked[ip.saddr] == 1) { return DROP; } }'
        try() { there ping -q -c 1 -W 1 10.9.0.1 >/dev/null && echo "$1 passed" || echo "$1 dropped"; }
        try first
        $AWL map set blocked 10.9.0.0/24 1
        try second
        $AWL map set blocked 10.9.0.2/32 -2
        try third
        $AWL map rm blocked 10.9.0.2
        try fourth
        $AWL map rm blocked 10.9.0.0/24
        try fifth
        $AWL map ls
        $AWL map dump blocked
        $AWL map get blocked 11.0.0.0/8 --json
        $AWL map dump seen
        $AWL stop guard
        $AWL map rm blocked
        $AWL map ls
    "#;
    let (said, err) = shell(Some(&net), script);
    let expected = "first passed\nsecond dropped\nthird passed\nfourth dropped\nfifth passed\n\
        blocked          lpm_trie(64) with keys [uint32, ipv4] and values of int64\n\
        seen             percpuhash(64) with keys [ipv4] and values of count\n\
        @blocked[11.0.0.0/8]: 1\n\
        {\"type\": \"map\", \"data\": {\"@blocked\": {\"11.0.0.0/8\": 1}}}\n\
        @seen[10.9.0.2]: 5\n\
        seen             percpuhash(64) with keys [ipv4] and values of count\n";
    assert_eq!(said, expected, "{err}");
}

#[test]
fn kept_maps_refuse_what_they_are_not() {
    if !crate::common::may_load() {
        return;
    }
    let script = r#"
        $AWL -o /dev/null -e 'let @m = hash(9) pin("m"); begin { @m["ab", (uint8)1] = (10.0.0.1, -5); exit(); }'
        no() { if "$@" >/dev/null 2>said; then echo "went through: $*"; else head -1 said; fi; }
        cd $(mktemp -d)
        no $AWL -e 'let @m = hash(9) pin("m"); begin { @m[1] = 1; exit(); }'
        no $AWL -e 'let @m = hash(8) pin("m"); begin { @m["ab", (uint8)1] = (10.0.0.1, -5); exit(); }'
        no $AWL -e 'let @m = lruhash(9) pin("m"); begin { @m["ab", (uint8)1] = (10.0.0.1, -5); exit(); }'
        $AWL -o /dev/null -e 'let @s = percpuhash(9) pin("s"); begin { @s[1] = sum((uint64)1); exit(); }'
        no $AWL -e 'let @s = percpuhash(9) pin("s"); begin { @s[1] = sum(-1); exit(); }'
        no $AWL map set m '"abcdefgh", 1' '(10.0.0.1, 1)'
        no $AWL map set m '"ab", 256' '(10.0.0.1, 1)'
        no $AWL map set m '"ab", 1' '(10.0.0.0/8, 1)'
        no $AWL map get m '"xy", 1'
        no $AWL map set s 1 1
        no $AWL map dump none
        no $AWL map rm none
        no $AWL map dump ../m
        no setpriv --reuid 65534 --clear-groups $AWL map dump m
        $AWL map set m '"cd", 2' '(10.0.0.2, 6)'
        $AWL map dump m
        $AWL map ls
        rm said; rmdir $PWD
    "#;
    let (said, err) = shell(None, script);
    let another = "error[pinned-map]: the map that is kept as `m` is another one\n";
    let expected = [
        &another.repeat(3),
        "error[pinned-map]: the map that is kept as `s` is another one\n",
        "error[pinned-map]: `\"abcdefgh\", 1` is no key of `m`: a string of 8 bytes doesn't fit into `string[3]`\n",
        "error[pinned-map]: `\"ab\", 256` is no key of `m`: 256 doesn't fit into `uint8`\n",
        "error[pinned-map]: `(10.0.0.0/8, 1)` is no value of `m`: expected a value of `ipv4`\n",
        "error[pinned-map]: `m` has no entry `\"xy\", 1`\n",
        "error[pinned-map]: `s` holds a `sum`, which programs alone write\n",
        "error[pinned-map]: no map is kept as `none`\n",
        "error[pinned-map]: no map is kept as `none`\n",
        "error[pin-name]: `../m` is no name that a map is kept under\n",
        "error[no-permission]: no permission to open the map `m`: Permission denied (os error 13)\n",
        "@m[ab, 1]: (10.0.0.1, -5)\n@m[cd, 2]: (10.0.0.2, 6)\n",
        "m                hash(9) with keys [string[3], uint8] and values of (ipv4, int64)\n",
        "s                percpuhash(9) with keys [int64] and values of sum\n",
    ];
    assert_eq!(said, expected.concat(), "{err}");
}

#[test]
fn a_pinned_program_outlives_awl_until_it_is_stopped() {
    let Some(net) = Net::new() else { return };
    let script = r#"
        here $AWL run --pin guard --enforce -e 'xdp:near /icmp/ { @[ip.saddr] = count(); return DROP; }'
        there ping -q -c 2 -i 0.2 -W 1 10.9.0.1 >/dev/null && echo "it went through"
        $AWL ps | grep guard
        here $AWL -e 'xdp:near { @ = count(); }' 2>&1 | grep 'awl left it under `guard`: `awl stop guard` ends it'
        $AWL stop guard
        ! $AWL ps | grep -q guard
        there ping -q -c 1 -W 1 10.9.0.1 >/dev/null && echo "free again"
        ! $AWL stop guard 2>&1 | grep -v 'nothing was left'
    "#;
    let (said, err) = shell(Some(&net), script);
    assert!(
        said.starts_with("guard ") && said.contains(" xdp_1 ") && said.contains("= help: awl left it") && said.contains("free again"),
        "{said}{err}"
    );
    assert!(!said.contains("went through"), "{said}{err}");
}

/// Pings of two sizes without a pause, while the program is left again and again under its name: small ones always pass, large
/// ones never, and each meets a program.
#[test]
fn a_program_is_replaced_without_a_gap() {
    let Some(net) = Net::new() else { return };
    let script = r#"
        guard() { here $AWL run --pin guard --enforce "$@" 2>/dev/null; }
        rules() { echo "$1 /icmp.type == 8/ { @[$2] = count(); if (pkt.len > 200) { return DROP; } }"; }
        for place in xdp:near tc:near:ingress; do
            guard -e "$(rules $place 0)"
            id() { $AWL ps | awk '$1 == "guard" { print $2 }'; }
            first=$(id)
            there ping -f -s 400 -w 6 10.9.0.1 >large & there ping -q -i 0.002 -w 6 10.9.0.1 >small &
            for i in $(seq 20); do guard -e "$(rules $place $i)"; done
            ! [ $(id) = $first ] && $AWL ps | grep -c guard
            # What can't be attached changes nothing.
            last=$(id)
            ! guard -e "$(rules $place 21) socket:lo { @n = count(); }"
            [ $(id) = $last ] && $AWL ps | grep -c guard
            wait
            grep -q ' 0 received' large && echo "none passed"
            grep -q ' 0% packet loss' small && echo "none lost"
            $AWL stop guard
            there ping -q -c 1 -s 400 -W 1 10.9.0.1 >/dev/null && echo "free again"
        done
        ls $folder/awl | wc -l
    "#;
    let script = format!("cd $(mktemp -d)\n{script}\nrm large small; rmdir $PWD");
    let (said, err) = shell(Some(&net), &script);
    let each = "1\n1\nnone passed\nnone lost\nfree again\n";
    assert_eq!(said, format!("{each}{each}0\n"), "{err}");
}

#[test]
fn what_was_not_attached_leaves_no_map() {
    let Some(net) = Net::new() else { return };
    let script = r#"
        here $AWL run --pin one -e 'xdp:near { @a = count(); }'
        ! here $AWL -e 'let @m = hash(9) pin("m"); xdp:near { @m[1] = 1; }' 2>said
        ! here $AWL run --pin two -e 'let @m = hash(9) pin("m"); xdp:near { @m[1] = 1; }' 2>said
        head -1 said
        ls $folder/awl_maps | wc -l
        $AWL stop one
        ls $folder/awl | wc -l
    "#;
    let script = format!("cd $(mktemp -d)\n{script}\nrm said; rmdir $PWD");
    let (said, err) = shell(Some(&net), &script);
    let rest = said.split_once('\n').map(|(first, rest)| (first.contains("attach"), rest));
    assert_eq!(rest, Some((true, "0\n0\n")), "{said}{err}");
}

#[test]
fn what_it_prints_is_not_heard() {
    let Some(net) = Net::new() else { return };
    let script = r#"
        here $AWL run --pin loud -e 'xdp:near { @ = count(); print(@); }' 2>&1 | grep -e '^warning' -e '^left'
        here $AWL run --pin loud -e 'xdp:near { @ = count(); }' 2>&1
        $AWL stop loud
    "#;
    let (said, err) = shell(Some(&net), script);
    let left = "left under `loud`: `awl ps` lists it, `awl stop loud` ends it\n";
    assert_eq!(said, format!("warning[unheard]: nobody hears of this once awl has left\n{left}{left}"), "{err}");
}
