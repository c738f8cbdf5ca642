//! What is said about the run itself.

use super::{Output, Style, json};
use awl_compiler::artifact::Plan;
use awl_compiler::diagnostic::counted;
use awl_compiler::sema::follow::FAMILY;
use std::path::Path;

impl Output {
    /// The script runs: so many attach points are attached.
    pub fn attached(&mut self, probes: usize) {
        match self.options.style {
            Style::Text => {
                let line = format!("Attached {}\n", counted(probes as u64, "probe"));
                self.sink.buffer().extend_from_slice(line.as_bytes());
            }
            Style::Json => {
                let line = format!("{{\"type\": \"attached_probes\", \"count\": {probes}, \"data\": {{\"probes\": {probes}}}}}\n");
                self.sink.buffer().extend_from_slice(line.as_bytes());
            }
        }
        self.sink.done();
        self.sink.pause();
    }

    /// An iterator was left in the kernel, where it is read through this file.
    pub fn pinned(&mut self, file: &Path) {
        let out = self.sink.buffer();
        match self.options.style {
            Style::Text => out.extend(format!("Program pinned to {}\n", file.display()).bytes()),
            Style::Json => json::line(out, "pinned_iterator", |out| json::string(out, file.as_os_str().as_encoded_bytes())),
        }
        self.sink.done();
        self.sink.pause();
    }

    /// What the script's maps hold, for readers that want to know beforehand: with `--json-version 2` alone.
    pub fn schema(&mut self, plan: &Plan) {
        if !self.options.tagged {
            return;
        }
        json::line(self.sink.buffer(), "schema", |out| {
            let maps = plan.maps.iter().filter(|m| m.name != FAMILY).map(|m| {
                let keys: Vec<String> = m.keys.iter().map(ToString::to_string).collect();
                (format!("@{}", m.name), serde_json::json!({ "keys": keys, "value": m.value.to_string() }))
            });
            let maps: serde_json::Map<String, serde_json::Value> = maps.collect();
            // writing to a vector can't fail
            let _ = serde_json::to_writer(out, &serde_json::json!({ "maps": maps }));
        });
        self.sink.done();
    }

    /// So many events found no place in the ring buffer since the last time.
    pub fn lost(&mut self, events: u64) {
        match self.options.style {
            Style::Text => {
                self.sink.pause();
                self.error_line(format!("Lost {events} events").as_bytes());
            }
            Style::Json => {
                let line = format!("{{\"type\": \"lost_events\", \"count\": {events}, \"data\": {{\"events\": {events}}}}}\n");
                self.sink.buffer().extend_from_slice(line.as_bytes());
                self.sink.done();
            }
        }
    }

    /// A message about the run itself: a line on standard error, an object of type `runtime_error` in JSON.
    pub fn warn(&mut self, message: &str) {
        match self.options.style {
            Style::Text => {
                self.sink.pause();
                self.error_line(format!("WARNING: {message}").as_bytes());
            }
            Style::Json => {
                json::message(self.sink.buffer(), "runtime_error", |out| {
                    out.extend_from_slice(b"\"msg\": ");
                    json::string(out, message.as_bytes());
                });
                self.sink.done();
            }
        }
    }
}
