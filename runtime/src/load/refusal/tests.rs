//! What real verifiers said of real scripts, and what awl makes of it.
//!
//! `said.txt` holds logs of Debian's kernels 5.10, 6.1, 6.12 and 7.3, cut to their ends: the kernel and the script, then the code, the instruction
//! and the words expected. Scripts that awl has since learnt to compile in another way stand there as they were refused.
//!
//! Not there, since nothing that awl compiles brings them about: the frame (counted before, `frame-too-large`), null and bounds of
//! maps (look-ups are compared, indices cut to the array), loops that are no calls of `bpf_loop` before 5.17 (their bounds are constants),
//! unreleased references (no helper that gives one is called), misaligned access (packets are read byte by byte where they may
//! be), sleepable programs (there are none). Their families remain for what is yet unknown.

use super::*;

#[test]
fn the_complaint_is_found_among_states() {
    let log = "0: R1=ctx() R10=fp0\n; @x = 1 @ t.bt:1:3\n0: (79) r1 = *(u64 *)(r1 +8)    ; R1_w=scalar()\n\
               1: (61) r0 = *(u32 *)(r1 +0)\nR1 invalid mem access 'scalar'\n\
               processed 2 insns (limit 1000000) max_states_per_insn 0 total_states 0 peak_states 0 mark_read 0\n";
    let said = Said::read(log);
    assert_eq!(said.line, "R1 invalid mem access 'scalar'");
    assert_eq!(said.insn, Some(1));
    assert_eq!(said.code.as_deref(), Some("r0 = *(u32 *)(r1 +0)"));
}

#[test]
fn what_is_said_twice_counts_once() {
    let log = "26: (85) call bpf_d_path#147\nhelper call is not allowed in probe\n\nVerification failed: Policy\n\nAt:\n  \
               >>> 26 | (85) call bpf_d_path#147\n\nSuggestion:\n  Use it elsewhere.\n\nprocessed 24 insns\n";
    let said = Said::read(log);
    assert_eq!((said.line, said.insn), ("helper call is not allowed in probe", Some(26)));
}

#[test]
fn an_instruction_named_in_the_complaint_wins() {
    let said = Said::read("func#0 @0\nback-edge from insn 12 to 3\nprocessed 0 insns\n");
    assert_eq!((said.line, said.insn), ("back-edge from insn 12 to 3", Some(12)));
}

#[test]
fn states_after_the_complaint_are_passed_over() {
    let log = "5: (55) if r2 != 0x7 goto pc-2 ;  @ a.bt:3\ninfinite loop detected at insn 5\n\
               cur state: R1=map_value(map=.bss.awl,ks=4,vs=4096) R2=scalar()\nold state: R1=1\nprocessed 9 insns\n";
    let said = Said::read(log);
    assert_eq!((said.line, said.insn), ("infinite loop detected at insn 5", Some(5)));
    assert_eq!(said.code.as_deref(), Some("if r2 != 0x7 goto pc-2"));
    let said = Said::read("0: (85) call bpf_get_prandom_u32#7\n2: (55) if r0 != 0x0 goto pc-3 infinite loop detected at insn 0\n");
    assert_eq!((said.line, said.insn), ("infinite loop detected at insn 0", Some(0)));
    assert_eq!(Said::read("3: (7b) x\nframe pointer is read only\n").line, "frame pointer is read only");
}

#[test]
fn a_loop_without_end_is_found() {
    let round = "3: (07) r1 += 1    ; R1=1\n4: (05) goto pc-2\n";
    let log = format!("0: (b7) r1 = 0\n{}BPF program is too large. Processed 1000001 insn\n", round.repeat(4000));
    assert_eq!(loop_head(&log), Some(3));
    let straight: String = (0..9000).map(|i| format!("{i}: (07) r1 += 1\n")).collect();
    assert_eq!(loop_head(&straight), None);
    assert_eq!(end_of("a\nb"), "a\nb");
    let end = end_of(&log);
    assert!(end.starts_with("(6003 lines before)\n") && end.lines().count() == 2000, "{}", &end[..40]);
}

#[test]
fn every_kernels_own_words() {
    let mut kernels = std::collections::BTreeSet::new();
    for part in include_str!("said.txt").split("=== ").skip(1) {
        let (title, rest) = part.split_once("\n= ").unwrap();
        let (expected, log) = rest.split_once('\n').unwrap();
        let said = Said::read(log);
        let family = Family::of(said.line);
        let at = said.insn.map_or("-".into(), |i| i.to_string());
        assert_eq!(format!("{} | {at} | {}", family.code, family.words), expected, "{title}: {}", said.line);
        // Nothing is called awl's fault that isn't.
        assert_eq!(family.blame == Blame::Awl, family.code == "verifier" && family.words != TOO_MANY_MAPS.words, "{title}");
        kernels.extend(title.split('.').next().map(str::to_owned));
    }
    assert_eq!(kernels.len(), 3, "5.10, 6.1 and 6.12, 7.3");
}
