//! A real terminal: tmux draws it, a test types and reads the screen.

use super::may_load;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A terminal of its own, with `awl` in it. Dropped, it is gone.
pub struct Terminal {
    socket: String,
    pub state: PathBuf,
}

impl Terminal {
    pub fn with(name: &str, columns: u32, rows: u32, environment: &str, command: &str) -> Terminal {
        // A server that was told to end may still be there when the next one of its name begins.
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let socket = format!("awl-{name}-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let state = std::env::temp_dir().join(&socket);
        std::fs::create_dir_all(&state).unwrap();
        let t = Terminal { socket, state };
        let run = format!("env NO_COLOR=1 XDG_STATE_HOME={} {environment} {command}; echo left=$?; sleep 60", t.state.display());
        let size = [columns.to_string(), rows.to_string()];
        // Files that a session writes go with it.
        t.tmux(&["-f", "/dev/null", "new-session", "-d", "-x", &size[0], "-y", &size[1], "-c", &t.state.to_string_lossy(), &run]);
        t
    }

    pub fn new(name: &str) -> Terminal {
        let t = Terminal::with(name, 110, 40, "", env!("CARGO_BIN_EXE_awl"));
        t.wait("awl>");
        t
    }

    pub fn tmux(&self, args: &[&str]) -> String {
        let got = Command::new("tmux").args(["-L", &self.socket]).args(args).output().unwrap();
        String::from_utf8_lossy(&got.stdout).into_owned()
    }

    pub fn screen(&self) -> String {
        self.tmux(&["capture-pane", "-p", "-S", "-200"])
    }

    /// The line that the cursor is in: what is in front of it, and the hint behind it.
    pub fn edited(&self) -> (String, String) {
        let place = self.tmux(&["display-message", "-p", "#{cursor_y} #{cursor_x}"]);
        let (row, column) = place.trim().split_once(' ').unwrap();
        let line: Vec<char> = self.tmux(&["capture-pane", "-p", "-N", "-S", row, "-E", row]).trim_end_matches('\n').chars().collect();
        let (before, behind) = line.split_at(line.len().min(column.parse().unwrap()));
        (before.iter().collect(), behind.iter().collect())
    }

    pub fn keys(&self, keys: &[&str]) {
        for k in keys {
            self.tmux(&["send-keys", k]);
        }
    }

    pub fn write(&self, text: &str) {
        self.tmux(&["send-keys", "-l", text]);
    }

    pub fn enter(&self, line: &str) {
        self.write(line);
        self.keys(&["Enter"]);
    }

    /// Waits until a text is on the screen.
    pub fn wait(&self, text: &str) -> String {
        self.until(|s| s.contains(text), text)
    }

    pub fn until(&self, fine: impl Fn(&str) -> bool, what: &str) -> String {
        self.until_within(Duration::from_secs(40), fine, what)
    }

    pub fn until_within(&self, most: Duration, fine: impl Fn(&str) -> bool, what: &str) -> String {
        let begin = Instant::now();
        loop {
            let screen = self.screen();
            if fine(&screen) {
                return screen;
            }
            assert!(begin.elapsed() < most, "no `{what}` in\n{screen}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// The number that a line `NAME: N` shows last.
    pub fn number(&self, name: &str) -> u64 {
        let screen = self.until(|s| s.lines().any(|l| l.starts_with(name)), name);
        let line = screen.lines().rfind(|l| l.starts_with(name)).unwrap().to_owned();
        line.rsplit(' ').next().unwrap().parse().unwrap()
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.tmux(&["kill-server"]);
        let _ = std::fs::remove_dir_all(&self.state);
    }
}

pub fn ready() -> bool {
    let there = Command::new("tmux").arg("-V").output().is_ok();
    assert!(there || std::env::var_os("CI").is_none(), "CI has tmux");
    if !there {
        println!("skipped: the prompt is tested in tmux");
    }
    there && may_load()
}
