//! Strings that filled the bytes they had.

use super::events::format;
use super::*;
use crate::output::Cut;

#[test]
fn a_cut_string_ends_in_the_trailer() {
    let ty = Ty::Str(8);
    let strings: [(&[u8], &str); 3] = [(b"abcdef\0\0", "abcdef"), (b"abcdefg\0", "abcdefg.."), (b"\0\0\0\0\0\0\0\0", "")];
    for (bytes, shown) in strings {
        let mut b = Bench::text();
        b.output.options.cut = Cut { capacity: 8, trailer: "..".into() };
        assert_eq!(b.once(EventKind::PrintValue, std::slice::from_ref(&ty), &[bytes]), format!("{shown}\n"));
        let mut b = Bench::json();
        b.output.options.cut = Cut { capacity: 8, trailer: "..".into() };
        assert_eq!(
            b.once(EventKind::PrintValue, std::slice::from_ref(&ty), &[bytes]),
            format!("{{\"type\": \"value\", \"data\": \"{shown}\"}}\n")
        );
        let mut b = Bench::text();
        b.output.options.cut = Cut { capacity: 8, trailer: "..".into() };
        assert_eq!(
            b.once(EventKind::Printf(format("%s|%10s|")), &[ty.clone(), ty.clone()], &[bytes, bytes]),
            format!("{shown}|{shown:>10}|")
        );
    }
}
