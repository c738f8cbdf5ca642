//! A folder of a test's own.

use super::text;
use std::path::PathBuf;
use std::process::Command;

pub struct Dir(pub PathBuf);

impl Dir {
    pub fn new(name: &str) -> Dir {
        let dir = std::env::temp_dir().join(format!("awl-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        Dir(dir)
    }

    /// The program, or `None` and a word of it where there is no such compiler.
    #[allow(dead_code)] // not every test file compiles one
    pub fn build(&self, compiler: &[&str], source: &str, file: &str) -> Option<String> {
        let (from, to) = (self.0.join(file), self.0.join(format!("{file}.out")));
        std::fs::write(&from, source).unwrap();
        let made = Command::new(compiler[0])
            .args(&compiler[1..])
            .arg("-o")
            .args([&to, &from])
            .env("GOCACHE", self.0.join("go"))
            .env("GO111MODULE", "off")
            .output();
        let Ok(made) = made else {
            println!("skipped: no {} here", compiler[0]);
            return None;
        };
        assert!(made.status.success(), "{compiler:?}: {}", text(&made.stderr));
        Some(to.to_str().unwrap().to_owned())
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}
