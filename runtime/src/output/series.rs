//! A time series as a picture: a row for each interval, its value's place between the smallest and the largest.

use super::{Env, number};
use awl_compiler::agg::tseries::Series;

/// Columns of the picture, borders included.
const WIDTH: usize = 53;
/// Columns that the smallest value's number has for itself.
const LEAST: usize = 21;

/// Digits behind the second that an interval's start is written with, and the unit that they count.
fn unit(interval_ns: u64) -> (usize, &'static str, u64) {
    match interval_ns {
        n if n % 1_000_000_000 == 0 => (0, "", 1),
        n if n % 1_000_000 == 0 => (3, ".ms", 1_000_000),
        n if n % 1_000 == 0 => (6, ".us", 1_000),
        _ => (9, ".ns", 1),
    }
}

pub fn rows(out: &mut Vec<u8>, series: &Series, div: i128, env: &mut Env) {
    let values = || series.points.iter().filter_map(|p| p.value.map(|v| v / div));
    let (Some(mut least), Some(mut most)) = (values().min(), values().max()) else {
        return out.extend_from_slice(b"<no data>");
    };
    if least == most {
        (least, most) = (least - 1, most + 1);
    }
    let (digits, name, ns) = unit(series.interval_ns);
    let time_width = 8 + if digits > 0 { 1 + digits } else { 0 };
    let numbers = |out: &mut Vec<u8>| {
        number::fill(out, b' ', time_width + 1);
        let text = format!("{:<LEAST$}{:>2$}\n", least, most, WIDTH - LEAST);
        out.extend_from_slice(text.as_bytes());
    };
    numbers(out);
    out.extend_from_slice(format!("{:<1$}|{2}|\n", format!("hh:mm:ss{name}"), time_width + 1, "_".repeat(WIDTH - 2)).as_bytes());
    let span = (most - least) as f32;
    // A value's column as floats have it, which the picture of bpftrace is made with.
    let column = |width: usize, v: i128| ((width as f32 * (v - least) as f32 / span) as usize).min(WIDTH - 1);
    let zero = if least < 0 && most > 0 { column(WIDTH, 0) } else { 0 };
    for p in &series.points {
        env.times.format(out, "%H:%M:%S", p.start_ns as i64);
        if digits > 0 {
            out.extend_from_slice(format!(".{:0digits$}", p.start_ns % 1_000_000_000 / ns).as_bytes());
        }
        let mut line = [b' '; WIDTH];
        (line[0], line[WIDTH - 1]) = (b'|', b'|');
        if zero > 0 {
            line[zero] = b'.';
        }
        if let Some(v) = p.value {
            line[column(WIDTH - 1, v / div)] = b'*';
        }
        out.push(b' ');
        out.extend_from_slice(&line);
        match p.value {
            Some(v) => out.extend_from_slice(format!(" {}\n", v / div).as_bytes()),
            None => out.extend_from_slice(b" -\n"),
        }
    }
    number::fill(out, b' ', time_width + 1);
    out.extend_from_slice(format!("v{}v\n", "_".repeat(WIDTH - 2)).as_bytes());
    numbers(out);
}

/// `[{"interval_start":TIME,"value":N},...]`, intervals without a value left out.
pub fn json(out: &mut Vec<u8>, series: &Series, div: i128, env: &mut Env) {
    out.push(b'[');
    let mut first = true;
    for p in &series.points {
        let Some(v) = p.value else { continue };
        if !std::mem::take(&mut first) {
            out.push(b',');
        }
        out.extend_from_slice(b"{\"interval_start\":\"");
        env.times.format(out, "%Y-%m-%dT%H:%M:%S", p.start_ns as i64);
        out.extend_from_slice(format!(".{:09}\",\"value\":{}}}", p.start_ns % 1_000_000_000, v / div).as_bytes());
    }
    out.push(b']');
}
