//! Values as JSON: one object a line, `{"type": ..., "data": ...}`.

use super::{Env, number, series, text};
use awl_compiler::agg::{Hist, View};
use awl_compiler::value::Value;
use std::io::Write;

/// An event of its own: `data` writes the value.
pub fn line(out: &mut Vec<u8>, kind: &str, data: impl FnOnce(&mut Vec<u8>)) {
    start(out, kind);
    data(out);
    end(out);
}

/// A message: its members stand beside the type.
pub fn message(out: &mut Vec<u8>, kind: &str, members: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(b"{\"type\": \"");
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(b"\", ");
    members(out);
    end(out);
}

pub fn start(out: &mut Vec<u8>, kind: &str) {
    out.extend_from_slice(b"{\"type\": \"");
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(b"\", \"data\": ");
}

pub fn end(out: &mut Vec<u8>) {
    out.extend_from_slice(b"}\n");
}

/// Bytes that are no UTF-8 become U+FFFD: JSON has no place for them.
pub fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    // writing to a vector can't fail
    let _ = serde_json::to_writer(&mut *out, &*text);
}

/// Numbers that readers with doubles would change are strings.
pub fn integer(out: &mut Vec<u8>, n: i128) {
    // every integer of up to 53 bits is a double, and larger ones whose low bits are zero
    let fits = n == 0 || 128 - n.unsigned_abs().leading_zeros() - n.trailing_zeros() <= 53;
    if !fits {
        out.push(b'"');
    }
    number::wide(out, n);
    if !fits {
        out.push(b'"');
    }
}

pub fn value(out: &mut Vec<u8>, value: &Value, env: &mut Env) {
    match value {
        Value::Int(n) => integer(out, i128::from(*n)),
        Value::Uint(n) | Value::Ptr(n) => integer(out, i128::from(*n)),
        Value::Enum { value, signed, .. } => integer(out, enumerator(*value, *signed)),
        Value::Bool(b) => out.extend_from_slice(if *b { b"true" } else { b"false" }),
        Value::Str(s) => string(out, &env.cut.mark(s)),
        Value::Tuple(all) | Value::Array(all) => {
            out.push(b'[');
            for (i, v) in all.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                self::value(out, v, env);
            }
            out.push(b']');
        }
        // As bpftrace: numbers, of a signed char each.
        Value::Buf(bytes) => {
            out.push(b'[');
            for (i, b) in bytes.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                number::signed(out, i64::from(*b as i8));
            }
            out.push(b']');
        }
        Value::Named(fields) => {
            out.push(b'{');
            members(out, fields, env);
            out.push(b'}');
        }
        Value::Record(fields) => {
            out.extend_from_slice(b"{ ");
            members(out, fields, env);
            out.extend_from_slice(b" }");
        }
        Value::Agg(v) => view(out, v, 1, env),
        other => {
            let mut plain = Vec::new();
            text::value(&mut plain, other, env);
            string(out, &plain);
        }
    }
}

fn members(out: &mut Vec<u8>, fields: &[(&str, Value)], env: &mut Env) {
    for (i, (name, v)) in fields.iter().enumerate() {
        if i > 0 {
            out.extend_from_slice(b", ");
        }
        string(out, name.as_bytes());
        out.extend_from_slice(b": ");
        value(out, v, env);
    }
}

pub fn view(out: &mut Vec<u8>, view: &View, div: i128, env: &mut Env) {
    let div = if div == 0 { 1 } else { div };
    match view {
        View::Int(n) => integer(out, i128::from(*n) / div),
        View::Uint(n) => integer(out, i128::from(*n) / div),
        View::Average(n) => integer(out, n / div),
        View::Stats { count, average, total } => {
            out.extend_from_slice(b"{\"count\": ");
            integer(out, i128::from(*count));
            out.extend_from_slice(b", \"average\": ");
            integer(out, average / div);
            out.extend_from_slice(b", \"total\": ");
            integer(out, *total);
            out.push(b'}');
        }
        View::Deviation(d) => out.extend_from_slice(format!("{:.2}", d / div as f64).as_bytes()),
        View::Percentiles(all) => {
            out.push(b'{');
            for (i, (p, v)) in all.iter().enumerate() {
                if i > 0 {
                    out.extend_from_slice(b", ");
                }
                string(out, format!("p{p}").as_bytes());
                out.extend_from_slice(b": ");
                integer(out, v / div);
            }
            out.push(b'}');
        }
        View::Series(s) => series::json(out, s, div, env),
        View::Hist(h) => hist(out, h, div),
    }
}

/// Both bounds of a bucket are inclusive; an open one is left out.
fn hist(out: &mut Vec<u8>, hist: &Hist, div: i128) {
    out.push(b'[');
    for (i, b) in hist.buckets.iter().enumerate() {
        if i > 0 {
            out.extend_from_slice(b", ");
        }
        out.push(b'{');
        for (name, bound) in [("min", b.lo), ("max", b.hi)] {
            if let Some(bound) = bound {
                // writing to a vector can't fail
                let _ = write!(out, "\"{name}\": ");
                integer(out, bound);
                out.extend_from_slice(b", ");
            }
        }
        out.extend_from_slice(b"\"count\": ");
        integer(out, i128::from(b.count) / div);
        out.push(b'}');
    }
    out.push(b']');
}

/// A map's keys as the name of a member: as they are in text, but for the blanks between them.
pub fn keys(out: &mut Vec<u8>, keys: &[Value], env: &mut Env) {
    let mut plain = Vec::new();
    match keys {
        [Value::Tuple(all)] => joined(&mut plain, all.iter(), env),
        [Value::Named(fields)] => named(&mut plain, "", fields, env),
        all => joined(&mut plain, all.iter(), env),
    }
    string(out, &plain);
}

fn joined<'v>(out: &mut Vec<u8>, keys: impl Iterator<Item = &'v Value<'v>>, env: &mut Env) {
    for (i, k) in keys.enumerate() {
        if i > 0 {
            out.push(b',');
        }
        key(out, k, env);
    }
}

/// `a=1,b=x`
fn named(out: &mut Vec<u8>, before: &str, fields: &[(&str, Value)], env: &mut Env) {
    for (i, (name, k)) in fields.iter().enumerate() {
        if i > 0 {
            out.push(b',');
        }
        out.extend_from_slice(before.as_bytes());
        out.extend_from_slice(name.as_bytes());
        out.push(b'=');
        key(out, k, env);
    }
}

fn key(out: &mut Vec<u8>, value: &Value, env: &mut Env) {
    let (open, close) = match value {
        Value::Tuple(_) | Value::Named(_) => (b'(', b')'),
        Value::Array(_) => (b'[', b']'),
        Value::Record(_) => (b'{', b'}'),
        other => return text::value(out, other, env),
    };
    out.push(open);
    match value {
        Value::Tuple(all) | Value::Array(all) => joined(out, all.iter(), env),
        Value::Named(fields) => named(out, "", fields, env),
        Value::Record(fields) => named(out, ".", fields, env),
        _ => {}
    }
    out.push(close);
}

fn enumerator(value: i64, signed: bool) -> i128 {
    if signed { i128::from(value) } else { i128::from(value as u64) }
}
