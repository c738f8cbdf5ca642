use super::*;
use std::sync::Arc;

pub(super) fn format(text: &str) -> Arc<Format> {
    Arc::new(awl_compiler::format::parse(text).0)
}

fn text(s: &str) -> Vec<u8> {
    padded(s.as_bytes(), 32)
}

#[test]
fn exit_has_a_status() {
    let mut b = Bench::text();
    let event = b.event(EventKind::Exit, &[Ty::I64]);
    assert_eq!(b.run(event, &[&words(&[-3])]), After::Exit(-3));
    let event = b.event(EventKind::Exit, &[]);
    assert_eq!(b.run(event, &[]), After::Exit(0));
    assert_eq!(b.seen(), "");
}

#[test]
fn print_of_a_map_reads_it_then() {
    let mut b = Bench::text();
    let entries = vec![entry(&[1], &[&[10]]), entry(&[2], &[&[20]])];
    let m = b.map("m", &[Ty::I64], Ty::I64, entries);
    let two = [Ty::I64, Ty::I64];
    let kind = EventKind::PrintMap(m);
    assert_eq!(b.once(kind.clone(), &two, &[&words(&[0]), &words(&[0])]), "@m[1]: 10\n@m[2]: 20\n");
    assert_eq!(b.once(kind.clone(), &two, &[&words(&[1]), &words(&[5])]), "@m[2]: 4\n");
    assert_eq!(b.once(kind, &[], &[]), "@m[1]: 10\n@m[2]: 20\n");
}

#[test]
fn clear_and_zero_go_to_the_session() {
    let mut b = Bench::text();
    let m = b.map("m", &[], Ty::I64, vec![]);
    b.once(EventKind::Clear(m), &[], &[]);
    b.once(EventKind::Zero(m), &[], &[]);
    assert_eq!(b.ctx.log, ["clear 0", "zero 0"]);
    assert_eq!(b.complaints(), "ERROR: couldn't zero map @m: unsupported\n");
}

#[test]
fn cat_prints_a_file_or_says_why_not() {
    let path = std::env::temp_dir().join(format!("awl-cat-{}", std::process::id()));
    std::fs::write(&path, [b'x'; 20000]).unwrap();
    let mut b = Bench::text();
    let kind = EventKind::Cat(format("%s"));
    let name = text(path.to_str().unwrap());
    assert_eq!(b.once(kind.clone(), &[Ty::Str(32)], &[&name]).len(), 10240);
    std::fs::write(&path, b"a\xffb").unwrap();
    let event = b.event(kind.clone(), &[Ty::Str(32)]);
    assert_eq!(b.run(event, &[&name]), After::Continue);
    assert_eq!(b.bytes(), b"a\xffb");
    std::fs::remove_file(&path).unwrap();
    assert_eq!(b.once(kind, &[Ty::Str(32)], &[&text("/nonexistent")]), "");
    assert_eq!(b.complaints(), "ERROR: failed to open file '/nonexistent': No such file or directory\n");
}

#[test]
fn system_prints_what_the_command_does() {
    let mut b = Bench::text();
    let kind = EventKind::System(format("echo %s %d; exit 3"));
    let tys = [Ty::Str(32), Ty::I64];
    let values: [&[u8]; 2] = [&text("a"), &words(&[4])];
    assert_eq!(b.once(kind.clone(), &tys, &values), "a 4\n");
    let mut b = Bench::json();
    assert_eq!(b.once(kind, &tys, &values), "{\"type\": \"syscall\", \"data\": \"a 4\\n\"}\n");
}

#[test]
fn system_comes_after_what_was_printed_before() {
    let mut b = Bench::text();
    let first = b.event(EventKind::Printf(format("before\n")), &[]);
    let then = b.event(EventKind::System(format("echo then")), &[]);
    assert_eq!(b.run(first, &[]), After::Continue);
    assert_eq!(b.run(then, &[]), After::Continue);
    assert_eq!(b.seen(), "before\nthen\n");
}

#[test]
fn join_joins_as_many_as_there_are() {
    let join = |delimiter: &str| EventKind::Join { delimiter: delimiter.into() };
    let tys = [Ty::Tuple([Ty::I64, Ty::Str(32), Ty::Str(32), Ty::Str(32)].into())];
    let strings = |count| [words(&[count]), text("ls"), text(""), text("-l")].concat();
    let mut b = Bench::text();
    assert_eq!(b.once(join(" "), &tys, &[&strings(3)]), "ls  -l\n");
    assert_eq!(b.once(join(","), &tys, &[&strings(1)]), "ls\n");
    assert_eq!(b.once(join(","), &tys, &[&strings(99)]), "ls,,-l\n");
    assert_eq!(b.once(join(","), &tys, &[]), "\n");
}

#[test]
fn time_is_now() {
    let mut b = Bench::text();
    let shown = b.once(EventKind::Time("%s|x\n".into()), &[], &[]);
    let secs: i64 = shown.strip_suffix("|x\n").unwrap().parse().unwrap();
    let now = std::time::SystemTime::now();
    let now = now.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs() as i64;
    assert!((now - secs).abs() < 5, "{shown}");
}

#[test]
fn errorf_and_warnf_name_their_place() {
    for (kind, label) in [(EventKind::Errorf(format("bad: %d")), "ERROR"), (EventKind::Warnf(format("bad: %d\n")), "WARNING")] {
        let mut b = Bench::text();
        let event = b.event(kind, &[Ty::I64]);
        b.plan.events[event].span = Span { start: 8, end: 61, ..Span::default() };
        assert_eq!(b.run(event, &[&words(&[10])]), After::Continue);
        assert_eq!(b.seen(), "");
        assert_eq!(b.complaints(), format!("stdin:1:9-62: {label}: bad: 10\n"));
        b.plan.events[event].span = Span::default();
        assert_eq!(b.run(event, &[&words(&[10])]), After::Continue);
        assert_eq!(b.complaints(), format!("{label}: bad: 10\n"));
    }
}

#[test]
fn no_warnings_on_request() {
    let mut b = Bench::text();
    b.output.options.warnings = false;
    b.once(EventKind::Warnf(format("x")), &[], &[]);
    assert_eq!(b.complaints(), "");
}

#[test]
fn helper_errors() {
    let span = Span { start: 88, end: 109, ..Span::default() };
    let tys = [Ty::U32, Ty::I32];
    let values: [&[u8]; 2] = [&[0; 4], &(-34i32).to_le_bytes()];
    let mut b = Bench::text();
    b.plan.calls = vec![(span, "probe_read_kernel")];
    b.once(EventKind::HelperError, &tys, &values);
    assert_eq!(b.complaints(), "stdin:1:89-110: WARNING: Failed to probe_read_kernel: Numerical result out of range (-34)\n");
    let mut b = Bench::text();
    b.plan.calls = vec![(span, "map_update_elem")];
    b.once(EventKind::HelperError, &tys, &[&[0; 4], &(-7i32).to_le_bytes()]);
    assert_eq!(b.complaints(), "stdin:1:89-110: WARNING: Failed to map_update_elem: the map is full (-7)\n");
    let mut b = Bench::json();
    b.plan.calls = vec![(span, "probe_read_kernel")];
    assert_eq!(
        b.once(EventKind::HelperError, &tys, &values),
        "{\"type\": \"helper_error\", \"msg\": \"Numerical result out of range\", \
         \"helper\": \"probe_read_kernel\", \"retcode\": -34, \"filename\": \"stdin\", \
         \"line\": 1, \"col\": 89}\n"
    );
}

#[test]
fn what_the_run_itself_says() {
    let mut b = Bench::text();
    b.output.attached(1);
    b.output.attached(12);
    assert_eq!(b.seen(), "Attached 1 probe\nAttached 12 probes\n");
    b.output.lost(65377);
    b.output.warn("map @x is full");
    assert_eq!(b.complaints(), "Lost 65377 events\nWARNING: map @x is full\n");
}

#[test]
fn unknown_events_are_told() {
    let mut b = Bench::text();
    let after = b.output.event(&b.plan, &[9, 0, 0, 0], &mut b.ctx);
    assert_eq!(after, After::Continue);
    assert_eq!(b.complaints(), "ERROR: a record of an unknown event (9)\n");
}

#[test]
fn whole_lines_go_out_when_the_events_are_done() {
    let mut b = Bench::text();
    let event = b.event(EventKind::Printf(format("a\nb")), &[]);
    assert_eq!(b.run(event, &[]), After::Continue);
    assert_eq!(b.out.take(), b"");
    b.output.pause();
    assert_eq!(b.out.take(), b"a\n");
    b.output.flush();
    assert_eq!(b.out.take(), b"b");
}
