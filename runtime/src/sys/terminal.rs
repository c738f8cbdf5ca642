//! The terminal: its size, and its own line editing, switched off for as long as a program edits lines itself.

use super::check;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

/// Rows and columns; `None` where it is no terminal, or one that doesn't know.
pub fn size(terminal: BorrowedFd) -> Option<(usize, usize)> {
    // SAFETY: an all-zero structure is a valid value; the call fills it.
    let mut size: libc::winsize = unsafe { std::mem::zeroed() };
    // SAFETY: as above.
    check(unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCGWINSZ, &mut size) }.into()).ok()?;
    (size.ws_row > 0 && size.ws_col > 0).then(|| (size.ws_row.into(), size.ws_col.into()))
}

/// What is typed arrives as it is typed: no echo, no signals, no waiting for the end of a line. Otherwise what is typed
/// between two prompts is edited by the terminal, and a part of it is lost when the next prompt takes over. Dropped, the
/// terminal is as it was.
pub struct Plain {
    terminal: OwnedFd,
    before: libc::termios,
}

impl Plain {
    pub fn make(terminal: BorrowedFd) -> io::Result<Plain> {
        let terminal = terminal.try_clone_to_owned()?;
        // SAFETY: an all-zero structure is a valid value; the call fills it.
        let mut before: libc::termios = unsafe { std::mem::zeroed() };
        // SAFETY: as above.
        check(unsafe { libc::tcgetattr(terminal.as_raw_fd(), &mut before) }.into())?;
        let mut plain = before;
        plain.c_lflag &= !(libc::ICANON | libc::ECHO | libc::ISIG | libc::IEXTEN);
        plain.c_iflag &= !(libc::ICRNL | libc::IXON);
        plain.c_cc[libc::VMIN] = 1;
        plain.c_cc[libc::VTIME] = 0;
        // SAFETY: reads the structure.
        check(unsafe { libc::tcsetattr(terminal.as_raw_fd(), libc::TCSANOW, &plain) }.into())?;
        Ok(Plain { terminal, before })
    }
}

impl Drop for Plain {
    fn drop(&mut self) {
        // SAFETY: reads the structure.
        unsafe { libc::tcsetattr(self.terminal.as_raw_fd(), libc::TCSADRAIN, &self.before) };
    }
}
