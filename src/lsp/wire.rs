//! Messages on standard input and output, of a length that is borne.

use lsp_server::{Connection, Message};
use std::io::{self, BufRead, Read, Write};
use std::thread::{self, JoinHandle};

/// Bytes of a message: several times what the longest script needs.
const LONGEST: u64 = 128 << 20;
/// bytes of a line of its header
const LONGEST_LINE: u64 = 4096;

pub struct Threads {
    reader: JoinHandle<io::Result<()>>,
    writer: JoinHandle<io::Result<()>>,
}

impl Threads {
    pub fn join(self) -> io::Result<()> {
        let ended = |t: JoinHandle<io::Result<()>>| t.join().unwrap_or_else(|_| Err(io::Error::other("a thread ended early")));
        ended(self.reader).and(ended(self.writer))
    }
}

/// The editor at the other end. Both threads end when it says so, hangs up or isn't understood.
pub fn stdio() -> (Connection, Threads) {
    let (server, Connection { sender, receiver }) = Connection::memory();
    let reader = thread::spawn(move || {
        let mut input = io::stdin().lock();
        while let Some(message) = read(&mut input)? {
            let last = matches!(&message, Message::Notification(n) if n.method == "exit");
            if sender.send(message).is_err() || last {
                break;
            }
        }
        Ok(())
    });
    let writer = thread::spawn(move || {
        let mut out = io::stdout().lock();
        receiver.into_iter().try_for_each(|m| m.write(&mut out))?;
        out.flush()
    });
    (server, Threads { reader, writer })
}

/// The next message; none at the end.
fn read(input: &mut impl BufRead) -> io::Result<Option<Message>> {
    let broken = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
    let (mut header, mut length) = (Vec::new(), None);
    loop {
        let start = header.len();
        if input.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut header)? == 0 {
            return Ok(None);
        }
        let line = String::from_utf8_lossy(&header[start..]).into_owned();
        if !line.ends_with("\r\n") {
            let shown: String = line.chars().take(40).collect();
            return Err(broken(format!("no line of a header: {shown:?}")));
        }
        if line.len() == 2 {
            break;
        }
        if let Some((name, value)) = line.split_once(':').filter(|(name, _)| name.eq_ignore_ascii_case("content-length")) {
            let n = value.trim().parse::<u64>().ok().filter(|n| *n <= LONGEST);
            length = Some(n.ok_or_else(|| broken(format!("{name} is{}: at most {LONGEST} is read", value.trim_end())))?);
        }
        if header.len() as u64 > 16 * LONGEST_LINE {
            return Err(broken("a header without an end".into()));
        }
    }
    let length = length.ok_or_else(|| broken("a header without Content-Length".into()))?;
    Message::read(&mut header.as_slice().chain(input.take(length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_and_what_is_none() {
        let said = |text: &[u8]| read(&mut io::BufReader::new(text)).map_err(|e| e.to_string());
        let body = r#"{"jsonrpc":"2.0","method":"exit"}"#;
        let whole = format!("content-length: {}\r\nContent-Type: x\r\n\r\n{body}more", body.len());
        assert!(matches!(said(whole.as_bytes()), Ok(Some(Message::Notification(n))) if n.method == "exit"));
        assert!(matches!(said(b""), Ok(None)));
        for (text, why) in [
            ("Content-Length: 99999999999999\r\n\r\n", "at most"),
            ("Content-Length: -1\r\n\r\n", "at most"),
            ("Content-Length: 5\r\n\r\n{", "fill"),
            ("Content-Length: 2\r\n\r\n{}", "malformed"),
            ("\r\n", "without Content-Length"),
            ("hello\n", "no line"),
        ] {
            let e = said(text.as_bytes()).map(|_| ()).unwrap_err();
            assert!(e.contains(why), "{text:?}: {e}");
        }
        assert!(said(&[b'x'; 1 << 20]).is_err_and(|e| e.len() < 200));
        assert!(said("x: y\r\n".repeat(1 << 16).as_bytes()).is_err());
    }
}
