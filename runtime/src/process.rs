//! The command of `-c` and the process of `-p`.

use crate::sys::poll;
use crate::sys::process::{self as sys, Ended, Waiting};
use awl_compiler::diagnostic::Diagnostic;
use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A process whose end ends the session.
#[derive(Debug)]
pub struct Watched {
    pid: i32,
    fd: OwnedFd,
    /// ours: it waits until `release`, and goes with us
    child: Option<Child>,
}

#[derive(Debug)]
struct Child {
    waiting: Waiting,
    command: String,
    program: PathBuf,
    released: bool,
    ended: Option<Ended>,
}

impl Watched {
    /// `-p PID`: somebody else's process.
    ///
    /// # Errors
    /// `no-process`
    pub fn process(pid: i32) -> Result<Watched, Diagnostic> {
        let fd = sys::pidfd_open(pid).map_err(|e| match e.raw_os_error() {
            Some(libc::ESRCH) => {
                Diagnostic::environment("no-process", format!("there is no process {pid}")).help("`ps -e` lists those there are")
            }
            Some(libc::EINVAL) => Diagnostic::usage("no-process", format!("{pid} is a thread, not a process"))
                .help(format!("give the process that it belongs to: `awk '/^Tgid/ {{ print $2 }}' /proc/{pid}/status`")),
            _ => Diagnostic::environment("no-process", format!("can't watch process {pid}: {e}")),
        })?;
        // Its files and its memory are gone, and nothing of it will run.
        if poll::readable(&[fd.as_fd()], Some(Duration::ZERO)).is_ok_and(|ready| ready != 0) {
            let d = Diagnostic::environment("no-process", format!("process {pid} has ended; its parent has not asked for its end yet"));
            return Err(d.help("`ps -e` lists those that run: this one is `<defunct>` there"));
        }
        Ok(Watched { pid, fd, child: None })
    }

    /// `-c COMMAND`: a child that exists but waits, so that probes see the program from its first instruction on.
    ///
    /// # Errors
    /// `command`
    pub fn command(command: &str) -> Result<Watched, Diagnostic> {
        let words = words(command).map_err(|why| {
            Diagnostic::usage("command", format!("can't read the command of `-c`: {why}"))
                .help("quote as in a shell: `-c 'sh -c \"sleep 1; ls\"'`")
        })?;
        let Some(name) = words.first() else {
            return Err(Diagnostic::usage("command", "the command of `-c` is empty"));
        };
        let path = find(name).ok_or_else(|| {
            Diagnostic::usage("command", format!("can't find the command `{name}`")).help("give its path: `-c /usr/bin/COMMAND`")
        })?;
        let started = start(&path, &words);
        let (waiting, fd) = started.map_err(|e| Diagnostic::environment("command", format!("can't start `{name}`: {e}")))?;
        Ok(Watched {
            pid: waiting.pid,
            fd,
            child: Some(Child { waiting, command: name.clone(), program: path, released: false, ended: None }),
        })
    }

    /// The file that the command is; until it begins, the process is still a copy of awl.
    pub fn program(&self) -> Option<&Path> {
        self.child.as_ref().map(|c| c.program.as_path())
    }

    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Can be read once the process has ended.
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Lets the command begin.
    pub fn release(&mut self) -> io::Result<()> {
        match &mut self.child {
            Some(c) if !c.released => {
                c.released = true;
                c.waiting.release()
            }
            _ => Ok(()),
        }
    }

    /// The same, but `stopped` is called (with its number) while the command stands still: when it is mapped, and at its first
    /// instruction, when its libraries are.
    ///
    /// # Errors
    /// Where it can't be let go.
    pub fn release_at_start(&mut self, mut stopped: impl FnMut(u32)) -> io::Result<()> {
        let pid = self.pid;
        match &mut self.child {
            Some(c) if !c.released => {
                c.released = true;
                c.ended = sys::run_to_start(&c.waiting, || stopped(pid as u32))?;
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// How the command ended, as far as it has.
    pub fn ended(&mut self) -> Option<Ended> {
        let c = self.child.as_mut()?;
        if c.ended.is_none() {
            c.ended = sys::ended(c.waiting.pid).ok().flatten();
        }
        c.ended
    }

    /// Why the command never began, once it has ended.
    pub fn failed_to_start(&mut self) -> Option<Diagnostic> {
        self.ended()?;
        let c = self.child.as_ref()?;
        let e = c.waiting.exec_error()?;
        Some(Diagnostic::environment("command", format!("can't run `{}`: {e}", c.command)))
    }

    /// Ends the command (SIGTERM), and nothing but the command, where it still runs. One that was never let go ends by
    /// itself.
    pub fn stop(&mut self) {
        if self.ended().is_none() && self.child.as_ref().is_some_and(|c| c.released) {
            // Whatever goes wrong, the process is gone or not ours to end.
            let _ = sys::pidfd_signal(self.fd.as_fd(), libc::SIGTERM);
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.stop();
    }
}

fn start(path: &Path, words: &[String]) -> io::Result<(Waiting, OwnedFd)> {
    let c_string = |b: &[u8]| CString::new(b).map_err(io::Error::from);
    let program = c_string(path.as_os_str().as_bytes())?;
    let args = words.iter().map(|w| c_string(w.as_bytes())).collect::<io::Result<Vec<_>>>()?;
    let env = std::env::vars_os().map(|(k, v)| c_string(&[k.as_bytes(), b"=", v.as_bytes()].concat())).collect::<io::Result<Vec<_>>>()?;
    let args: Vec<&CStr> = args.iter().map(CString::as_c_str).collect();
    let env: Vec<&CStr> = env.iter().map(CString::as_c_str).collect();
    let waiting = sys::fork_waiting(&program, &args, &env)?;
    let fd = sys::pidfd_open(waiting.pid)?;
    Ok((waiting, fd))
}

/// The file that a shell would run for `name`.
fn find(name: &str) -> Option<PathBuf> {
    let runs = |p: &Path| p.metadata().is_ok_and(|m| m.is_file() && m.permissions().mode() & 0o111 != 0);
    if name.contains('/') {
        return Some(PathBuf::from(name)).filter(|p| runs(p));
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| OsStr::new("/usr/bin:/bin").to_owned());
    std::env::split_paths(&path).map(|d| d.join(name)).find(|p| runs(p))
}

/// Words as a shell splits them: blanks part them, `'...'` and `"..."` hold them together, a backslash takes the next
/// character as it is (between double quotes only `"` and itself). No variables, no patterns.
fn words(text: &str) -> Result<Vec<String>, &'static str> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c.is_ascii_whitespace() {
            words.extend(word.take());
            continue;
        }
        let w = word.get_or_insert_default();
        match c {
            '\'' => loop {
                match chars.next().ok_or("a `'` is never closed")? {
                    '\'' => break,
                    c => w.push(c),
                }
            },
            '"' => loop {
                match chars.next().ok_or("a `\"` is never closed")? {
                    '"' => break,
                    '\\' => match chars.next().ok_or("a `\"` is never closed")? {
                        c @ ('"' | '\\') => w.push(c),
                        c => w.extend(['\\', c]),
                    },
                    c => w.push(c),
                }
            },
            '\\' => w.push(chars.next().ok_or("it ends in a backslash")?),
            c => w.push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_in_a_shell() {
        let split = |t| words(t).unwrap();
        assert_eq!(split("ls -l  /tmp"), ["ls", "-l", "/tmp"]);
        assert_eq!(split(r#"sh -c "echo 'a b'; exit 3""#), ["sh", "-c", "echo 'a b'; exit 3"]);
        assert_eq!(split(r#"a'b c'd "" e\ f "\"\n""#), ["ab cd", "", "e f", "\"\\n"]);
        assert_eq!(split("   "), [""; 0]);
        assert!(words("a 'b").is_err());
        assert!(words("a \"b\\").is_err());
        assert!(words("a\\").is_err());
    }

    #[test]
    fn commands_are_found_in_path() {
        assert!(find("sh").is_some_and(|p| p.is_absolute()));
        assert_eq!(find("/"), None);
        assert_eq!(find("no-such-command-at-all"), None);
    }
}
