//! `:watch @m`: a map drawn again and again in its place.

use super::commands::Next;
use super::engine::Engine;
use awl_runtime::sys::{poll, terminal};
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::time::Duration;
use unicode_width::UnicodeWidthChar;

const EVERY: Duration = Duration::from_millis(500);

pub fn run(engine: &mut Engine, name: &str) -> Next {
    let name = name.trim_start_matches('@');
    let input = std::io::stdin();
    let title = format!(":watch @{name}");
    let mut cleared = false;
    loop {
        engine.reap();
        let Some(text) = engine.show((!name.is_empty()).then_some(name)) else {
            let none = engine.contents().is_empty();
            let help = if none { "no maps yet".to_owned() } else { format!("there is no map `@{name}`; :maps lists them") };
            engine.say(&format!("{help}\n"));
            return Next::Prompt;
        };
        let (rows, columns) = engine.size;
        engine.screen.draw(Some(&fit(&text, rows.saturating_sub(3).max(1), columns)), cleared.then_some(title.as_str()));
        if poll::readable(&[input.as_fd()], Some(EVERY)).unwrap_or(1) != 0 {
            // The key that ended it, and no more: the next line may have been begun.
            let key = input.as_fd().try_clone_to_owned().map(File::from).and_then(|mut f| f.read(&mut [0]));
            drop(key);
            engine.screen.draw(None, None);
            return Next::Prompt;
        }
        let size = terminal::size(input.as_fd()).unwrap_or(engine.size);
        cleared = size != engine.size;
        engine.size = size;
    }
}

/// The last lines of a text, so many as fit, none wider than the terminal: in a map printed by size the largest come last.
fn fit(text: &str, rows: usize, columns: usize) -> Vec<String> {
    let lines: Vec<&str> = text.trim_matches('\n').lines().collect();
    let from = lines.len().saturating_sub(rows);
    lines[from..].iter().map(|l| cut(l, columns.max(2) - 1)).collect()
}

/// As much of a line as fits into so many columns: some characters take two, some none.
fn cut(line: &str, columns: usize) -> String {
    let mut left = columns;
    let fits = |c: &char| {
        let width = c.width().unwrap_or(0);
        let fits = width <= left;
        left = left.saturating_sub(width);
        fits
    };
    line.chars().take_while(fits).collect()
}

#[cfg(test)]
mod tests {
    use super::fit;

    #[test]
    fn what_fits() {
        assert_eq!(fit("\na\nbcd\ne\n", 2, 3), ["bc", "e"]);
        assert_eq!(fit("", 2, 3).len(), 0);
        assert_eq!(fit("@[漢字漢字]: 1", 1, 8), ["@[漢字"]);
        assert_eq!(fit("@[漢字漢字]: 1", 1, 7), ["@[漢字"]);
        assert_eq!(fit("@[e\u{301}e\u{301}]: 1", 1, 5), ["@[e\u{301}e\u{301}"]);
    }
}
