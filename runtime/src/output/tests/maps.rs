use super::*;
use awl_compiler::types::Agg;

const S: bool = true;

fn agg(agg: Agg) -> Ty {
    Ty::Agg(agg)
}

#[test]
fn a_number_without_keys() {
    let mut b = Bench::text();
    let m = b.map("", &[], Ty::I64, vec![entry(&[], &[&[5]])]);
    assert_eq!(b.printed(m, 0, 0), "@: 5\n");
    let m = b.map("x", &[], Ty::U64, vec![entry(&[], &[&[-1]])]);
    assert_eq!(b.printed(m, 0, 0), "@x: 18446744073709551615\n");
}

#[test]
fn integers_are_ordered_by_value() {
    let mut b = Bench::text();
    let entries = vec![entry(&[1], &[&[3]]), entry(&[2], &[&[1]]), entry(&[3], &[&[2]])];
    let m = b.map("a", &[Ty::I64], Ty::I64, entries);
    assert_eq!(b.printed(m, 0, 0), "@a[2]: 1\n@a[3]: 2\n@a[1]: 3\n");
    assert_eq!(b.printed(m, 2, 0), "@a[3]: 2\n@a[1]: 3\n");
    assert_eq!(b.printed(m, 2, 2), "@a[3]: 1\n@a[1]: 1\n");
    assert_eq!(b.printed(m, 9, 2), "@a[2]: 0\n@a[3]: 1\n@a[1]: 1\n");
    assert_eq!(b.printed(m, 0, -7), "@a[2]: 1\n@a[3]: 2\n@a[1]: 3\n");
}

#[test]
fn equal_values_are_ordered_by_key() {
    let mut b = Bench::text();
    let entries = vec![entry(&[7], &[&[5]]), entry(&[-2], &[&[5]]), entry(&[0], &[&[5]])];
    let m = b.map("", &[Ty::I64], Ty::I64, entries);
    assert_eq!(b.printed(m, 0, 0), "@[-2]: 5\n@[0]: 5\n@[7]: 5\n");
    assert_eq!(b.printed(m, 1, 0), "@[7]: 5\n");
}

#[test]
fn several_keys_and_strings() {
    let mut b = Bench::text();
    let key = |n: i64, s: &[u8]| [words(&[n]), padded(s, 8)].concat();
    let entries = vec![(key(2, b"abc"), vec![words(&[-5])]), (key(1, b"abc"), vec![words(&[3])]), (key(1, b"\xffx"), vec![words(&[-7])])];
    let m = b.map("x", &[Ty::I64, Ty::Str(8)], Ty::I64, entries);
    let entries = b.ctx.maps[&m].clone();
    let (plan, ctx) = (&b.plan, &mut b.ctx);
    b.output.map(plan, m, &entries, Selection::default(), ctx);
    assert_eq!(b.bytes(), b"@x[1, \xffx]: -7\n@x[2, abc]: -5\n@x[1, abc]: 3\n");
}

#[test]
fn a_tuple_as_the_only_key() {
    let mut b = Bench::text();
    let key = Ty::Tuple([Ty::I64, Ty::I64].into());
    let m = b.map("t", &[key], Ty::I64, vec![entry(&[1, 2], &[&[3]])]);
    assert_eq!(b.printed(m, 0, 0), "@t[(1, 2)]: 3\n");
}

#[test]
fn other_values_are_ordered_by_key() {
    let mut b = Bench::text();
    let pair = Ty::Tuple([Ty::I64, Ty::Str(8)].into());
    let value = |n: i64, s: &[u8]| vec![[words(&[n]), padded(s, 8)].concat()];
    let entries = vec![(words(&[1]), value(2, b"z")), (words(&[-1]), value(9, b"q")), (words(&[0]), value(3, b"a"))];
    let m = b.map("t", &[Ty::I64], pair, entries);
    assert_eq!(b.printed(m, 0, 0), "@t[-1]: (9, q)\n@t[0]: (3, a)\n@t[1]: (2, z)\n");
    assert_eq!(b.printed(m, 1, 0), "@t[1]: (2, z)\n");
    let entries = [(3, "z"), (1, "q"), (10, "q")].map(|(k, s)| (words(&[k]), vec![padded(s.as_bytes(), 4)]));
    let m = b.map("e", &[Ty::I64], Ty::Str(4), entries.to_vec());
    assert_eq!(b.printed(m, 0, 0), "@e[1]: q\n@e[3]: z\n@e[10]: q\n");
}

#[test]
fn counts_of_all_cpus() {
    let mut b = Bench::text();
    let name = |s: &[u8]| padded(s, 16);
    let entries =
        vec![(name(b"y"), vec![words(&[1]), words(&[0]), words(&[4])]), (name(b"x"), vec![words(&[0]), words(&[1]), words(&[0])])];
    let m = b.map("b", &[Ty::Str(16)], agg(Agg::Count), entries);
    assert_eq!(b.printed(m, 0, 0), "@b[x]: 1\n@b[y]: 5\n");
    let m = b.map("c", &[], agg(Agg::Count), vec![entry(&[], &[&[2], &[3]])]);
    assert_eq!(b.printed(m, 0, 0), "@c: 5\n");
}

#[test]
fn sums_and_extremes_of_all_cpus() {
    let mut b = Bench::text();
    let cpus: &[&[i64]] = &[&[5, 1], &[-9, 1], &[0, 0]];
    for (kind, expected) in [
        (Agg::Sum { signed: S }, "@s: -4\n"),
        (Agg::Sum { signed: false }, "@s: 18446744073709551612\n"),
        (Agg::Min { signed: S }, "@s: -9\n"),
        (Agg::Max { signed: S }, "@s: 5\n"),
        (Agg::Min { signed: false }, "@s: 5\n"),
        (Agg::Max { signed: false }, "@s: 18446744073709551607\n"),
    ] {
        let m = b.map("s", &[], agg(kind), vec![entry(&[], cpus)]);
        assert_eq!(b.printed(m, 0, 0), expected);
    }
    let entries = vec![entry(&[1], &[&[-4, 1], &[0, 0]]), entry(&[2], &[&[2, 1], &[-2, 1]])];
    let m = b.map("d", &[Ty::I64], agg(Agg::Max { signed: S }), entries);
    assert_eq!(b.printed(m, 0, 0), "@d[1]: -4\n@d[2]: 2\n");
}

#[test]
fn averages_end_with_an_empty_line() {
    let mut b = Bench::text();
    let entries = vec![entry(&[1], &[&[4, 1], &[7, 1]]), entry(&[2], &[&[2, 1], &[0, 0]])];
    let m = b.map("c", &[Ty::I64], agg(Agg::Avg { signed: S }), entries);
    assert_eq!(b.printed(m, 0, 0), "@c[2]: 2\n@c[1]: 5\n\n");
    assert_eq!(b.printed(m, 1, 2), "@c[1]: 2\n\n");
    let one = vec![entry(&[], &[&[-15, 2]])];
    let m = b.map("m", &[], agg(Agg::Avg { signed: S }), one);
    assert_eq!(b.printed(m, 0, 0), "@m: -7\n\n");
}

#[test]
fn stats_are_ordered_by_average() {
    let mut b = Bench::text();
    let entries = vec![entry(&[2], &[&[2, 1], &[0, 0]]), entry(&[1], &[&[4, 1], &[-7, 1]])];
    let m = b.map("d", &[Ty::I64], agg(Agg::Stats { signed: S }), entries);
    assert_eq!(b.printed(m, 0, 0), "@d[1]: count 2, average -1, total -3\n@d[2]: count 1, average 2, total 2\n\n");
    let one = vec![entry(&[], &[&[3, 1], &[3, 2]])];
    let m = b.map("s", &[], agg(Agg::Stats { signed: S }), one);
    assert_eq!(b.printed(m, 0, 0), "@s: count 3, average 2, total 6\n\n");
    assert_eq!(b.printed(m, 0, 2), "@s: count 3, average 1, total 6\n\n");
}

/// A slot of a histogram with some counters set.
fn slot(len: usize, set: &[(usize, i64)]) -> Vec<u8> {
    let mut counts = vec![0; len];
    for &(i, n) in set {
        counts[i] = n;
    }
    words(&counts)
}

#[test]
fn histograms() {
    let mut b = Bench::text();
    let cpus = vec![slot(66, &[(4, 1)]), slot(66, &[(8, 1)])];
    let entries = vec![(vec![], cpus)];
    let m = b.map("y", &[], agg(Agg::Hist { bits: 0 }), entries);
    let expected = "\
@y:
[4, 8)                 1 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|
[8, 16)                0 |                                                    |
[16, 32)               0 |                                                    |
[32, 64)               0 |                                                    |
[64, 128)              1 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|

";
    assert_eq!(b.printed(m, 0, 0), expected);
    let cpus = vec![slot(66, &[(0, 2), (1, 1), (2, 1)])];
    let m = b.map("neg", &[], agg(Agg::Hist { bits: 0 }), vec![(vec![], cpus)]);
    let expected = "\
@neg:
(..., 0)               2 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|
[0]                    1 |@@@@@@@@@@@@@@@@@@@@@@@@@@                          |
[1]                    1 |@@@@@@@@@@@@@@@@@@@@@@@@@@                          |

";
    assert_eq!(b.printed(m, 0, 0), expected);
    let cpus = vec![slot(66, &[])];
    let m = b.map("z", &[], agg(Agg::Hist { bits: 0 }), vec![(vec![], cpus)]);
    assert_eq!(b.printed(m, 0, 0), "@z:\n\n");
}

#[test]
fn keyed_histograms_are_ordered_by_their_total() {
    let mut b = Bench::text();
    let entries = vec![
        (words(&[2]), vec![slot(66, &[(2, 1), (3, 1)])]),
        (words(&[3]), vec![slot(66, &[(2, 1)])]),
        (words(&[1]), vec![slot(66, &[(3, 1)])]),
    ];
    let m = b.map("f", &[Ty::I64], agg(Agg::Hist { bits: 0 }), entries);
    let bar = "|@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|";
    let one = format!("[1]                    1 {bar}\n");
    let two = format!("[2, 4)                 1 {bar}\n");
    assert_eq!(b.printed(m, 0, 0), format!("@f[1]:\n{two}\n@f[3]:\n{one}\n@f[2]:\n{one}{two}\n"));
    assert_eq!(b.printed(m, 1, 0), format!("@f[2]:\n{one}{two}\n"));
    let none = format!("{one}{two}").replace("1 |", "0 |");
    assert_eq!(b.printed(m, 1, 2), format!("@f[2]:\n{none}\n"));
}

#[test]
fn sub_buckets() {
    let mut b = Bench::text();
    let at = |n| awl_compiler::agg::hist::index(2, n) as usize;
    let cpus = vec![slot(253, &[(at(13), 1), (at(17), 1)])];
    let m = b.map("h", &[], agg(Agg::Hist { bits: 2 }), vec![(vec![], cpus)]);
    let expected = "\
@h:
[12, 14)               1 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|
[14, 16)               0 |                                                    |
[16, 20)               1 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|

";
    assert_eq!(b.printed(m, 0, 0), expected);
}

#[test]
fn linear_histograms() {
    let mut b = Bench::text();
    let kind = Agg::Lhist { min: 0, max: 10, step: 5 };
    let cpus = vec![slot(4, &[(0, 1), (3, 2)]), slot(4, &[(1, 1), (3, 1)])];
    let m = b.map("l", &[], agg(kind.clone()), vec![(vec![], cpus)]);
    let expected = "\
@l:
(..., 0)               1 |@@@@@@@@@@@@@@@@@                                   |
[0, 5)                 1 |@@@@@@@@@@@@@@@@@                                   |
[5, 10)                0 |                                                    |
[10, ...)              3 |@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@|

";
    assert_eq!(b.printed(m, 0, 0), expected);
    let entries = vec![(words(&[1]), vec![slot(4, &[(2, 2)])]), (words(&[2]), vec![slot(4, &[(2, 1)])])];
    let m = b.map("l", &[Ty::I64], agg(kind), entries);
    let row = |n| format!("[5, 10)                {n} |{}|\n", "@".repeat(52));
    assert_eq!(b.printed(m, 0, 0), format!("@l[2]:\n{}\n@l[1]:\n{}\n", row(1), row(2)));
}

#[test]
fn a_map_without_entries_is_an_empty_line() {
    let mut b = Bench::text();
    let stats = || agg(Agg::Stats { signed: S });
    let hist = || agg(Agg::Hist { bits: 0 });
    for (keys, value, expected) in [
        (&[][..], Ty::I64, "\n"),
        (&[Ty::I64], Ty::I64, "\n"),
        (&[Ty::I64], agg(Agg::Count), "\n"),
        (&[], agg(Agg::Count), "@m: 0\n"),
        (&[], agg(Agg::Sum { signed: S }), "\n"),
        (&[], stats(), "\n\n"),
        (&[Ty::I64], stats(), "\n\n"),
        (&[], agg(Agg::Avg { signed: S }), "\n\n"),
        (&[], hist(), "\n"),
        (&[Ty::I64], hist(), "\n"),
    ] {
        let m = b.map("m", keys, value, vec![]);
        assert_eq!(b.printed(m, 0, 0), expected, "{:?}", b.plan.maps[m]);
    }
}

#[test]
fn all_maps_at_exit_by_name() {
    let mut b = Bench::text();
    b.map("x", &[Ty::I64], Ty::I64, vec![entry(&[1], &[&[3]])]);
    b.map("a", &[], agg(Agg::Count), vec![entry(&[], &[&[2]])]);
    b.map("empty", &[Ty::I64], Ty::I64, vec![]);
    b.map("", &[], Ty::I64, vec![entry(&[], &[&[5]])]);
    b.output.maps_at_exit(&b.plan, &mut b.ctx);
    assert_eq!(b.seen(), "\n\n@: 5\n@a: 2\n\n@x[1]: 3\n");
    assert_eq!(b.complaints(), "");
}

#[test]
fn a_map_that_cannot_be_read_is_told() {
    let mut b = Bench::text();
    let m = b.map("x", &[], Ty::I64, vec![]);
    b.ctx.maps.clear();
    assert_eq!(b.once(EventKind::PrintMap(m), &[], &[]), "");
    assert_eq!(b.complaints(), "ERROR: couldn't read map @x: No such file or directory\n");
}
