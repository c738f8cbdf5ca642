use super::*;
use crate::symbols::Frame;
use awl_compiler::types::{Agg, StackKind, StackMode};

const KERNEL: u64 = 0xffff_ffff_8223_3f7f;
const USER: u64 = 0x5592_f075_d139;
const LIBC: u64 = 0x7f5b_b7bc_924a;

fn frame(name: &str, offset: u64, module: Option<&str>) -> Frame {
    Frame { name: name.into(), offset, module: module.map(Into::into), ..Frame::default() }
}

fn bench() -> Bench {
    let mut b = Bench::text();
    let s = &mut b.ctx.symbols;
    s.define_kernel(KERNEL, vec![frame("mas_walk", 63, None)]);
    s.define_kernel(7, vec![]);
    s.define_kernel(8, vec![frame("nft_do_chain", 5, Some("nf_tables"))]);
    s.define_user(9, USER, vec![frame("inner", 0, Some("/tmp/spin"))]);
    s.define_user(9, LIBC, vec![]);
    b.ctx.stacks.insert(1, vec![KERNEL, 7, 8, 0, 0]);
    b.ctx.stacks.insert(2, vec![USER, LIBC]);
    b
}

fn kstack(mode: StackMode, limit: u16) -> Ty {
    Ty::Stack { kind: StackKind::Kernel, mode, limit }
}

fn ustack(mode: StackMode) -> Ty {
    Ty::Stack { kind: StackKind::User, mode, limit: 127 }
}

fn user(id: i64) -> Vec<u8> {
    words(&[id, 9])
}

#[test]
fn kernel_stacks_in_every_mode() {
    let mut b = bench();
    assert_eq!(
        b.value(&kstack(StackMode::Bpftrace, 127), &words(&[1])),
        "\n        mas_walk+63\n        0x7\n        nft_do_chain+5 [nf_tables]\n\n"
    );
    assert_eq!(
        b.value(&kstack(StackMode::Perf, 127), &words(&[1])),
        "\n\tffffffff82233f7f mas_walk+63\n\t7 0x7\n\t8 nft_do_chain+5 [nf_tables]\n\n"
    );
    assert_eq!(b.value(&kstack(StackMode::Raw, 127), &words(&[1])), "\nffffffff82233f7f\n7\n8\n\n");
    assert_eq!(b.value(&kstack(StackMode::Bpftrace, 1), &words(&[1])), "\n        mas_walk+63\n\n");
    assert_eq!(b.value(&kstack(StackMode::Bpftrace, 5), &words(&[-14])), "\n\n");
}

#[test]
fn user_stacks_in_every_mode() {
    let mut b = bench();
    assert_eq!(b.value(&ustack(StackMode::Bpftrace), &user(2)), "\n        inner+0\n        0x7f5bb7bc924a\n\n");
    assert_eq!(
        b.value(&ustack(StackMode::Perf), &user(2)),
        "\n\t5592f075d139 inner+0 (/tmp/spin)\n\t7f5bb7bc924a 0x7f5bb7bc924a ([unknown])\n\n"
    );
    assert_eq!(b.value(&ustack(StackMode::Raw), &user(2)), "\n5592f075d139\n7f5bb7bc924a\n\n");
}

#[test]
fn build_ids_and_offsets() {
    let mut b = bench();
    let id = |status: u64, at: u64| [status | 0x0302_0100 << 32, 0x0b0a_0908_0706_0504, 0x1312_1110_0f0e_0d0c, at];
    b.ctx.stacks.insert(4, [id(1, 0x1139), id(1, 5), [2, 0, 0, 0x7f5b_b7bc_924a], [0; 4]].concat());
    let text = "\n000102030405060708090a0b0c0d0e0f10111213 0x1139\n000102030405060708090a0b0c0d0e0f10111213 0x05\n7f5bb7bc924a\n\n";
    assert_eq!(b.value(&ustack(StackMode::BuildId), &user(4)), text);
    assert_eq!(b.value(&ustack(StackMode::BuildId), &user(-14)), "\n\n");
}

#[test]
fn inlined_functions_come_before_what_they_are_in() {
    let mut b = bench();
    let inlined = Frame { name: "leaf".into(), place: Some("a.c:3".into()), inlined: true, ..Frame::default() };
    let outer = Frame { place: Some("a.c:9".into()), ..frame("outer", 12, Some("/bin/x")) };
    b.ctx.symbols.define_user(9, 77, vec![inlined, outer]);
    b.ctx.stacks.insert(3, vec![77]);
    assert_eq!(b.value(&ustack(StackMode::Bpftrace), &user(3)), "\n        [inlined] leaf@a.c:3\n        outer+12@a.c:9\n\n");
    assert_eq!(b.value(&ustack(StackMode::Perf), &user(3)), "\n\t4d [inlined] leaf ([unknown])\n\t4d outer+12 (/bin/x)\n\n");
}

#[test]
fn stacks_as_keys_and_in_tuples() {
    let mut b = bench();
    let stack = kstack(StackMode::Bpftrace, 1);
    let m = b.map("k", std::slice::from_ref(&stack), Ty::Agg(Agg::Count), vec![entry(&[1], &[&[7]])]);
    assert_eq!(b.printed(m, 0, 0), "@k[\n        mas_walk+63\n]: 7\n");
    let m = b.map("u", &[stack.clone(), Ty::I64], Ty::I64, vec![entry(&[1, 5], &[&[2]])]);
    assert_eq!(b.printed(m, 0, 0), "@u[\n        mas_walk+63\n, 5]: 2\n");
    let m = b.map("v", &[], stack.clone(), vec![entry(&[], &[&[1]])]);
    assert_eq!(b.printed(m, 0, 0), "@v: \n        mas_walk+63\n\n");
    let pair = Ty::Tuple([Ty::I64, stack].into());
    assert_eq!(b.value(&pair, &words(&[1, 1])), "(1, \n        mas_walk+63\n)\n");
}

#[test]
fn stacks_and_symbols_in_printf() {
    let mut b = bench();
    let stack = kstack(StackMode::Raw, 1);
    let (format, _) = awl_compiler::format::parse("%s|%25s|%-20s|%-14s|%s|%x\n");
    let tys = [stack.clone(), stack, kstack(StackMode::Raw, 3), Ty::Ksym, Ty::Usym, Ty::Ksym];
    let usym = [words(&[LIBC as i64]), vec![9, 0, 0, 0, 0, 0, 0, 0]].concat();
    let values: [&[u8]; 6] = [&words(&[1]), &words(&[1]), &words(&[-1]), &words(&[KERNEL as i64]), &usym, &words(&[255])];
    assert_eq!(
        b.once(EventKind::Printf(std::sync::Arc::new(format)), &tys, &values),
        "\nffffffff82233f7f\n|       \nffffffff82233f7f\n|\n                   |mas_walk      |\
         0x7f5bb7bc924a|ff\n"
    );
}

#[test]
fn symbols_by_themselves() {
    let mut b = bench();
    assert_eq!(b.value(&Ty::Ksym, &words(&[KERNEL as i64])), "mas_walk\n");
    assert_eq!(b.value(&Ty::Ksym, &words(&[7])), "0x7\n");
    let usym = |addr: u64| words(&[addr as i64, 9]);
    assert_eq!(b.value(&Ty::Usym, &usym(USER)), "inner\n");
    let m = b.map("s", &[Ty::Usym], Ty::Usym, vec![(usym(USER), vec![usym(LIBC)])]);
    assert_eq!(b.printed(m, 0, 0), "@s[inner]: 0x7f5bb7bc924a\n");
}
