//! Values as text, each in the one way that `print` and `%s` share.

use super::{Env, histogram, number, series};
use awl_compiler::agg::View;
use awl_compiler::artifact::FrameForm;
use awl_compiler::types::StackMode;
use awl_compiler::value::{Stack, Value};
use std::net::{IpAddr, Ipv6Addr};

/// Twenty years in ns, for which no machine was ever up: what is more is a time of `nsecs(tai)`, wherever it was kept since.
const LONGEST_UP: u64 = 20 * 365 * 86_400 * 1_000_000_000;

pub fn value(out: &mut Vec<u8>, value: &Value, env: &mut Env) {
    match value {
        Value::Int(n) => number::signed(out, *n),
        Value::Uint(n) => number::unsigned(out, *n),
        Value::Bool(b) => out.extend_from_slice(if *b { b"true" } else { b"false" }),
        Value::Ptr(p) => number::hex(out, *p),
        Value::Str(s) => out.extend_from_slice(&env.cut.mark(s)),
        Value::Buf(b) => buffer(out, b, Escape::Unprintable),
        Value::Enum { name: Some(name), .. } => out.extend_from_slice(name.as_bytes()),
        Value::Enum { value, signed, .. } => {
            if *signed {
                number::signed(out, *value);
            } else {
                number::unsigned(out, *value as u64);
            }
        }
        Value::Tuple(all) => list(out, b"(", all, b", ", b")", env),
        Value::Array(all) => list(out, b"[", all, b",", b"]", env),
        Value::Named(fields) => {
            out.push(b'(');
            named(out, fields, env);
            out.push(b')');
        }
        Value::Record(fields) => record(out, fields, env),
        Value::Stack(s) => stack(out, s, env),
        Value::Ksym(addr) => symbol(out, *addr, &env.ctx.symbols().kernel(*addr)),
        Value::Usym { addr, tgid } => {
            symbol(out, *addr, &env.ctx.symbols().user(*tgid, *addr));
        }
        Value::Inet(addr) => inet(out, addr),
        Value::Mac(mac) => {
            for (i, b) in mac.iter().enumerate() {
                if i > 0 {
                    out.push(b':');
                }
                hex_byte(out, *b, b"0123456789ABCDEF");
            }
        }
        Value::Username(uid) => out.extend_from_slice(env.names.user(*uid)),
        Value::Timestamp(t) => {
            let offset = match t.clock {
                0 if t.ns >= LONGEST_UP => env.ctx.tai_to_real_ns(),
                0 => env.ctx.boot_to_real_ns(),
                _ => 0,
            };
            let format = env.plan.strings.get(t.format as usize);
            let format = format.map_or("", String::as_str);
            env.times.format(out, format, (t.ns as i64).wrapping_add(offset));
        }
        Value::CgroupPath { id, filter } => {
            let text = env.plan.strings.get(*filter as usize);
            let text = text.map_or("", String::as_str);
            out.extend_from_slice(env.names.cgroup(*id, (*filter, text)));
        }
        Value::Agg(v) => view(out, v, 1, env),
        Value::Opaque(name) => {
            out.push(b'<');
            out.extend_from_slice(name.as_bytes());
            out.push(b'>');
        }
    }
}

/// A merged aggregation; `div` scales what is written.
/// A number that was measured.
pub fn amount(out: &mut Vec<u8>, env: &Env, n: i128) {
    if env.human { number::human(out, n) } else { number::wide(out, n) }
}

pub fn view(out: &mut Vec<u8>, view: &View, div: i128, env: &mut Env) {
    let div = if div == 0 { 1 } else { div };
    match view {
        View::Int(n) => amount(out, env, i128::from(*n) / div),
        View::Uint(n) => amount(out, env, i128::from(*n) / div),
        View::Average(n) => amount(out, env, n / div),
        View::Stats { count, average, total } => {
            out.extend_from_slice(b"count ");
            amount(out, env, i128::from(*count));
            out.extend_from_slice(b", average ");
            amount(out, env, average / div);
            out.extend_from_slice(b", total ");
            amount(out, env, *total);
        }
        View::Deviation(d) => out.extend_from_slice(format!("{:.2}", d / div as f64).as_bytes()),
        View::Percentiles(all) => {
            for (i, (p, v)) in all.iter().enumerate() {
                out.extend_from_slice(if i > 0 { b", p" } else { b"p" });
                number::unsigned(out, u64::from(*p));
                out.push(b' ');
                amount(out, env, v / div);
            }
        }
        View::Series(s) => series::rows(out, s, div, env),
        View::Hist(h) => histogram::rows(out, h, div),
    }
}

fn list(out: &mut Vec<u8>, open: &[u8], all: &[Value], between: &[u8], close: &[u8], env: &mut Env) {
    out.extend_from_slice(open);
    for (i, v) in all.iter().enumerate() {
        if i > 0 {
            out.extend_from_slice(between);
        }
        value(out, v, env);
    }
    out.extend_from_slice(close);
}

/// `a = 1, b = x`
pub fn named(out: &mut Vec<u8>, fields: &[(&str, Value)], env: &mut Env) {
    for (i, (name, v)) in fields.iter().enumerate() {
        if i > 0 {
            out.extend_from_slice(b", ");
        }
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b" = ");
        value(out, v, env);
    }
}

fn record(out: &mut Vec<u8>, fields: &[(&str, Value)], env: &mut Env) {
    out.extend_from_slice(b"{ ");
    for (i, (name, v)) in fields.iter().enumerate() {
        if i > 0 {
            out.extend_from_slice(b", ");
        }
        out.push(b'.');
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(b" = ");
        value(out, v, env);
    }
    out.extend_from_slice(b" }");
}

/// Which bytes of a buffer are written as `\x..`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Escape {
    /// `%r`
    Unprintable,
    /// `%rx`
    All,
    /// `%rh`: all, as `0a fe`
    Spaced,
}

pub fn buffer(out: &mut Vec<u8>, bytes: &[u8], escape: Escape) {
    for (i, &b) in bytes.iter().enumerate() {
        match escape {
            Escape::Unprintable if (b' '..=b'~').contains(&b) => {
                out.push(b);
                continue;
            }
            Escape::Spaced if i > 0 => out.push(b' '),
            Escape::Spaced => {}
            _ => out.extend_from_slice(b"\\x"),
        }
        hex_byte(out, b, b"0123456789abcdef");
    }
}

fn hex_byte(out: &mut Vec<u8>, b: u8, digits: &[u8; 16]) {
    out.push(digits[usize::from(b >> 4)]);
    out.push(digits[usize::from(b & 15)]);
}

fn symbol(out: &mut Vec<u8>, addr: u64, frames: &[crate::symbols::Frame]) {
    match frames.last() {
        Some(frame) => out.extend_from_slice(frame.name.as_bytes()),
        // As C++ prints a null pointer.
        None if addr == 0 => out.push(b'0'),
        None => number::hex(out, addr),
    }
}

fn inet(out: &mut Vec<u8>, addr: &IpAddr) {
    let text = match addr {
        IpAddr::V6(v6) => match embedded(v6) {
            Some(text) => text,
            None => addr.to_string(),
        },
        IpAddr::V4(_) => addr.to_string(),
    };
    out.extend_from_slice(text.as_bytes());
}

/// `::1.2.3.4`, which inet_ntop(3) writes so and Rust does not.
fn embedded(addr: &Ipv6Addr) -> Option<String> {
    let o = addr.octets();
    let compatible = o[..12].iter().all(|&b| b == 0) && (o[12], o[13]) != (0, 0);
    compatible.then(|| format!("::{}.{}.{}.{}", o[12], o[13], o[14], o[15]))
}

/// A stack's frames, the innermost first; none where the kernel couldn't take it or has dropped it since.
pub fn frames(stack: &Stack, env: &mut Env) -> Vec<u64> {
    if stack.id < 0 {
        return Vec::new();
    }
    let mut words = env.ctx.stack(stack.store(), stack.id).unwrap_or_default();
    // stack maps are padded with zeros
    let of_frame = stack.store().frames.size() as usize / 8;
    let len = words.chunks(of_frame).position(|f| f[0] == 0).unwrap_or(words.len() / of_frame);
    words.truncate(len.min(usize::from(stack.limit)) * of_frame);
    words
}

/// The file's build id and the offset in it, or the address where the kernel could not tell.
fn build_id(out: &mut Vec<u8>, frame: &[u64]) {
    /// `BPF_STACK_BUILD_ID_VALID`
    const VALID: u32 = 1;
    let bytes: Vec<u8> = frame.iter().flat_map(|w| w.to_ne_bytes()).collect();
    let at = frame.last().copied().unwrap_or(0);
    if bytes[..4] != VALID.to_ne_bytes() {
        return number::bare_hex(out, at);
    }
    bytes[4..24].iter().for_each(|b| hex_byte(out, *b, b"0123456789abcdef"));
    out.extend_from_slice(if at < 16 { b" 0x0" } else { b" 0x" });
    number::bare_hex(out, at);
}

/// A newline, then one line for each frame.
fn stack(out: &mut Vec<u8>, stack: &Stack, env: &mut Env) {
    out.push(b'\n');
    let addrs = frames(stack, env);
    let form = stack.store().frames;
    if !stack.is_named() {
        for frame in addrs.chunks(form.size() as usize / 8) {
            match form {
                FrameForm::BuildId => build_id(out, frame),
                FrameForm::Address | FrameForm::Unwound => number::bare_hex(out, frame[0]),
            }
            out.push(b'\n');
        }
        return;
    }
    let user = stack.kind.is_user();
    let symbols = env.ctx.symbols();
    if user {
        symbols.user_all(stack.tgid, &addrs);
    } else {
        symbols.kernel_all(&addrs);
    }
    for addr in addrs {
        let frames = if user { symbols.user(stack.tgid, addr) } else { symbols.kernel(addr) };
        if frames.is_empty() {
            start(out, stack.mode, addr);
            number::hex(out, addr);
            if user && stack.mode == StackMode::Perf {
                out.extend_from_slice(b" ([unknown])");
            }
            out.push(b'\n');
        }
        for frame in frames.iter() {
            start(out, stack.mode, addr);
            if frame.inlined {
                out.extend_from_slice(b"[inlined] ");
            }
            out.extend_from_slice(frame.name.as_bytes());
            if !frame.inlined {
                out.push(b'+');
                number::unsigned(out, frame.offset);
            }
            match (&frame.place, &frame.module) {
                (Some(place), _) if stack.mode == StackMode::Bpftrace => {
                    out.push(b'@');
                    out.extend_from_slice(place.as_bytes());
                }
                (_, Some(module)) if !user => {
                    out.extend_from_slice(b" [");
                    out.extend_from_slice(module.as_bytes());
                    out.push(b']');
                }
                (_, module) if user && stack.mode == StackMode::Perf => {
                    let module = module.as_deref().unwrap_or("[unknown]");
                    out.extend_from_slice(b" (");
                    out.extend_from_slice(module.as_bytes());
                    out.push(b')');
                }
                _ => {}
            }
            out.push(b'\n');
        }
    }
}

fn start(out: &mut Vec<u8>, mode: StackMode, addr: u64) {
    if mode == StackMode::Perf {
        out.push(b'\t');
        number::bare_hex(out, addr);
        out.push(b' ');
    } else {
        out.extend_from_slice(b"        ");
    }
}
