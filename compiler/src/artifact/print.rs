//! Programs and plan as text, one thing a line, for `--emit plan` and for tests.

use super::*;
use std::fmt;
use std::fmt::Write;

pub fn print(a: &Artifact) -> String {
    let mut out = String::new();
    for p in &a.programs {
        line(&mut out, format!("program {} {:?}: {} instructions, {} bytes of stack", p.name, p.kind, p.insns, p.frame));
        for at in &p.attach {
            line(&mut out, format!("  attach {} {:?}", at.point, at.to));
        }
    }
    plan(&mut out, &a.plan);
    out
}

fn line(out: &mut String, text: String) {
    out.push_str(&text);
    out.push('\n');
}

fn plan(out: &mut String, p: &Plan) {
    for (i, m) in p.maps.iter().enumerate() {
        let keys: Vec<_> = m.keys.iter().map(Ty::to_string).collect();
        let keys = if keys.is_empty() { String::new() } else { format!("[{}]", keys.join(", ")) };
        let storage = match m.storage {
            Storage::Kernel(k) => format!("kernel map {k}"),
            Storage::Slot { section, offset } => format!("section {section} at {offset}"),
        };
        line(out, format!("map {i} @{}{keys} = {}: {storage}", m.name, m.value));
    }
    for (i, m) in p.kernel_maps.iter().enumerate() {
        let pin = m.pin.as_ref().map_or(String::new(), |p| format!(", pinned as {}", p.name));
        let (key, value, entries) = (m.key_size, m.value_size, m.max_entries);
        line(out, format!("kernel map {i} {} {:?}: key {key}, value {value}, {entries} entries{pin}", m.name, m.kind));
    }
    for (i, s) in p.sections.iter().enumerate() {
        let mut text = format!("section {i} {}: {} bytes", s.name, s.size);
        if s.per_cpu != 0 {
            let _ = write!(text, ", {} for each CPU", s.per_cpu);
        }
        for (holds, word) in [(s.readonly, ", read only"), (s.mapped, ", mapped")] {
            text.push_str(if holds { word } else { "" });
        }
        if s.init.iter().any(|b| *b != 0) {
            let _ = write!(text, ", begins \"{}\"", s.init.escape_ascii());
        }
        line(out, text);
    }
    for (i, e) in p.events.iter().enumerate() {
        let args: Vec<_> = e.args.iter().map(|a| format!("{} at {}", a.ty, a.offset)).collect();
        line(out, format!("event {i} {}: {} bytes ({})", e.kind, e.size, args.join(", ")));
    }
    for (i, s) in p.strings.iter().enumerate() {
        line(out, format!("string {i} {s:?}"));
    }
    for (i, s) in p.points.iter().enumerate() {
        line(out, format!("point {i} {s}"));
    }
    for (i, (span, what)) in p.calls.iter().enumerate() {
        line(out, format!("call {i} {what} of bytes {}..{}", span.start, span.end));
    }
    for w in &p.watched {
        line(out, format!("watched program {} at {}: {}", w.program, w.offset, w.words.join(", ")));
    }
    for k in &p.kfuncs {
        line(out, format!("kfunc {} {}", k.name, k.btf_id));
    }
    line(out, format!("cpu slots {}", p.cpu_slots));
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            EventKind::Exit => write!(f, "exit"),
            EventKind::Printf(text) => write!(f, "printf \"{text}\""),
            EventKind::Errorf(text) => write!(f, "errorf \"{text}\""),
            EventKind::Warnf(text) => write!(f, "warnf \"{text}\""),
            EventKind::Cat(text) => write!(f, "cat \"{text}\""),
            EventKind::System(text) => write!(f, "system \"{text}\""),
            EventKind::PrintValue => write!(f, "print"),
            EventKind::PrintMap(m) => write!(f, "print map {m}"),
            EventKind::TakeMap(m) => write!(f, "print and empty map {m}"),
            EventKind::PrintMapItem(m) => write!(f, "print of map {m}"),
            EventKind::Clear(m) => write!(f, "clear map {m}"),
            EventKind::Zero(m) => write!(f, "zero map {m}"),
            EventKind::Fill(m) => write!(f, "fill map {m}"),
            EventKind::Unwatch => write!(f, "unwatch"),
            EventKind::Losses => write!(f, "losses"),
            EventKind::Packet { file } => write!(f, "packet to {file:?}"),
            EventKind::Time(text) => write!(f, "time {text:?}"),
            EventKind::Join { delimiter } => write!(f, "join {delimiter:?}"),
            EventKind::HelperError => write!(f, "helper error"),
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for piece in &self.pieces {
            match piece {
                Piece::Text(t) => write!(f, "{}", t.replace('%', "%%").escape_debug())?,
                Piece::Verb(v) => write!(f, "{v}")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%")?;
        for (given, flag) in [(self.minus, '-'), (self.plus, '+'), (self.space, ' '), (self.alt, '#'), (self.zero, '0')] {
            if given {
                write!(f, "{flag}")?;
            }
        }
        if let Some(w) = self.width {
            write!(f, "{w}")?;
        }
        if let Some(p) = self.precision {
            write!(f, ".{p}")?;
        }
        write!(f, "{}{}", self.length, self.conversion)
    }
}
