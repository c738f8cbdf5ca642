//! Where the output goes: one buffer, written out as `-B` says. A reader that has gone away ends the output quietly.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::path::Path;

/// `-B`
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Buffering {
    /// whole lines, as soon as the events at hand are done
    #[default]
    Line,
    /// when the buffer is full, and at the end
    Full,
    /// after each event
    None,
}

/// Written out once it holds this many bytes, whatever the mode: large enough that system calls don't count.
const FULL: usize = 1 << 16;

/// Standard output, unbuffered: the sink has a buffer of its own.
pub fn stdout() -> io::Result<Box<dyn Write + Send>> {
    let fd = io::stdout().as_fd().try_clone_to_owned()?;
    Ok(Box::new(File::from(fd)))
}

/// `-o FILE`: an empty file, made if need be.
pub fn file(path: &Path) -> io::Result<Box<dyn Write + Send>> {
    Ok(Box::new(File::create(path)?))
}

pub struct Sink {
    to: Box<dyn Write + Send>,
    mode: Buffering,
    buffer: Vec<u8>,
    state: State,
    /// nothing is written out
    held: bool,
    tags: Option<Tags>,
}

/// What `--json-version 2` adds to each object.
#[derive(Default)]
struct Tags {
    /// bytes of the buffer that have theirs
    done: usize,
    /// the attach point of the event at hand, as JSON
    probe: Option<String>,
}

enum State {
    Open,
    /// nobody reads any more
    Closed,
    Failed(io::Error),
}

impl Sink {
    pub fn new(to: Box<dyn Write + Send>, mode: Buffering) -> Sink {
        Sink { to, mode, buffer: Vec::with_capacity(FULL + 4096), state: State::Open, held: false, tags: None }
    }

    pub fn tagged(mut self, tagged: bool) -> Sink {
        self.tags = tagged.then(Tags::default);
        self
    }

    /// What is appended from here on belongs to an event of this attach point.
    #[inline]
    pub fn of_probe(&mut self, point: Option<&str>) {
        if let Some(tags) = &mut self.tags {
            tags.probe = point.and_then(|p| serde_json::to_string(p).ok());
        }
    }

    /// Puts the tags into the objects, each a line, that have none yet.
    fn tag(&mut self) {
        let Some(tags) = self.tags.as_mut().filter(|t| !self.held && t.done < self.buffer.len()) else { return };
        let added = self.buffer.split_off(tags.done);
        let probe = tags.probe.as_ref().map_or(String::new(), |p| format!(", \"probe\": {p}"));
        let ends = format!(", \"version\": 2, \"time\": \"{}\"{probe}}}\n", super::time::utc(crate::sys::clock::real_ns() as i64));
        for line in added.split_inclusive(|b| *b == b'\n') {
            match line.strip_suffix(b"}\n") {
                Some(object) => {
                    self.buffer.extend_from_slice(object);
                    self.buffer.extend_from_slice(ends.as_bytes());
                }
                None => self.buffer.extend_from_slice(line),
            }
        }
        tags.done = self.buffer.len();
    }

    /// To be appended to, then `done` is called.
    #[inline]
    pub fn buffer(&mut self) -> &mut Vec<u8> {
        &mut self.buffer
    }

    /// One event has been appended.
    #[inline]
    pub fn done(&mut self) {
        self.tag();
        if self.buffer.len() >= FULL || self.mode == Buffering::None {
            self.write_out();
        }
    }

    /// All events at hand are done: whole lines go out, unless the mode is `Full`.
    pub fn pause(&mut self) {
        self.tag();
        match self.mode {
            Buffering::Full => {}
            Buffering::None => self.write_out(),
            Buffering::Line => {
                let lines = self.buffer.iter().rposition(|&b| b == b'\n');
                self.write_first(lines.map_or(0, |at| at + 1));
            }
        }
    }

    /// Everything goes out.
    pub fn flush(&mut self) {
        self.write_out();
    }

    /// What comes from here on is kept for `release`.
    pub fn hold(&mut self) {
        self.write_out();
        self.held = true;
    }

    pub fn release(&mut self) -> Vec<u8> {
        self.held = false;
        if let Some(tags) = &mut self.tags {
            tags.done = 0;
        }
        std::mem::take(&mut self.buffer)
    }

    /// Has the reader gone away, or can't we write any more?
    pub fn closed(&self) -> bool {
        !matches!(self.state, State::Open)
    }

    /// Why writing failed, once, where it was not just the reader going away.
    pub fn take_error(&mut self) -> Option<io::Error> {
        match std::mem::replace(&mut self.state, State::Closed) {
            State::Failed(e) => Some(e),
            other => {
                self.state = other;
                None
            }
        }
    }

    fn write_out(&mut self) {
        self.tag();
        self.write_first(self.buffer.len());
    }

    fn write_first(&mut self, n: usize) {
        if n == 0 || self.held {
            return;
        }
        if matches!(self.state, State::Open) {
            let written = self.to.write_all(&self.buffer[..n]);
            if let Err(e) = written.and_then(|()| self.to.flush()) {
                self.state = match e.kind() {
                    io::ErrorKind::BrokenPipe => State::Closed,
                    _ => State::Failed(e),
                };
            }
        }
        self.buffer.drain(..n);
        if let Some(tags) = &mut self.tags {
            tags.done = tags.done.saturating_sub(n);
        }
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.write_out();
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    /// A writer whose bytes can be looked at.
    #[derive(Clone, Default)]
    pub(crate) struct Seen(pub Arc<Mutex<Vec<u8>>>);

    impl Seen {
        pub fn take(&self) -> Vec<u8> {
            std::mem::take(&mut self.0.lock().unwrap())
        }
    }

    impl Write for Seen {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Broken(io::ErrorKind);

    impl Write for Broken {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn put(sink: &mut Sink, bytes: &[u8]) {
        sink.buffer().extend_from_slice(bytes);
        sink.done();
    }

    #[test]
    fn each_mode_writes_when_it_should() {
        let seen = Seen::default();
        let mut line = Sink::new(Box::new(seen.clone()), Buffering::Line);
        put(&mut line, b"a\nb");
        assert_eq!(seen.take(), b"");
        line.pause();
        assert_eq!(seen.take(), b"a\n");
        drop(line);
        assert_eq!(seen.take(), b"b");

        let mut full = Sink::new(Box::new(seen.clone()), Buffering::Full);
        put(&mut full, b"a\n");
        full.pause();
        assert_eq!(seen.take(), b"");
        put(&mut full, &[b'x'; FULL]);
        assert_eq!(seen.take().len(), FULL + 2);

        let mut none = Sink::new(Box::new(seen.clone()), Buffering::None);
        put(&mut none, b"a");
        assert_eq!(seen.take(), b"a");
    }

    #[test]
    fn each_object_gets_its_tags_once() {
        let seen = Seen::default();
        let mut sink = Sink::new(Box::new(seen.clone()), Buffering::Line).tagged(true);
        sink.of_probe(Some("kprobe:\"x\""));
        put(&mut sink, b"{\"a\": {}}\n{\"b\": 1}\n");
        sink.of_probe(None);
        put(&mut sink, b"{\"c\": \"}\\n\"}\n");
        sink.pause();
        let all = String::from_utf8(seen.take()).unwrap();
        let lines: Vec<serde_json::Value> = all.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!(lines.len(), 3, "{all}");
        assert!(lines.iter().all(|l| l["version"] == 2 && l["time"].as_str().is_some_and(|t| t.ends_with('Z') && t.len() == 30)), "{all}");
        assert_eq!(lines[1]["b"], 1);
        assert!(lines[..2].iter().all(|l| l["probe"] == "kprobe:\"x\""), "{all}");
        assert_eq!((&lines[2]["c"], lines[2].get("probe")), (&"}\n".into(), None));
    }

    #[test]
    fn files_are_made_anew() {
        let path = std::env::temp_dir().join(format!("awl-sink-{}", std::process::id()));
        std::fs::write(&path, "something longer").unwrap();
        let mut sink = Sink::new(file(&path).unwrap(), Buffering::Full);
        put(&mut sink, b"new\n");
        drop(sink);
        assert_eq!(std::fs::read(&path).unwrap(), b"new\n");
        std::fs::remove_file(&path).unwrap();
        assert!(file(Path::new("/nonexistent/x")).is_err());
        assert!(stdout().is_ok());
    }

    #[test]
    fn a_broken_pipe_is_no_error() {
        let broken = Broken(io::ErrorKind::BrokenPipe);
        let mut sink = Sink::new(Box::new(broken), Buffering::None);
        assert!(!sink.closed());
        put(&mut sink, b"a");
        put(&mut sink, b"b");
        assert!(sink.closed() && sink.take_error().is_none());
    }

    #[test]
    fn a_full_disk_is_an_error() {
        let full = Broken(io::ErrorKind::StorageFull);
        let mut sink = Sink::new(Box::new(full), Buffering::None);
        put(&mut sink, b"a");
        let error = sink.take_error().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
        assert!(sink.take_error().is_none() && sink.closed());
    }
}
